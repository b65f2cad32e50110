"""The playground's files: which are sent, how, and that none of them could run what it is not."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from trivium.serving.app import application
from trivium.serving.house import House
from trivium.serving.pages import playground
from trivium.serving.scheduler import Scheduler
from trivium.serving.settings import ServeSettings

FOLDER = Path(str(files("trivium.serving"))) / "playground"
REPORT = Path(str(files("trivium.lab"))) / "report.css"
BASE = REPORT.with_name("base.css")
CODE = sorted(path for path in FOLDER.iterdir() if path.suffix == ".js")


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """A server without models: the page does not need one to be sent."""
    with TestClient(application(House({}, Scheduler(), ServeSettings())), base_url="http://127.0.0.1") as client:
        yield client


def test_the_page_comes_with_a_policy_under_which_only_our_files_run(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize("name", sorted(playground()))
def test_every_file_is_sent_as_it_is_and_only_once(client: TestClient, name: str) -> None:
    kinds = {"js": "text/javascript", "css": "text/css", "html": "text/html", "svg": "image/svg+xml"}
    answer = client.get(f"/playground/{name}")
    assert answer.content == (BASE if name == BASE.name else FOLDER / name).read_bytes()
    assert answer.headers["content-type"].partition(";")[0] == kinds[name.rpartition(".")[2]]
    again = client.get(f"/playground/{name}", headers={"If-None-Match": f'"other", W/{answer.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    head = client.head(f"/playground/{name}")
    assert (head.status_code, head.content) == (200, b"")


def test_every_file_of_the_folder_is_one_that_is_sent() -> None:
    assert sorted(playground()) == sorted(path.name for path in (BASE, *FOLDER.iterdir()))


@pytest.mark.parametrize(
    "path",
    ["../pages.py", "..%2fpages.py", "%2e%2e/pages.py", "..%5cpages.py", "%2e%2e%2f%2e%2e%2f__init__.py", "app.js%00",
     "app.js%00.css", "APP.JS", "./app.js%20", "C:%5capp.js", "%5c%5chost%5cshare%5capp.js", "playground", "", "%ff%fe",
     "app.js/", "a" * 5000],
)  # fmt: skip
def test_no_other_path_reaches_a_file(client: TestClient, path: str) -> None:
    answer = client.get(f"/playground/{path}", follow_redirects=False)
    assert answer.status_code in (404, 307)
    assert b"import" not in answer.content


def test_a_missing_page_is_refused_in_one_sentence(client: TestClient) -> None:
    error = client.get("/playground/nothing.js").json()["error"]
    assert error["code"] == "not_found" and "'nothing.js'" in error["message"]


# ---- what the files may not hold ----


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.name)
def test_no_module_makes_markup_or_code_from_text(path: Path) -> None:
    ways = "innerHTML|outerHTML|insertAdjacentHTML|document.write|DOMParser|setHTML|createContextualFragment|srcdoc"
    ways += r"|\beval\b|new Function|setTimeout\(\s*[\"'`]|javascript:|importScripts|execCommand"
    text = path.read_text("utf-8")
    assert not re.findall(ways, text)
    assert not re.findall(r"https?://(?!www\.w3\.org/)", text), "a module names another host"


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.name)
def test_every_module_says_what_it_is_and_imports_what_there_is(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.startswith(("/**", "//")), "a module opens with what it is"
    names = set(re.findall(r"""(?:from|import) ["']\./([^"']+)["']""", text))
    assert names <= set(playground()), names - set(playground())


def test_the_page_has_no_script_style_or_handler_inside() -> None:
    text = (FOLDER / "index.html").read_text("utf-8")
    assert all('src="playground/' in script for script in re.findall(r"<script[^>]*>", text))
    assert re.findall(r"<script[^>]*>([^<]*)</script>", text) == [""] * text.count("<script")
    assert "<style" not in text and "style=" not in text
    assert not re.findall(r"\son\w+=", text)
    assert all(name in playground() for name in re.findall(r'"playground/([^"]+)"', text))


def test_the_colours_are_those_of_the_reports() -> None:
    light, dark = (
        dict(re.findall(r"--([a-z0-9-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", REPORT.read_text("utf-8"), re.DOTALL)[:2]
    )
    ours = colours()
    assert len(light) == len(dark) == 14
    assert {name: ours[name] for name in light} == {name: [light[name], dark[name]] for name in light}


def colours() -> dict[str, list[str]]:
    """Of the page, each in the light and the dark theme."""
    text = (FOLDER / "app.css").read_text("utf-8")
    return {name: pair for name, *pair in re.findall(r"--([a-z0-9-]+): light-dark\((#\w{6}), (#\w{6})\)", text)}


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [("ink", "paper", 7), ("soft", "paper", 4.5), ("soft", "faint", 4.5), ("accent", "paper", 4.5),
     ("accent", "raised", 4.5), ("on-accent", "accent", 4.5), ("edge", "paper", 3), ("edge", "raised", 3),
     ("c5", "paper", 3)],
)  # fmt: skip
def test_what_is_read_has_contrast(theme: int, front: str, back: str, least: float) -> None:
    found = colours()
    high, low = sorted((luminance(found[front][theme]), luminance(found[back][theme])), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= least
