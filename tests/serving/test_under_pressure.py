"""While each bound is pressed, ``/health`` answers at once, memory stays, and the process lives. A real process."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.serving.live_server import request, send, status

if TYPE_CHECKING:
    from tests.serving.conftest import Running

MIB = 1 << 20


def body(path: str, **fields: object) -> bytes:
    return request(path, json.dumps(fields).encode())


def raw(path: str, shape: bytes, size: int = 8 * MIB - 100) -> bytes:
    return request(path, b'{"input":[' + shape * (size // len(shape)))


COMPLETE = {"prompt": "The", "max_tokens": 4}
PRESSED: dict[str, Callable[[], bytes]] = {  # each is over a bound, or at it
    "a body of a thousand times the bound": lambda: request("/tokenize", b" " * (24 * MIB)),
    "one byte more": lambda: request("/tokenize", b" " * (8 * MIB + 1)),
    "a length that lies": lambda: request("/tokenize", b"{}", content_length=str(1 << 40)),
    "chunks without end": lambda: request("/tokenize", None, content_type="application/json",
                                          transfer_encoding="chunked") + (b"100000\r\n" + b" " * MIB + b"\r\n") * 12,
    "numbers": lambda: raw("/v1/embeddings", b"1,"), "lists": lambda: raw("/v1/embeddings", b"[],"),
    "depth": lambda: raw("/v1/embeddings", b"["), "texts": lambda: raw("/v1/embeddings", b'"",'),
    "escapes": lambda: raw("/v1/embeddings", b"\\u0041"), "quotes": lambda: raw("/v1/embeddings", b'\\"'),
    "values at the bound": lambda: body("/v1/embeddings", input=["x"] * 262_000),
    "wrong values at the bound": lambda: body("/v1/embeddings", input=[[{}]] * 130_000),
    "fields at the bound": lambda: body("/v1/completions", **COMPLETE, logit_bias=dict.fromkeys(range(130000), "x")),
    "unknown fields": lambda: body("/v1/completions", **{f"x{i}": 1 for i in range(130_000)}),
    "one long text": lambda: body("/tokenize", text="word " * (8 * MIB // 5 - 100)),
    "a text at its bound": lambda: body("/tokenize", text="word " * (MIB // 5)),
    "a word without end": lambda: body("/tokenize", text="a" * MIB),
    "a long prompt": lambda: body("/v1/completions", **{**COMPLETE, "prompt": "word " * (MIB // 5)}),
    "ids without end": lambda: body("/detokenize", ids=list(range(260_000))),
    "messages": lambda: body("/v1/chat/completions", messages=[{"role": "user", "content": "x"}] * 50_000),
    "choices": lambda: body("/v1/completions", **COMPLETE, n=10_000),
    "prompts": lambda: body("/v1/completions", **{**COMPLETE, "prompt": ["x"] * 100_000}),
    "stops": lambda: body("/v1/completions", **COMPLETE, stop=["x"] * 100_000),
    "a long stop": lambda: body("/v1/completions", **COMPLETE, stop="x" * MIB),
    "tokens": lambda: body("/v1/completions", prompt="x", max_tokens=2**40),
    "log-probabilities": lambda: body("/v1/completions", **COMPLETE, logprobs=10_000),
    "headers": lambda: request("/tokenize", **{f"x{i}": "y" * 50 for i in range(10_000)}),
    "a header": lambda: request("/tokenize", x="y" * 10_000_000),
    "an address": lambda: request("/" + "y" * 1_000_000, None, "GET"),
}  # fmt: skip


def pressed(server: "Running", seconds: float) -> tuple[list[float], dict[str, int]]:
    """Seconds that /health took while all of these were sent, and the latest status of each."""
    sent = {name: make() for name, make in PRESSED.items()}
    statuses: dict[str, int] = {}
    took: list[float] = []
    until = time.monotonic() + seconds
    done = threading.Event()

    def press(names: list[str]) -> None:
        while time.monotonic() < until or not set(names) <= set(statuses):
            for name in names:
                statuses[name] = status(send(server.port, sent[name], 60))
        # Each of them is sent at least once, however slow the machine.

    def ping() -> None:
        while not done.wait(0.05):
            begun = time.perf_counter()
            assert status(send(server.port, request("/health", None, "GET"), 60)) == 200
            took.append(time.perf_counter() - begun)

    names = list(PRESSED)
    pressers = [threading.Thread(target=press, args=(names[i::2],)) for i in range(2)]
    pinger = threading.Thread(target=ping)
    for each in (pinger, *pressers):
        each.start()
    for each in pressers:
        each.join()
    done.set()
    pinger.join()
    return sorted(took), statuses


def memory(server: "Running") -> int:
    fields = Path(f"/proc/{server.process.pid}/status").read_text().split("VmRSS:")[1]
    return int(fields.split()[0]) * 1024


def test_what_is_over_a_bound_is_refused_and_health_answers(server: "Running") -> None:
    took, statuses = pressed(server, 0)
    wrong = {name: code for name, code in statuses.items() if not (200 <= code < 500)}
    assert not wrong and server.process.poll() is None
    assert {"a text at its bound", "a word without end"} >= {name for name, code in statuses.items() if code < 400}
    assert took[len(took) * 9 // 10] < 1.0, took[-10:]


@pytest.fixture(scope="module")
def minute(server: "Running") -> tuple[list[float], int]:
    """Of a minute's pressure: the seconds that /health took, and by how many bytes memory is larger afterwards."""
    pressed(server, 0)
    before = memory(server)
    took, _ = pressed(server, 60)
    until = time.monotonic() + 30
    while memory(server) - before > 16 * MIB and time.monotonic() < until:
        time.sleep(1)
    return took, memory(server) - before


@pytest.mark.slow
def test_health_answers_within_a_quarter_second(minute: tuple[list[float], int]) -> None:
    """On a machine that does little else: the clients here need as much of it as the server."""
    took = minute[0]
    assert took[len(took) * 99 // 100] < 0.25, took[-20:]


@pytest.mark.slow
def test_memory_comes_back(minute: tuple[list[float], int]) -> None:
    assert minute[1] < 16 * MIB
