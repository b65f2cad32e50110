"""``/docs``: every route and field of the schema, nothing from elsewhere, nothing that runs."""

from html.parser import HTMLParser
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.testclient import TestClient
from tests.serving.live_server import echoing

from trivium.serving.reference import examples, inline, kind, paragraphs
from trivium.serving.settings import ServeSettings


class Part(BaseModel):
    size: int = Field(3, ge=1, le=1_000_000, description="How `large` <b>it</b> is.")


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    text: str = Field(min_length=1)
    way: Literal["a", "b"] = "a"
    parts: list[Part] | None = None
    either: str | list[int] = Field("x", description="One </script><script>alert(1)</script> or the other.")


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def documented() -> tuple[Page, str, dict]:
    app = echoing(ServeSettings(keys=("k",)))
    router = APIRouter(tags=["tasks"])

    @router.post("/make/{name}", summary="Makes <things>")
    async def make(name: str, body: Body) -> None:
        """First `code` words.

        A second paragraph."""

    app.include_router(router)
    client = TestClient(app, base_url="http://localhost", headers={"authorization": "Bearer k"})
    answer = client.get("/docs")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
    style = client.get("/docs/style.css")
    assert style.headers["content-type"].startswith("text/css")
    return Page(answer.text), style.text, client.get("/openapi.json").json()


def test_every_route_and_field_is_there() -> None:
    page, _, schema = documented()
    for path in schema["paths"]:
        assert path in page.text
    for word in ("text", "way", "parts.size", "either", '"a" or "b"', "needed", "otherwise 3", "at most 1,000,000",
                 "Makes <things>", "A second paragraph.",
                 "Authorization: Bearer $TRIVIUM_KEY", "string or list of integer"):
        assert word in page.text, word  # fmt: skip
    assert "alert(1)" in page.text and "$ref" not in page.text


def test_nothing_of_it_runs_or_comes_from_elsewhere() -> None:
    page, style, _ = documented()
    assert not {"script", "style", "iframe", "object", "img", "form", "b "} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"], (tag, attributes)
        for name in ("href", "src"):
            assert (attributes.get(name) or "/").startswith(("/", "#", "data:,")), (tag, attributes)
    assert "url(" not in style and "@import" not in style
    anchors = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(anchors) == len(set(anchors))
    for _, attributes in page.tags:
        if (attributes.get("href") or "").startswith("#"):
            assert attributes["href"][1:] in anchors


def test_an_example_is_made_where_none_is_given() -> None:
    schema = Body.model_json_schema(ref_template="#/components/schemas/{model}")
    made = examples({}, schema, schema["$defs"])
    assert made == [{"text": "text"}] and Body(**made[0])
    assert examples({"example": 1}, schema, {}) == [1]
    assert examples({"examples": {"x": {"value": 2}}}, schema, {}) == [2]
    assert examples({}, {**schema, "examples": [3]}, {}) == [3]


def test_words_for_kinds() -> None:
    assert kind({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]}, {}) == "integer (at least 1)"
    assert kind({"type": "array", "items": {"$ref": "#/x/Y"}}, {"Y": {"type": "boolean"}}) == "list of boolean"
    circle = {"Y": {"anyOf": [{"$ref": "#/x/Y"}, {"type": "string"}]}}
    assert kind({"$ref": "#/x/Y"}, circle).startswith("... or string")
    assert str(inline("a ``b<`` c")) == "a <code>b&lt;</code> c"
    assert str(paragraphs("a\nb\n\n c ")) == "<p>a b</p><p>c</p>"
    assert kind({"type": "integer", "minimum": -(2**63), "exclusiveMaximum": 2.0**63}, {}) == "integer"
    assert kind({"type": "number", "minimum": 0.0, "maximum": 100.0}, {}) == "number (at least 0, at most 100)"
