"""Requests that schemathesis makes from the schema, right ones and wrong ones: none is answered with 5xx.

The schema is the one that the server gives; the requests go over a real socket; after each operation the server answers
a plain request as it did before.
"""

from collections import Counter
from collections.abc import Iterator

import pytest
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.schemas import APIOperation
from tests.serving.live_server import live, request, send, status
from tests.serving.whole_house import whole_house

from trivium.serving.house import Served
from trivium.serving.settings import Caps, ServeSettings

REFERENCE = b'{"prompt": "The quick", "max_tokens": 4, "temperature": 0, "logprobs": 1}'
ALL = 500  # requests of the quick test, of all operations together
EACH = 5000  # of the slow one, of each
WITHOUT_CHOICE = ("GET /health", "GET /v1/models", "GET /runs", "GET /metrics")  # no parameter, no body
OPERATIONS = (  # a test of its own for each, so that they can be run side by side
    *WITHOUT_CHOICE,
    *("GET /v1/models/{name}", "GET /runs/{id}", "POST /runs/compare"),
    *("POST /v1/completions", "POST /v1/chat/completions", "POST /v1/embeddings", "POST /fill"),
    *("POST /tokenize", "POST /detokenize", "POST /estimate"),
    *("POST /classify", "POST /tag", "POST /spans", "POST /answer", "POST /rewrite", "POST /score"),
    *("POST /views/attention", "POST /views/lens", "POST /views/words", "POST /views/surprise", "POST /views/steps"),
)


@pytest.fixture(scope="module")
def house(whole_models: dict[str, Served], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[FastAPI, int]]:
    runs = tmp_path_factory.mktemp("runs")
    caps = Caps(linger_seconds=0.05, idle_seconds=600.0)
    app = whole_house(whole_models, runs, ServeSettings(caps=caps, runs=str(runs)))
    with live(app) as port:
        yield app, port


def tried(port: int, label: str, count: int) -> list[int]:
    """The statuses of so many requests of one operation, half of them as the schema wants, half not."""
    loaded = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    method, path = label.split(" ")
    operation = loaded[path][method]
    if not {"parameters", "requestBody"} & set(operation.definition.raw):
        return sent(port, operation, GenerationMode.POSITIVE, 3)  # there is one way to ask it
    try:
        wrong = sent(port, operation, GenerationMode.NEGATIVE, count // 2)
    except Unsatisfiable:  # whatever is asked there is right: a path of any letters
        assert "requestBody" not in operation.definition.raw, label
        wrong = []
    return wrong + sent(port, operation, GenerationMode.POSITIVE, max(1, count - len(wrong)))


def sent(port: int, operation: APIOperation, mode: GenerationMode, count: int) -> list[int]:
    """The statuses of so many requests of one kind. One connection for as many as it lasts, and nothing asked of the
    environment: of 5,000 requests the client would else take most of the time."""
    statuses: list[int] = []
    session = requests.Session()
    session.trust_env = False

    @given(operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=count, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def one(case: schemathesis.Case) -> None:
        answer = case.call(base_url=f"http://127.0.0.1:{port}", session=session, timeout=280)
        statuses.append(answer.status_code)
        assert answer.status_code < 500, answer.text
        if answer.status_code >= 400:
            assert set(answer.json()) == {"error"}
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}

    with session:
        one()
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
@pytest.mark.parametrize("label", OPERATIONS)
def test_thousands_of_requests_of_every_operation(house: tuple[FastAPI, int], label: str) -> None:
    app, port = house
    before = answered(port)
    statuses = tried(port, label, EACH)
    print(label, len(statuses), dict(sorted(Counter(statuses).items())))  # shown by -rP
    assert len(statuses) >= EACH or label in WITHOUT_CHOICE
    assert answered(port) == before, label


def test_every_operation_is_asked(house: tuple[FastAPI, int]) -> None:
    assert sorted(OPERATIONS) == sorted(operations(house[0]))
