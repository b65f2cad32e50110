"""What holds of every route that there is: keys, hosts, origins, bodies. The routes are those of the application."""

import base64
import http.client
import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from tests.serving.live_server import live, problem, request, send, status
from tests.serving.test_bodies import BAD
from tests.serving.whole_house import asked, routes_of, whole_house

from trivium.serving.house import Served
from trivium.serving.settings import Caps, ServeSettings

KEY = "k3y-of-the-house"
CAPS = Caps(linger_seconds=0.2, idle_seconds=600.0)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def locked(whole_models: dict[str, Served], runs: Path) -> Iterator[tuple[FastAPI, int]]:
    app = whole_house(whole_models, runs, ServeSettings(keys=(KEY,), caps=CAPS, runs=str(runs)))
    with live(app) as port:
        yield app, port


@pytest.fixture(scope="module")
def house(whole_models: dict[str, Served], runs: Path) -> Iterator[tuple[FastAPI, int]]:
    app = whole_house(whole_models, runs, ServeSettings(caps=CAPS, runs=str(runs)))
    with live(app) as port:
        yield app, port


def path_of(template: str) -> str:
    return re.sub(r"{[^}]*}", "x", template)


def posts(app: FastAPI) -> list[str]:
    return [path for method, path in asked(app) if method == "POST"]


WAYS = {
    "none": {}, "wrong": {"authorization": "Bearer wrong"}, "empty": {"authorization": "Bearer "},
    "prefix": {"authorization": f"Bearer {KEY[:-1]}"}, "longer": {"authorization": f"Bearer {KEY}1"},
    "another scheme": {"authorization": f"Token {KEY}"}, "no scheme": {"authorization": KEY},
    "two": {"authorization": f"Bearer {KEY}\r\nauthorization: Bearer {KEY}"},
    "letters of elsewhere": {"authorization": "Bearer ключ☃"}, "another header": {"x-api-key": KEY},
    "a user's name": {"authorization": "Basic " + base64.b64encode(f"{KEY}:".encode()).decode()},
    "a cookie": {"cookie": f"key={KEY}; authorization=Bearer {KEY}"},
}  # fmt: skip


def test_there_are_routes_to_test(house: tuple[FastAPI, int]) -> None:
    routes = asked(house[0])
    assert {("GET", "/health"), ("GET", "/metrics"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/"),
            ("POST", "/v1/chat/completions"), ("POST", "/tokenize"), ("POST", "/fill")} <= set(routes)  # fmt: skip
    told = house[0].openapi()["paths"]
    assert {path for method, path in routes if method == "POST"} <= set(told), "a route that /docs does not tell of"


@pytest.mark.parametrize("way", WAYS)
def test_no_route_but_health_opens_without_the_key(locked: tuple[FastAPI, int], way: str) -> None:
    app, port = locked
    for method, template in asked(app):
        for query in ("", f"?key={KEY}&api_key={KEY}&authorization=Bearer%20{KEY}"):
            body = b"{}" if method == "POST" else None
            answer = send(port, request(path_of(template) + query, body, method, **WAYS[way]))
            expected = {200} if template == "/health" and way != "two" else {400} if way == "two" else {401}
            assert status(answer) in expected, (method, template, way)
            assert KEY.encode() not in answer


def test_every_route_opens_with_it(locked: tuple[FastAPI, int]) -> None:
    app, port = locked
    for method, template in asked(app):
        body = b"{}" if method == "POST" else None
        answer = send(port, request(path_of(template), body, method, authorization=f"Bearer {KEY}"))
        assert 200 <= status(answer) < 500 and status(answer) not in (401, 403), (method, template)


def test_no_route_answers_a_name_or_a_page_of_elsewhere(house: tuple[FastAPI, int]) -> None:
    app, port = house
    for method, template in asked(app):
        body = b"{}" if method == "POST" else None
        for bad in ({"host": "evil.example"}, {"origin": "http://evil.example"}, {"origin": "null"}):
            answer = send(port, request(path_of(template), body, method, **bad))
            assert status(answer) == 403, (method, template, bad)
            assert b"access-control" not in answer


def test_no_route_is_reached_by_a_form(house: tuple[FastAPI, int]) -> None:
    app, port = house
    for template in posts(app):
        for kind in ("", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            assert status(send(port, request(path_of(template), content_type=kind))) == 415, template


@pytest.mark.parametrize("name", BAD)
def test_no_route_reads_what_is_no_strict_json(house: tuple[FastAPI, int], name: str) -> None:
    app, port = house
    for template in posts(app):
        answer = send(port, request(path_of(template), BAD[name]))
        assert status(answer) == 400 and problem(answer)["code"] == "invalid_json", template


HUGE = [
    None, True, -1, 0, 1, 2**31, 2**62, -(2**62), 1e308, -1e308, 5e-324, 0.5, "", "x", "\x00", "🙂", "a" * 5000, [],
    [[]], [None], [-1], [2**62], ["x"] * 2000, {}, {"a": {}}, {"x": -1}, [1, "a", None, {}], "../../etc/passwd",
    "{{7*7}}", "%s%n",
]  # fmt: skip


def example(app: FastAPI, path: str) -> dict[str, Any]:
    """A body that the route answers."""
    text = {"text": "The quick fox."}
    made = {
        "/v1/completions": {"prompt": "The", "max_tokens": 2},
        "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2},
        "/v1/embeddings": {"input": "The quick fox."}, "/tokenize": text, "/detokenize": {"ids": [1, 2, 3]},
        "/fill": {"text": "The [MASK] fox."}, "/classify": {"inputs": [text]}, "/tag": {"inputs": [text]},
        "/spans": {"inputs": [text]}, "/rewrite": {"inputs": [{"source": "The fox."}]},
        "/answer": {"inputs": [{"question": "Who?", "context": "The quick fox."}]},
    }  # fmt: skip
    return made.get(path, {})


def fields_of(app: FastAPI, path: str) -> list[str]:
    schema = app.openapi()
    body = schema["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    while "$ref" in body:
        body = schema["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    return list(body["properties"])


def test_no_value_of_any_field_breaks_the_server(house: tuple[FastAPI, int]) -> None:
    app, port = house
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=280)

    def asked_for(path: str, **fields: Any) -> int:
        content = json.dumps({**example(app, path), **fields})
        connection.request("POST", path, content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status < 400 or problem(b"\r\n\r\n" + said)
        return answer.status

    for path in posts(app):
        fields = fields_of(app, path)
        seed = {"seed": 1} if "seed" in fields else {}
        short = {"max_tokens": 2} if "max_tokens" in fields else {}
        reference = asked_for(path, **seed)
        for field in fields:
            for value in HUGE:
                assert 200 <= asked_for(path, **{**short, field: value}) < 500, (path, field, value)
        assert asked_for(path, **seed) == reference
    connection.close()


def test_of_many_wrong_values_few_are_told(house: tuple[FastAPI, int]) -> None:
    app, _ = house
    for route in (each for each in routes_of(app) if "POST" in each.methods):
        body = route.body_field
        for field in fields_of(app, route.path):
            for value in (1.5, "x", {}, [1.5], ["x"], None, {"x": 1}):
                _, errors = body.validate({**example(app, route.path), field: [value] * 2000}, {}, loc=("body",))
                assert len(errors) < 100, (route.path, field, value)


@pytest.mark.parametrize(
    "path",
    ["/playground/../app.py", "/playground/..%2fapp.py", "/playground/%2e%2e/app.py", "/playground/..%5capp.py",
     "/playground//etc/passwd", "/playground/%2fetc%2fpasswd", "/playground/app.js%00.css", "/playground/C:%5cx",
     "/runs/..%2f..%2fetc", "/runs/%2e%2e", "/runs/%00", "/runs/%5c%5chost%5cshare", "/runs/" + "x" * 5000,
     "/../../etc/passwd", "/runs/run-0%2f..%2f..", "/docs/../../etc/passwd", "/docs/style.css/..", "/%ff%fe",
     "/%u0041", "/%", "/%zz"],
)  # fmt: skip
def test_no_path_leads_out(house: tuple[FastAPI, int], path: str) -> None:
    answer = send(house[1], request(path, None, "GET"))
    assert 400 <= status(answer) < 500
    assert problem(answer) and b"root:" not in answer and b"application(" not in answer


def test_the_page_tells_of_every_route(house: tuple[FastAPI, int]) -> None:
    app, port = house
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/docs") as answer:
        page = answer.read().decode()
    for path, methods in app.openapi()["paths"].items():
        assert f">{path}</code>" in page
        assert all(operation["summary"].count(" ") >= 2 for operation in methods.values()), path
