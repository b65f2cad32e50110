"""A server on a real socket, in a thread of the test, and a client that sends any bytes."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI, Request

from trivium.serving.app import application
from trivium.serving.connections import connection_class
from trivium.serving.house import House
from trivium.serving.scheduler import Scheduler
from trivium.serving.settings import ServeSettings


def echoing(settings: ServeSettings, *names: str) -> FastAPI:
    """The application with models that cannot be used, and with routes that give back what came through the guard."""
    nothing: Any = SimpleNamespace(abilities=frozenset())
    app = application(House(dict.fromkeys(names, nothing), Scheduler(settings), settings))
    router = APIRouter()

    @router.post("/echo")
    async def echo(request: Request) -> dict[str, Any]:
        return {"body": await request.json(), "key": request.state.key}

    @router.get("/large/{size}")
    async def large(size: int) -> dict[str, str]:
        return {"text": "x" * size}

    @router.get("/broken")
    async def broken() -> None:
        raise RuntimeError("a secret of the server")

    app.include_router(router)
    return app


@contextmanager
def live(app: FastAPI) -> Iterator[int]:
    """The port at which the application answers."""
    config = uvicorn.Config(
        app, port=0, log_level="critical", ws="none", http=connection_class(app.state.house.settings.caps),
        proxy_headers=False, server_header=False, timeout_graceful_shutdown=3,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.005)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(90)
    assert not thread.is_alive(), "the server did not stop"


def in_time(trial: Callable[[], None]) -> None:
    """A trial whose clocks are short. A busy machine may let one run out that would not have, and then what comes of it
    says nothing: one of a few trials must go well."""
    for _ in range(9):
        try:
            return trial()
        except (AssertionError, OSError):
            time.sleep(0.5)
    trial()


def send(port: int, raw: bytes, seconds: float = 90.0) -> bytes:
    """What comes back until the server closes or has answered whole."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        try:
            connection.sendall(raw)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return received(connection, raw.startswith(b"HEAD"))


def received(connection: socket.socket, without_body: bool = False) -> bytes:
    """One answer with a length, or all until the end."""
    got = b""
    while True:
        head, blank, body = got.partition(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if blank and length and len(body) >= int(length[0].split(b":")[1]):
            return got
        if blank and (without_body or head.split(b" ", 2)[1] in (b"204", b"304")):
            return got
        try:
            part = connection.recv(1 << 16)
        except ConnectionResetError:
            return got
        if not part:
            return got
        got += part


def status(answer: bytes) -> int:
    """0 where there is none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def problem(answer: bytes) -> dict[str, Any]:
    """The error of an answer; fails where it has not OpenAI's shape."""
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert set(body) == {"error"} and set(body["error"]) == {"message", "type", "param", "code"}, body
    assert isinstance(body["error"]["message"], str) and body["error"]["message"]
    return body["error"]


def request(
    path: str = "/echo", body: bytes | None = b"{}", method: str = "POST", host: str = "localhost", **headers: str
) -> bytes:
    """A request as bytes; ``content_type=""`` leaves a header out."""
    named = {"host": host, "content-type": "application/json" if body is not None else ""}
    named |= {"content-length": str(len(body))} if body is not None else {}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in named.items() if value)]
    return "\r\n".join(lines).encode("utf-8") + b"\r\n\r\n" + (body or b"")
