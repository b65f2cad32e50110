"""Serving: Trivium against ``transformers serve``, the same model, on this machine, in one run; and a test under load.

    python benchmarks/serving.py                       # throughput at 16 concurrent requests, on an idle machine
    python benchmarks/serving.py --load --minutes 5    # 64 clients, streaming and not: is anything lost or mixed up?
    python benchmarks/serving.py --quick               # does it run at all

Throughput: so many clients, each with one request after another, of 32 to 96 new tokens after prompts of 8 to 40
words; greedy, no end token. Every engine gets the same requests in the same order, one server at a time, after a warm
up; tokens are those that were asked for. ``transformers serve`` is run as it comes and with ``--continuous-batching``.

Load: every request has a word of its own in its prompt, and what comes back is held against the answer that a request
gets alone. Sums in floating point may differ in their last bits with the shape of a batch, so a text that leaves its
solo run is looked at: at the token where it does, both must be within 0.001 of each other's log-probability, or it
counts as wrong.
"""

import argparse
import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from pretraining import machine

ENGINES = {
    "transformers": "`transformers serve`",
    "transformers-batching": "`transformers serve --continuous-batching`",
    "trivium-float32": "**Trivium**, float32",
    "trivium-bfloat16": "**Trivium**, bf16",
    "trivium-int8": "**Trivium**, int8",
}
WORDS = (
    "river mill winter letter garden road candle harbour window orchard bridge lantern meadow storm kitchen market "
    "teacher sailor painter clock forest mountain village church station island morning evening silver copper wooden"
).split()
TIE = 1e-3  # natural-log probability


@dataclass(frozen=True)
class Ask:
    """One request."""

    number: int
    prompt: str
    tokens: int
    stream: bool = False
    chat: bool = False


@dataclass
class Said:
    """What came back: the text, and its tokens where they were asked for; ``problem`` where nothing did."""

    text: str = ""
    tokens: list[str] = field(default_factory=list)
    top: list[dict[str, float]] = field(default_factory=list)
    first: float = 0.0  # seconds until the first text
    seconds: float = 0.0
    problem: str = ""


def asks(count: int, seed: int, *, mixed: bool = False) -> list[Ask]:
    """Requests whose prompts all differ."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        words = [draw.choice(WORDS) for _ in range(draw.randint(8, 40))]
        text = f"Story {number}, {words[0]} {draw.randrange(10**6)}: The " + " ".join(words)
        made.append(Ask(number, text, draw.randint(32, 96), mixed and number % 2 == 1, mixed and number % 4 >= 2))
    return made


def body(ask: Ask, model: str, ours: bool, logprobs: bool) -> tuple[str, dict[str, Any]]:
    """The route and the JSON. What no server ends of itself: only ours can be told so."""
    settings: dict[str, Any] = {"model": model, "max_tokens": ask.tokens, "temperature": 0, "seed": 1}
    settings["stream"] = ask.stream
    if ours:
        settings["min_tokens"] = ask.tokens
    if ask.chat:
        more = {"logprobs": True, "top_logprobs": 5} if logprobs else {}
        return "/v1/chat/completions", {**settings, **more, "messages": [{"role": "user", "content": ask.prompt}]}
    more = {"logprobs": 5} if logprobs else {}
    return "/v1/completions", {**settings, **more, "prompt": ask.prompt}


def send(port: int, ask: Ask, model: str, ours: bool, logprobs: bool = False, timeout: float = 600.0) -> Said:
    """One request on a connection of its own."""
    said, begun = Said(), time.perf_counter()
    route, settings = body(ask, model, ours, logprobs)
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        line.request("POST", route, json.dumps(settings), {"Content-Type": "application/json"})
        answer = line.getresponse()
        if answer.status != 200:
            said.problem = f"{answer.status}: {answer.read(300).decode(errors='replace')}"
        elif ask.stream:
            ended = False
            for event in events(answer):
                if event == "[DONE]":
                    ended = True
                    break
                take(said, json.loads(event), begun)
            said.problem = "" if ended else "the stream did not end with [DONE]"
        else:
            take(said, json.loads(answer.read()), begun)
    except (OSError, http.client.HTTPException, ValueError) as problem:
        said.problem = f"{type(problem).__name__}: {problem}"
    finally:
        line.close()
    said.seconds = time.perf_counter() - begun
    return said


def events(answer: http.client.HTTPResponse) -> Iterator[str]:
    for line in answer:
        if line.startswith(b"data:"):
            yield line[5:].strip().decode()


def take(said: Said, sent: dict[str, Any], begun: float) -> None:
    """Adds what one body or one event holds."""
    for choice in sent.get("choices", ()):
        part = choice.get("delta") or choice.get("message") or {}
        text = choice.get("text") or part.get("content") or ""
        if text and not said.first:
            said.first = time.perf_counter() - begun
        said.text += text
        found = choice.get("logprobs") or {}
        for each in found.get("content") or ():
            said.tokens.append(each["token"])
            said.top.append({one["token"]: one["logprob"] for one in each["top_logprobs"]})
        if found.get("tokens"):
            said.tokens += found["tokens"]
            said.top += [dict(each) for each in found["top_logprobs"]]


@contextmanager
def served(engine: str, folder: Path, log: Path) -> Iterator[int]:
    """A server's port, while it runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    if engine.startswith("trivium"):
        precision = engine.removeprefix("trivium-")
        command = [sys.executable, "-m", "trivium", "serve", "--model", f"m={folder}", "--precision", precision]
        command += ["--port", str(port)]
    else:
        command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(folder), "--port", str(port)]
        command += ["--host", "127.0.0.1", "--dtype", "auto", "--device", "cpu"]
        command += ["--continuous-batching"] if engine.endswith("batching") else []
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env={**os.environ, "HF_HUB_OFFLINE": "1"})
        try:
            wait_for(port, process, log)
            yield port
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path, seconds: float = 180.0) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            raise SystemExit(f"the server ended: {log.read_text(errors='replace')[-800:]}")
        try:
            line = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            line.request("GET", "/health")
            if line.getresponse().status == 200:
                return
        except OSError:
            time.sleep(0.3)
    raise SystemExit(f"the server did not answer within {seconds:.0f} s")


def run(port: int, wanted: list[Ask], clients: int, model: str, ours: bool, logprobs: bool = False) -> list[Said]:
    """Answers in the order of the requests; each client sends its next when its last was answered."""
    answers: list[Said] = [Said(problem="never sent") for _ in wanted]
    waiting, lock = iter(enumerate(wanted)), threading.Lock()

    def client() -> None:
        while True:
            with lock:
                mine = next(waiting, None)
            if mine is None:
                return
            answers[mine[0]] = send(port, mine[1], model, ours, logprobs)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def throughput(arguments: argparse.Namespace, folder: Path, scratch: Path) -> None:
    count = arguments.clients if arguments.quick else 3 * arguments.clients
    wanted = asks(count, seed=1)
    tokens = sum(ask.tokens for ask in wanted)
    rates: dict[str, float] = {}
    print(f"{machine()}\n\n{count} requests of {arguments.clients} clients, {tokens:,} tokens, no stream\n")
    print("| engine | tokens/s | median seconds of a request | requests that failed |\n|---|---:|---:|---:|")
    for engine in arguments.engines:
        ours = engine.startswith("trivium")
        log = scratch / f"{engine}.log"
        try:
            with served(engine, folder, log) as port:
                name = "m" if ours else str(folder)
                run(port, asks(2, seed=9), 2, name, ours)  # a first request loads, and compiles
                begun = time.perf_counter()
                answers = run(port, wanted, arguments.clients, name, ours)
                seconds = time.perf_counter() - begun
        except SystemExit as problem:
            print(f"| {ENGINES[engine]} | did not run: {str(problem)[:120]!r} | | |", flush=True)
            continue
        failed = [answer for answer in answers if answer.problem or not answer.text]
        written = sum(ask.tokens for ask, answer in zip(wanted, answers, strict=True) if not answer.problem)
        rates[engine] = written / seconds
        middle = median(answer.seconds for answer in answers)
        print(f"| {ENGINES[engine]} | {written / seconds:,.1f} | {middle:.2f} | {len(failed)} |", flush=True)
        if failed:
            print(f"first failure: {failed[0].problem[:300]}", file=sys.stderr)
    peers = [rate for engine, rate in rates.items() if not engine.startswith("trivium")]
    for engine, rate in rates.items():
        if engine.startswith("trivium") and peers:
            print(f"\n{ENGINES[engine]}: {rate / max(peers):.2f}x of the better `transformers serve`.")


def same(solo: Said, loaded: Said) -> str:
    """"equal", "tie" (they part where two tokens are equally probable), or what is wrong."""
    if loaded.problem:
        return f"lost: {loaded.problem}"
    if solo.text == loaded.text:
        return "equal"
    for place, (one, other) in enumerate(zip(solo.tokens, loaded.tokens, strict=False)):
        if one != other:
            chances = solo.top[place]
            if one in chances and other in chances and abs(chances[one] - chances[other]) < TIE:
                return "tie"
            return f"wrong: token {place} is {other!r} and alone it is {one!r}"
    return "wrong: the texts differ and their tokens do not"


def load(arguments: argparse.Namespace, folder: Path, scratch: Path) -> None:
    wanted = asks(arguments.distinct, seed=2, mixed=True)
    with served(f"trivium-{arguments.precision}", folder, scratch / "load.log") as port:
        begun = time.perf_counter()
        alone = [send(port, ask, "m", True, True) for ask in wanted]
        print(f"{len(wanted)} requests alone: {time.perf_counter() - begun:.0f} s", flush=True)
        found: Counter[str] = Counter()
        seconds: dict[bool, list[float]] = {True: [], False: []}
        firsts: list[float] = []
        begun, tokens = time.perf_counter(), 0
        health: list[float] = []
        stop = threading.Event()
        watch = threading.Thread(target=probe, args=(port, health, stop))
        watch.start()
        lock, until = threading.Lock(), begun + 60 * arguments.minutes

        def client(number: int) -> None:
            nonlocal tokens
            draw = random.Random(number)
            while time.perf_counter() < until:
                place = draw.randrange(len(wanted))
                said = send(port, wanted[place], "m", True, True)
                with lock:
                    found[same(alone[place], said)] += 1
                    seconds[wanted[place].stream].append(said.seconds)
                    if wanted[place].stream:
                        firsts.append(said.first)
                    tokens += wanted[place].tokens

        threads = [threading.Thread(target=client, args=(number,)) for number in range(arguments.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        passed = time.perf_counter() - begun
        stop.set()
        watch.join()
    every = sorted(seconds[True] + seconds[False])
    rate = f"{len(every)} requests, {tokens / passed:,.1f} tokens/s"
    print(f"{machine()}\n{arguments.clients} clients, {passed:.0f} s, {rate}")
    print(f"a request: median {median(every):.1f} s, 95 % within {every[int(0.95 * len(every))]:.1f} s; "
          f"first text of a stream: median {median(firsts):.1f} s")  # fmt: skip
    health.sort()
    print(f"/health: {len(health)} probes, 99 % within {1000 * health[int(0.99 * len(health))]:.0f} ms, "
          f"slowest {1000 * health[-1]:.0f} ms")  # fmt: skip
    for word, count in found.most_common():
        print(f"{count:6} {word}")
    if any(not word.startswith(("equal", "tie")) for word in found):
        raise SystemExit(1)


def probe(port: int, seconds: list[float], stop: threading.Event) -> None:
    """/health, ten times a second."""
    while not stop.is_set():
        begun = time.perf_counter()
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            line.request("GET", "/health")
            line.getresponse().read()
            seconds.append(time.perf_counter() - begun)
        except OSError:
            seconds.append(10.0)
        finally:
            line.close()
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="smollm2-135m", help="a model that trivium and transformers load")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES)[:4], metavar="ENGINE",
                        help=", ".join(ENGINES))  # fmt: skip
    parser.add_argument("--clients", type=int, default=None, help="16; under load 64")
    parser.add_argument("--load", action="store_true", help="many clients for minutes, every answer checked")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--distinct", type=int, default=64, help="different requests of the test under load")
    parser.add_argument("--precision", default="float32", help="of the test under load")
    parser.add_argument("--quick", action="store_true", help="few requests")
    arguments = parser.parse_args()
    if arguments.clients is None:
        arguments.clients = 64 if arguments.load else 4 if arguments.quick else 16
    if arguments.quick:
        arguments.minutes, arguments.distinct = min(arguments.minutes, 0.2), min(arguments.distinct, 8)
    from trivium.verbs.convert import convert

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        convert(arguments.model, folder)
        (load if arguments.load else throughput)(arguments, folder, Path(scratch))


if __name__ == "__main__":
    main()
