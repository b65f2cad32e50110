"""A server with models that a test has made, and one request to it."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from live_server import live

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
    house = House({each.name: each for each in models}, Scheduler(settings), settings)
    with live(application(house)) as port:
        yield f"http://127.0.0.1:{port}"


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
