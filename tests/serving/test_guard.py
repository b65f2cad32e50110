"""Who may ask, from where, and how much: over real sockets."""

import base64
import hmac
import logging
import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient
from tests.serving.live_server import echoing, live, problem, received, request, send, status

from trivium.errors import SettingsError
from trivium.serving.guard import SECURITY, host_names, is_loopback
from trivium.serving.settings import Caps, ServeSettings

KEY = "sesam-öffne-dich"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with live(echoing(ServeSettings(origins=("https://page.example",), caps=Caps(body_bytes=10_000)))) as number:
        yield number


@pytest.fixture(scope="module")
def locked() -> Iterator[int]:
    with live(echoing(ServeSettings(keys=("first", KEY)))) as number:
        yield number


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


# ---- keys ----


@pytest.mark.parametrize(
    ("given", "number"),
    [(f"Bearer {KEY}", "2"), (f"bearer   {KEY} ", "2"), ("Bearer first", "1"), (basic("", KEY), "2"),
     (basic("anybody", "first"), "1"), (f"BASIC {base64.b64encode(b'u:first').decode()}", "1")],
)  # fmt: skip
def test_a_key_opens_and_is_known_by_its_number(locked: int, given: str, number: str) -> None:
    answer = send(locked, request(authorization=given))
    assert status(answer) == 200 and f'"key":"{number}"'.encode() in answer


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer ", f"Bearer {KEY[:-1]}", f"Bearer {KEY}x", f"Bearer{KEY}", KEY, f"Token {KEY}",
     f"Bearer {KEY.upper()}", "Bearer ☃", "Basic", "Basic !!!", basic(KEY, ""), basic(KEY, "x"), f"Basic {KEY}",
     f"Bearer first {KEY}", f"Bearer first,{KEY}", f'Bearer "{KEY}"', "Bearer \x01"],
)  # fmt: skip
def test_nothing_else_opens(locked: int, given: str) -> None:
    answer = send(locked, request(authorization=given))
    assert status(answer) in (400, 401)
    assert "key" in problem(answer)["message"] or status(answer) == 400
    assert KEY.encode() not in answer and b"first" not in answer


def test_a_key_given_twice_or_in_the_address_opens_nothing(locked: int) -> None:
    twice = f"Bearer {KEY}\r\nauthorization: Bearer {KEY}"
    assert status(send(locked, request(authorization=twice))) == 400
    for place in ("?key=first", "?api_key=first", "?authorization=Bearer%20first"):
        assert status(send(locked, request("/echo" + place))) == 401


def test_a_browser_is_asked_for_the_key(locked: int) -> None:
    answer = send(locked, request("/docs", None, "GET"))
    assert status(answer) == 401 and b'www-authenticate: Basic realm="Trivium"' in answer


def test_health_alone_needs_none(locked: int) -> None:
    assert status(send(locked, request("/health", None, "GET"))) == 200
    assert status(send(locked, request("/%68ealth", None, "GET"))) == 200
    for path in ("/health/", "//health", "/healthy", "/health/../echo", "/HEALTH", "/nothing", "/openapi.json"):
        assert status(send(locked, request(path, None, "GET"))) == 401, path


def test_every_key_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def watched(given: bytes, key: bytes) -> bool:
        compared.append(key)
        return hmac.compare_digest(given, key)

    monkeypatch.setattr("trivium.serving.guard.hmac", SimpleNamespace(compare_digest=watched))
    client = TestClient(echoing(ServeSettings(keys=("first", "second", "third"))), base_url="http://localhost")
    for given, expected in (("first", 404), ("third", 404), ("fourth", 401)):
        compared.clear()
        assert client.get("/nothing", headers={"authorization": f"Bearer {given}"}).status_code == expected
        assert compared == [b"first", b"second", b"third"]


def test_no_log_tells_a_key(locked: int, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("", "uvicorn.error", "uvicorn.access", "trivium", "asyncio"):
        caplog.set_level(logging.DEBUG, logger=name)
    for path, given in (("/echo", "Bearer first"), ("/broken", "Bearer first"), ("/echo?key=first", "Bearer wrong")):
        send(locked, request(path, b"{}" if path != "/broken" else None, "GET" if path == "/broken" else "POST",
                             authorization=given))  # fmt: skip
    assert "a secret of the server" in caplog.text  # what is logged is seen here
    assert "Bearer" not in caplog.text and "key=first" not in caplog.text


def test_a_blank_key_is_no_key() -> None:
    app = echoing(ServeSettings(keys=("good", " ")))
    with pytest.raises(SettingsError, match="blank"), TestClient(app):
        pass


# ---- hosts and origins ----


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:1", "[::1]:8000"])
def test_our_own_names_are_answered(port: int, host: str) -> None:
    assert status(send(port, request(host=host))) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.nip.example", "10.0.0.1", "0.0.0.0",
     "localhost@evil.example", "localhost:80:80", "localhost evil", "[::1", "localhost.", "127.1", "2130706433"],
)  # fmt: skip
def test_other_names_are_refused(port: int, host: str) -> None:
    answer = send(port, request(host=host))
    assert status(answer) in (400, 403)
    assert problem(answer)


def test_a_host_is_needed_and_only_one(port: int) -> None:
    assert status(send(port, request(host=""))) == 400
    assert status(send(port, request(host="localhost\r\nhost: localhost"))) == 400
    assert status(send(port, b"GET /health HTTP/1.0\r\n\r\n")) == 400
    assert status(send(port, b"GET http://evil.example/health HTTP/1.1\r\nhost: evil.example\r\n\r\n")) == 403


def test_a_server_for_others_is_asked_by_address_or_by_a_name_it_was_told() -> None:
    app = echoing(ServeSettings(host="0.0.0.0", keys=("k",), hosts=("Models.Example",)))
    client = TestClient(app)
    for host, expected in {
        "10.1.2.3:8000": 200, "[fe80::1]": 200, "models.example": 200, "evil.example": 403, "localhost": 200,
    }.items():  # fmt: skip
        assert client.get("/health", headers={"host": host}).status_code == expected, host


def test_addresses_of_this_machine_only() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "", "127.0.0.1.example")))
    assert "[::1]" in host_names(ServeSettings(host="::1"))


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("http://localhost", 200), ("https://localhost", 200), ("https://page.example", 200), ("null", 403),
     ("http://evil.example", 403), ("http://localhost:1234", 403), ("https://page.example.evil.example", 403),
     ("https://page.example:444", 403), ("http://page.example", 403), ("localhost", 403), ("file://", 403)],
)  # fmt: skip
def test_pages_elsewhere_may_ask_only_where_they_were_let(port: int, origin: str, expected: int) -> None:
    answer = send(port, request(origin=origin))
    assert status(answer) == expected
    allowed = b"access-control-allow-origin: https://page.example\r\n" in answer
    assert allowed == (origin == "https://page.example")
    assert answer.count(b"access-control-allow-origin") == allowed


def test_what_a_browser_asks_first(port: int) -> None:
    ask = {"access_control_request_method": "POST", "access_control_request_headers": "content-type,x-stainless-os"}
    answer = send(port, request("/echo", None, "OPTIONS", origin="https://page.example", **ask))
    assert status(answer) == 204 and b"access-control-allow-headers: content-type,x-stainless-os\r\n" in answer
    assert b"access-control-allow-credentials" not in answer
    assert status(send(port, request("/echo", None, "OPTIONS", origin="http://evil.example", **ask))) == 403


# ---- what is sent ----


@pytest.mark.parametrize(
    "kind",
    ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp",
     "text/json", "application/json; charset=utf-16", "application/json, text/plain", "text/plain; application/json"],
)  # fmt: skip
def test_only_json_is_read(port: int, kind: str) -> None:
    assert status(send(port, request(content_type=kind))) == 415


def test_json_is_read_with_its_usual_parameters(port: int) -> None:
    for kind in ("application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'):
        assert status(send(port, request(content_type=kind))) == 200
    assert status(send(port, request(content_encoding="gzip"))) == 415


def test_a_body_at_its_limit_is_read_and_one_byte_more_is_not(port: int) -> None:
    fits = b'{"a":"' + b"x" * (10_000 - 8) + b'"}'
    assert status(send(port, request(body=fits))) == 200
    for size in (1, 1_000_000):
        over = request(body=fits[:-2] + b"x" * size + b'"}')
        assert status(send(port, over)) == 413
        assert problem(send(port, over))["code"] == "body_too_large"


def test_a_body_in_chunks_has_the_same_limit(port: int) -> None:
    head = request(body=None, content_type="application/json", transfer_encoding="chunked")
    assert status(send(port, head + b'2\r\n{"\r\n5\r\na":1}\r\n0\r\n\r\n')) == 200
    chunk = b"3e8\r\n" + b" " * 1000 + b"\r\n"
    assert status(send(port, head + chunk * 11 + b"0\r\n\r\n")) == 413
    assert status(send(port, head + chunk * 11)) == 413  # before its end has come


def test_what_a_length_promises_is_not_believed(port: int) -> None:
    for length in ("10001", "99999999999", "9" * 30, "-1", "1e3", "0x10", "+2", "2 2", "２"):
        answer = send(port, request(content_length=length))
        assert status(answer) in (400, 413), length
        assert problem(answer)


def test_bodies_together_have_a_limit_too() -> None:
    settings = ServeSettings(caps=Caps(body_bytes=1000, body_seconds=60))
    with live(echoing(settings)) as port:
        half = request(body=b'{"a": "' + b"x" * 990 + b'"}')[:-5]
        waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(16)]
        for each in waiting:
            each.sendall(half)

        def answered(expected: int) -> bytes:
            """What is asked at last, when the server has read what came before."""
            answer = b""
            while status(answer) != expected:
                answer = send(port, request(body=b'{"a": "' + b"x" * 900 + b'"}'))
                assert status(answer) in (200, 429)
            return answer

        assert b"retry-after: 1\r\n" in answered(429)
        for each in waiting:
            each.close()
        answered(200)


def test_what_a_large_body_or_answer_took_is_given_back_when_no_body_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    given = threading.Semaphore(0)
    monkeypatch.setattr("trivium.serving.guard.give_back_freed_memory", given.release)
    with live(echoing(ServeSettings())) as port:
        assert status(send(port, request(body=b'{"a": 1}'))) == 200
        assert not given.acquire(timeout=1)  # after small ones nothing is worth it
        assert status(send(port, request("/large/1100000", None, "GET"))) == 200
        assert given.acquire(timeout=90)
        small = request(body=b'{"a": 1}')
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(small[:-1])
            for _ in range(2):
                assert status(send(port, request(body=b" " * 1_100_000))) == 400
            assert not given.acquire(timeout=1)
            slow.sendall(small[-1:])
            assert status(received(slow)) == 200  # the last of the rush is not a large one
        assert given.acquire(timeout=90) and not given.acquire(timeout=1)


def test_what_comes_with_get_is_thrown_away(port: int) -> None:
    assert status(send(port, request("/health", b"not json", "GET", content_type="text/plain"))) == 200


# ---- answers ----


@pytest.mark.parametrize(
    ("path", "method", "expected"),
    [("/health", "GET", 200), ("/nothing", "GET", 404), ("/echo", "GET", 405), ("/broken", "GET", 500),
     ("/docs", "GET", 200), ("/nothing", "POST", 404)],
)  # fmt: skip
def test_every_answer_tells_browsers_to_run_nothing(port: int, path: str, method: str, expected: int) -> None:
    answer = send(port, request(path, b"{}" if method == "POST" else None, method))
    assert status(answer) == expected
    for name, value in SECURITY.items():
        assert f"{name}: {value}\r\n".encode() in answer
    assert b"cache-control: no-store\r\n" in answer and b"server: " not in answer
    if expected >= 400:
        assert problem(answer)
    assert b"a secret" not in answer and b"Traceback" not in answer


def test_the_policy_lets_in_nothing_from_elsewhere_and_nothing_inline() -> None:
    policy = SECURITY["content-security-policy"]
    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["default-src"] == "'none'"
    allowed = {word for value in directives.values() for word in value.split()}
    assert allowed == {"'none'", "'self'", "data:"}
    assert [name for name, value in directives.items() if "data:" in value] == ["img-src"]
