"""A server in a thread, on a real socket, with models that a test has made; and one request to it."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import uvicorn

from trivium.serving.app import application
from trivium.serving.house import House, Served
from trivium.serving.scheduler import Scheduler
from trivium.serving.settings import ServeSettings
from trivium.verbs.load import LanguageModel


def served(name: str, model: LanguageModel, *abilities: str, **known: Any) -> Served:
    return Served(name, model, 0, abilities=frozenset(abilities), **known)


@contextmanager
def serving(*models: Served, **changes: Any) -> Iterator[str]:
    """The address of a server, until the test has ended."""
    settings = ServeSettings(**changes)
    house = House({each.name: each for each in models}, Scheduler(), settings)
    server = uvicorn.Server(uvicorn.Config(application(house), "127.0.0.1", 0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def ask(address: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
    """The status and the JSON of an answer; without a body, of a GET."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as problem:
        return problem.code, json.load(problem)


def refused(address: str, path: str, body: Mapping[str, Any]) -> tuple[str, str | None]:
    """The message and the field of a refusal."""
    status, answer = ask(address, path, body)
    assert status == 400, (status, answer)
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    return answer["error"]["message"], answer["error"]["param"]
