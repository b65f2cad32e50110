"""Clients that are slow, send too much of a head, or read nothing: their connections end, and nobody else's do."""

import socket
import time
from collections.abc import Callable, Iterator

import pytest
from tests.serving.live_server import echoing, in_time, live, problem, received, request, send, status

from trivium.serving.settings import Caps, ServeSettings

CAPS = Caps(
    header_seconds=0.4, body_seconds=0.4, idle_seconds=0.4, write_seconds=0.5, linger_seconds=0.3, connections=40
)  # fmt: skip


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with live(echoing(ServeSettings(caps=CAPS))) as number:
        yield number


def open_one(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=90)


def ended(connection: socket.socket) -> tuple[bytes, float]:
    """All that came until the end, and after how long that was."""
    begun, got = time.monotonic(), b""
    try:
        while part := connection.recv(1 << 16):
            got += part
    except ConnectionResetError:
        pass
    return got, time.monotonic() - begun


@pytest.mark.parametrize("end", [0, 1, 20, -9, -1, None])
def test_a_client_that_says_nothing_or_half_is_told_so(port: int, end: int | None) -> None:
    sent = b"\r\n\r\n" if end is None else request(body=b'{"a": 1}')[:end]

    def trial() -> None:
        with open_one(port) as connection:
            connection.sendall(sent)
            answer, seconds = ended(connection)
            assert status(answer) == 408 and problem(answer)["code"] == "request_timeout"
            assert 0.3 < seconds < 2

    in_time(trial)


@pytest.mark.parametrize("cut", [0, 100])
def test_dripping_does_not_help(port: int, cut: int) -> None:
    sent = request(x="y" * 200, body=b'{"a": "' + b"x" * 200 + b'"}')

    def trial() -> None:
        with open_one(port) as connection:
            connection.sendall(sent[:cut] if cut == 0 else sent[:-cut])
            begun = time.monotonic()
            try:
                for byte in sent[cut:] if cut == 0 else sent[-cut:]:
                    connection.sendall(bytes([byte]))
                    time.sleep(0.02)
                    if time.monotonic() - begun > 3:
                        break
            except (BrokenPipeError, ConnectionResetError):
                pass
            assert time.monotonic() - begun < 3

    in_time(trial)


def test_an_idle_connection_is_closed_and_serves_until_then(port: int) -> None:
    def trial() -> None:
        with open_one(port) as connection:
            for _ in range(3):
                connection.sendall(request())
                assert status(received(connection)) == 200
                time.sleep(0.1)
            answer, seconds = ended(connection)
            assert answer == b"" and seconds < 2

    in_time(trial)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda: request(x="y" * 60_000), 200),
        (lambda: request(x="y" * 66_000), 431),
        (lambda: request(x="y" * 6_000_000), 431),
        (lambda: request(**{f"x{i}": "y" for i in range(97)}), 200),
        (lambda: request(**{f"x{i}": "y" for i in range(98)}), 431),
        (lambda: request(**{f"x{i}": "y" for i in range(9800)}), 431),
        (lambda: b"POST /echo HTTP/1.1\r\nx: " + b"y" * 100_000, 431),
        (lambda: b"POST /" + b"y" * 100_000, 431),
        (lambda: request("/echo?" + "x" * 8000), 200),
        (lambda: request("/echo?" + "x" * 8200), 414),
    ],
)
def test_heads_have_limits(port: int, change: Callable[[], bytes], expected: int) -> None:
    answer = send(port, change())
    assert status(answer) == expected
    if expected != 200:
        assert problem(answer)


def test_an_answer_that_is_not_read_ends_its_connection(port: int) -> None:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", port))
        connection.sendall(request("/large/30000000", None, "GET"))
        connection.recv(1)  # it has begun to answer
        time.sleep(1.5)
        connection.settimeout(90)
        got, _ = ended(connection)
        assert len(got) < 30_000_000


def test_a_slow_answer_is_not_a_slow_client(port: int) -> None:
    def trial() -> None:
        with open_one(port) as connection:
            connection.sendall(request("/large/30000000", None, "GET"))
            read = 0
            for _ in range(20):  # longer than any clock, but never still for long
                read += len(connection.recv(1 << 20))
                time.sleep(0.06)
            while len(part := connection.recv(1 << 20)):
                read += len(part)
                if read > 30_000_000:
                    break
            assert read > 30_000_000

    in_time(trial)


def test_the_oldest_silent_connection_makes_room(port: int) -> None:
    time.sleep(0.6)
    silent = [open_one(port) for _ in range(39)]
    assert status(send(port, request())) == 200
    more = [open_one(port) for _ in range(5)]
    assert status(send(port, request())) == 200
    for each in (*silent, *more):
        each.close()


def answered_at_once(port: int) -> None:
    begun = time.monotonic()
    assert status(send(port, request("/health", None, "GET"))) == 200
    assert time.monotonic() - begun < 1


def test_two_hundred_slow_clients_keep_nobody_from_being_answered(port: int) -> None:
    slow = []
    for number in range(200):
        try:
            connection = open_one(port)
            connection.sendall(request()[: 5 + number % 60])
            slow.append(connection)
        except (BrokenPipeError, ConnectionResetError):
            pass
        if number % 20 == 0:
            in_time(lambda: answered_at_once(port))
    for each in slow:
        each.close()


_GET = b"GET /health HTTP/1.1\r\n"
_HOST = b"host: localhost\r\n"


def chunked(body: bytes, coding: str = "chunked") -> bytes:
    return request(content_length="", transfer_encoding=coding, body=body)


SMUGGLED = {
    "a length and chunks": b"POST /echo HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 2\r\n"
    + _HOST + b"transfer-encoding: chunked\r\n\r\n{}" + _GET + _HOST + b"\r\n",
    "two lengths": request(content_length="2\r\ncontent-length: 3"),
    "chunks by another name": chunked(b"{}", "xchunked"),
    "chunks and more": chunked(b"{}", "chunked, identity"),
    "chunks twice": chunked(b"{}", "chunked\r\ntransfer-encoding: chunked"),
    "a bad size": chunked(b"zz\r\n{}\r\n0\r\n\r\n"),
    "a huge size": chunked(b"f" * 40 + b"\r\n{}\r\n0\r\n\r\n"),
    "a negative size": chunked(b"-2\r\n{}\r\n0\r\n\r\n"),
    "a chunk longer than it says": chunked(b"1\r\n{}\r\n0\r\n\r\n"),
    "no version": b"GET /health\r\n\r\n",
    "another version": b"GET /health HTTP/3.7\r\n" + _HOST + b"\r\n",
    "HTTP/2 at once": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60,
    "no name": _GET + b": localhost\r\n\r\n",
    "a space in a name": request(**{"x y": "1"}),
    "a folded line": request(x="1\r\n 2"),
    "a bare line feed": b"GET /health HTTP/1.1\nhost: localhost\n\n",
    "NUL in a value": request(x="a\x00b"),
    "a bare return": request(x="a\rb: c"),
    "bytes": bytes(range(256)) * 8,
    "a proxy's word": b"CONNECT localhost:80 HTTP/1.1\r\n" + _HOST + b"\r\n",
    "an unknown word": b"BREW /health HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a star": b"OPTIONS * HTTP/1.1\r\n" + _HOST + b"\r\n",
    "bytes in an address": b"GET /\xff\xfe HTTP/1.1\r\n" + _HOST + b"\r\n",
    "two slashes": b"GET //evil.example/x HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a websocket": request("/echo", None, "GET", upgrade="websocket", connection="upgrade",
                           sec_websocket_key="eHh4eHh4eHh4eHh4eHh4eA==", sec_websocket_version="13"),
    "HTTP/2 by upgrade": request("/echo", None, "GET", upgrade="h2c", connection="upgrade, http2-settings"),
}  # fmt: skip


@pytest.mark.parametrize("name", SMUGGLED)
def test_what_two_servers_could_read_differently_is_not_read(port: int, name: str) -> None:
    answer = send(port, SMUGGLED[name])
    assert 400 <= status(answer) < 500, answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert problem(answer)
    assert status(send(port, request())) == 200


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    with open_one(port) as connection:
        connection.sendall(b"".join(request(body=b'{"n": %d}' % number) for number in range(20)))
        got = b""
        while got.count(b'"body"') < 20 and (part := connection.recv(1 << 16)):
            got += part
        places = [got.index(b'{"n":%d}' % number) for number in range(20)]
        assert places == sorted(places)


def test_a_body_is_no_head_however_its_bytes_are_cut(port: int) -> None:
    whole = request(body=b'{"a": "' + b"x" * 300_000 + b'"}')
    assert status(send(port, whole)) == 200

    def trial() -> None:
        with open_one(port) as connection:
            connection.sendall(whole + whole[:30])
            assert status(received(connection)) == 200
            connection.sendall(whole[30:])
            assert status(received(connection)) == 200

    in_time(trial)


_PLAIN = request(body=b'{"n": 1}')
_SPOILS = ((b"", 1), (b"\x00", 0), (b"\r", 0), (b"\n", 1), (b"\xff", 1), (b":", 0), (b" ", 0))  # put, and bytes gone


def spoilt() -> list[bytes]:
    """A plain request with one byte of its head too few, too many, or another: at every place, in every way."""
    places = range(_PLAIN.index(b"\r\n\r\n") + 4)
    changed = [_PLAIN[:place] + put + _PLAIN[place + gone :] for place in places for put, gone in _SPOILS]
    return [each for each in dict.fromkeys(changed) if each != _PLAIN]


def refused_of(port: int, requests: list[bytes]) -> int:
    """How many of them are refused; fails where one is answered otherwise than a plain request or a refusal."""
    refused = 0

    def answered_plainly() -> None:
        answer = send(port, _PLAIN)
        assert status(answer) == 200 and answer.endswith(b'{"body":{"n":1},"key":""}'), answer

    for each in requests:
        answer = send(port, each)
        assert status(answer) == 200 or 400 <= status(answer) < 500, (each, answer)
        if status(answer) != 200:
            refused += bool(problem(answer))
        in_time(answered_plainly)
    return refused


def test_one_wrong_byte_of_a_head_is_refused_and_nothing_after_it_differs(port: int) -> None:
    few = spoilt()[::10]
    assert refused_of(port, few) > len(few) * 3 // 4


@pytest.mark.slow
def test_hundreds_of_spoilt_heads_and_nothing_after_them_differs(port: int) -> None:
    assert len(spoilt()) > 500
    assert refused_of(port, spoilt()) >= 300
