"""Requests that schemathesis makes from the schema, right ones and wrong ones: none is answered with 5xx.

The schema is the one that the server gives; the requests go over a real socket; after each operation the server answers
a plain request as it did before.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from tests.serving.live_server import live, request, send, status
from tests.serving.whole_house import whole_house

from trivium.serving.settings import Caps, ServeSettings

REFERENCE = b'{"prompt": "The quick", "max_tokens": 4, "temperature": 0, "logprobs": 1}'
ALL = 500  # requests of the quick test, of all operations together
EACH = 5000  # of the slow one, of each


@pytest.fixture(scope="module")
def house(tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, int]]:
    runs = tmp_path_factory.mktemp("runs")
    app = whole_house(tiny_models, runs, ServeSettings(caps=Caps(linger_seconds=0.05), runs=str(runs)))
    with live(app) as port:
        yield app, port


def tried(port: int, label: str, count: int) -> list[int]:
    """The statuses of so many requests of one operation, half of them as the schema wants, half not."""
    loaded = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    method, path = label.split(" ")
    operation = loaded[path][method]
    statuses: list[int] = []

    asks = operation.definition.raw
    modes = [GenerationMode.POSITIVE, GenerationMode.NEGATIVE] if {"parameters", "requestBody"} & set(asks) else []
    for mode in modes or [GenerationMode.POSITIVE]:

        @given(operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=max(1, count // 2) if modes else 3, derandomize=True, database=None, deadline=None,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        def one(case: schemathesis.Case) -> None:
            answer = case.call(base_url=f"http://127.0.0.1:{port}", timeout=60)
            statuses.append(answer.status_code)
            assert answer.status_code < 500, answer.text
            if answer.status_code >= 400:
                assert set(answer.json()) == {"error"}
                assert set(answer.json()["error"]) == {"message", "type", "param", "code"}

        try:
            one()
        except Unsatisfiable:  # whatever is asked there is right: a path of any letters
            assert mode is GenerationMode.NEGATIVE and "requestBody" not in asks, label
    return statuses


def operations(app: FastAPI) -> list[str]:
    return [f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods]


def answered(port: int) -> bytes:
    answer = send(port, request("/v1/completions", REFERENCE))
    assert status(answer) == 200
    return answer.partition(b'"choices"')[2]


def test_a_few_requests_of_every_operation(house: tuple[FastAPI, int]) -> None:
    app, port = house
    before, found = answered(port), []
    for label in operations(app):
        found += tried(port, label, ALL // len(operations(app)))
        assert answered(port) == before, label
    assert {200, 400} <= set(found) and len(found) > ALL // 2


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_thousands_of_requests_of_every_operation(house: tuple[FastAPI, int]) -> None:
    app, port = house
    before = answered(port)
    for label in operations(app):
        assert tried(port, label, EACH), label
        assert answered(port) == before, label
