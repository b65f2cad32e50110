"""``/docs``: what can be asked here, as one page without scripts, made from the OpenAPI schema that the routes give.

The pages that FastAPI brings load their scripts from elsewhere and cannot be read offline. This one shows the same
schema: routes by group, fields with types, bounds and defaults, an example to paste into a shell.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from trivium.lab.report import style_sheet
from trivium.serving.house import House
from trivium.views.markup import Markup, html, joined, number

Schema = Mapping[str, Any]
_METHODS = ("get", "post", "put", "patch", "delete")
_BOUNDS = {
    "minimum": "at least {}", "exclusiveMinimum": "above {}", "maximum": "at most {}", "exclusiveMaximum": "below {}",
    "minLength": "{} characters or more", "maxLength": "{} characters or fewer",
    "minItems": "{} or more", "maxItems": "{} or fewer",
}  # fmt: skip
_MACHINES = 2.0**53  # bounds beyond it say what a number is to a machine, and nothing of its meaning


def routes(house: House) -> APIRouter:
    """``GET /docs`` and its style."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs", response_class=HTMLResponse)
    async def reference(request: Request) -> HTMLResponse:
        address = str(request.base_url).rstrip("/")
        return HTMLResponse(page(request.app.openapi(), house, address))

    @router.get("/docs/style.css")
    async def style() -> Response:
        own = files("trivium.serving").joinpath("reference.css").read_text("utf-8")
        return Response(style_sheet() + own, media_type="text/css")

    return router


def page(schema: Schema, house: House, address: str) -> str:
    """The whole page."""
    groups: dict[str, list[tuple[str, str, Schema]]] = {}
    for path, methods in schema["paths"].items():
        for method in _METHODS:
            if method in methods:
                operation = methods[method]
                groups.setdefault(operation.get("tags", ["other"])[0], []).append((method.upper(), path, operation))
    parts = schema.get("components", {}).get("schemas", {})
    sections = [
        html(
            '<section id="{}"><h2>{}</h2>{}</section>', _anchor(group), _title(group),
            joined(_operation(*each, parts, house, address) for each in operations),
        )
        for group, operations in groups.items()
    ]  # fmt: skip
    contents = (
        html(
            "<div><h2>{}</h2><ul>{}</ul></div>", _title(group),
            joined(html('<li><a href="#{}"><b>{}</b> {}</a></li>', _anchor(m + p), m, p) for m, p, _ in operations),
        )
        for group, operations in groups.items()
    )  # fmt: skip
    return str(
        html(
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Trivium: what can be asked</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<link rel="icon" href="data:,"><link rel="stylesheet" href="/docs/style.css"></head><body>'
            '<header class="top"><h1>What can be asked here</h1>{}</header>'
            '<nav class="contents" aria-label="Routes">{}</nav><main>{}</main>'
            '<footer><p>Trivium {}. The same as a schema: <a href="/openapi.json">openapi.json</a>.</p></footer>'
            "</body></html>",
            _introduction(house, address), joined(contents), joined(sections), schema["info"]["version"],
        )
    )  # fmt: skip


def _introduction(house: House, address: str) -> Markup:
    models = joined((html("<code>{}</code>", name) for name in house.models), ", ") or "none"
    key = "every route but /health needs a key" if house.settings.keys else "no key is needed"
    given = '"KEY"' if house.settings.keys else '"none"'
    code = f'from openai import OpenAI\n\nclient = OpenAI(base_url="{address}/v1", api_key={given})'
    return html(
        '<p class="subtitle">Bodies are JSON objects, sent as <code>application/json</code>. Clients made for OpenAI’s '
        "interface work as they are.</p><dl class=\"facts\"><div><dt>Address</dt><dd><code>{}</code></dd></div>"
        "<div><dt>Models</dt><dd>{}</dd></div><div><dt>Key</dt><dd>{}</dd></div></dl><pre><code>{}</code></pre>"
        "<p>What goes wrong is answered with <code>{}</code> and a status of 400 or more. Fields that are "
        "not known are refused by name.</p>",
        address, models, key, code, '{"error": {"message", "type", "param", "code"}}',
    )  # fmt: skip


def _operation(method: str, path: str, operation: Schema, parts: Schema, house: House, address: str) -> Markup:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = resolved(body.get("schema", {}), parts)
    parameters = [
        (one["name"], resolved(one.get("schema", {}), parts), one.get("required", False), one.get("description", ""))
        for one in operation.get("parameters", ())
    ]
    return html(
        '<article id="{}"><h3><span class="method {}">{}</span> <code>{}</code></h3>'
        '<p class="summary">{}</p>{}{}{}{}</article>',
        _anchor(method + path), method.lower(), method, path, operation.get("summary", ""),
        paragraphs(operation.get("description", "")),
        _table("In the address", parameters, parts), _table("In the body", list(_fields(schema, parts)), parts),
        joined(_example(method, path, each, house, address) for each in examples(body, schema, parts)),
    )  # fmt: skip


Field = tuple[str, Schema, bool, str]


def _fields(schema: Schema, parts: Schema, above: tuple[str, ...] = ()) -> Iterator[Field]:
    """Name, schema, whether it is needed, and what it is: of an object's fields, and of those within them."""
    for name, raw in schema.get("properties", {}).items():
        inner = resolved(raw, parts)
        place = ".".join((*above, name))
        yield place, inner, name in schema.get("required", ()), raw.get("description", inner.get("description", ""))
        if len(above) < 3:
            for each in _objects(inner, parts):
                yield from _fields(each, parts, (*above, name))


def _objects(schema: Schema, parts: Schema) -> Iterator[Schema]:
    """The objects that a value may be, or hold in a list."""
    if "properties" in schema:
        yield schema
    for other in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _objects(resolved(other, parts), parts)
    if isinstance(schema.get("items"), dict):
        yield from _objects(resolved(schema["items"], parts), parts)


def _table(caption: str, fields: list[Field], parts: Schema) -> Markup:
    if not fields:
        return Markup()
    rows: dict[str, Markup] = {}
    for name, schema, needed, meaning in fields:
        default = "" if schema.get("default") is None else f"otherwise {json.dumps(schema['default'])}"
        rows[name] = html(
            '<tr><th scope="row"><code>{}</code></th><td>{}<span class="state">{}</span></td><td>{}</td></tr>',
            joined(name.split("."), Markup(".<wbr>")), kind(schema, parts), "needed" if needed else default,
            inline(meaning),
        )  # fmt: skip
    return html(
        '<div class="scroll" tabindex="0" role="region" aria-label="{0}"><table><thead><tr><th scope="col">{0}</th>'
        '<th scope="col">Kind</th><th scope="col">What it is</th></tr></thead><tbody>{1}</tbody></table></div>',
        caption, joined(rows.values()),
    )  # fmt: skip


def resolved(schema: Schema, parts: Schema) -> Schema:
    """A schema instead of a reference to it."""
    for _ in range(8):
        name = schema.get("$ref")
        if name is None:
            return schema
        schema = {**parts[name.rpartition("/")[2]], **{k: v for k, v in schema.items() if k != "$ref"}}
    return schema


def kind(schema: Schema, parts: Schema, depth: int = 0) -> str:
    """What values a schema takes, in words."""
    schema = resolved(schema, parts)
    if depth > 4:
        return "..."
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " or ".join(map(json.dumps, schema["enum"]))
    either = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if either:
        words = dict.fromkeys(kind(each, parts, depth + 1) for each in either)
        return " or ".join(word for word in words if word != "null") or "null"
    name = schema.get("type", "anything")
    if name == "array":
        name = f"list of {kind(schema['items'], parts, depth + 1)}" if schema.get("items") else "list"
    told = {each: schema[each] for each in _BOUNDS if abs(schema.get(each, _MACHINES)) < _MACHINES}
    bounds = [_BOUNDS[each].format(number(value)) for each, value in told.items()]
    return f"{name} ({', '.join(bounds)})" if bounds else str(name)


def examples(body: Schema, schema: Schema, parts: Schema) -> list[Any]:
    """Bodies that the schema shows; if it shows none, what is needed and no more."""
    if not schema:
        return []
    named = [each["value"] for each in body.get("examples", {}).values() if "value" in each]
    shown = named or [body["example"]] if "example" in body else named or list(schema.get("examples", ()))
    return shown or [_smallest(schema, parts)]


def _smallest(schema: Schema, parts: Schema, depth: int = 0) -> Any:
    """A value of the schema, as small as can be."""
    schema = resolved(schema, parts)
    if "examples" in schema:
        return schema["examples"][0]
    if "default" in schema or depth > 6:
        return schema.get("default")
    either = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    if either:
        return _smallest(either[0], parts, depth + 1)
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    match schema.get("type"):
        case "object":
            needed = schema.get("required", ())
            return {name: _smallest(schema["properties"][name], parts, depth + 1) for name in needed}
        case "array":
            return [_smallest(schema.get("items", {}), parts, depth + 1)] if schema.get("minItems", 1) else []
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
    return "text"


def _example(method: str, path: str, body: Any, house: House, address: str) -> Markup:
    key = " \\\n  -H \"Authorization: Bearer $TRIVIUM_KEY\"" if house.settings.keys else ""
    sent = shlex.quote(json.dumps(body, ensure_ascii=False))
    way = "" if method == "POST" else f"-X {method} "
    code = f"curl {way}{address}{path}{key} \\\n  -H 'Content-Type: application/json' \\\n  -d {sent}"
    return html('<pre tabindex="0"><code>{}</code></pre>', code)


def paragraphs(text: str) -> Markup:
    """Paragraphs and code of a docstring."""
    found = (" ".join(each.split()) for each in re.split(r"\n\s*\n", text))
    return joined(html("<p>{}</p>", inline(each)) for each in found if each)


def inline(text: str) -> Markup:
    """Words between backticks as code."""
    parts = re.split(r"`+([^`]+)`+", text)
    return joined(html("<code>{}</code>", part) if number % 2 else part for number, part in enumerate(parts))


def _title(group: str) -> str:
    return group[:1].upper() + group[1:]


def _anchor(text: str) -> str:
    return re.sub(r"\W+", "-", text).strip("-").lower()
