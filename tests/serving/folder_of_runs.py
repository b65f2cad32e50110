"""Runs as files: what a training leaves behind, written by hand; and a server that shows them, on a socket."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.serving.live_server import live

from trivium.serving.app import application
from trivium.serving.house import House
from trivium.serving.scheduler import Scheduler
from trivium.serving.settings import ServeSettings


def write_run(folder: Path, lines: Sequence[Mapping[str, Any]], steps: int = 100, family: str = "gpt2") -> Path:
    """A run of ``steps`` steps with these lines."""
    folder.mkdir(parents=True)
    (folder / "trivium.toml").write_text(
        f'[model]\nfamily = "{family}"\nsize = "mini"\n[objective]\nkind = "causal"\n[training]\nsteps = {steps}\n'
    )
    add_lines(folder, lines)
    return folder


def add_lines(folder: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """As a training does."""
    with (folder / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)


def course(steps: int, start: float = 6.0, every: int = 10) -> list[dict[str, Any]]:
    """A loss that falls, evaluated and sampled at the end."""
    train = [
        {"kind": "train", "step": step, "loss": 2 + start / (1 + step / 20), "learning_rate": 1e-3 * step / steps,
         "tokens": step * 512, "seconds": step * 0.1, "tokens_per_second": 5000.0 + step}
        for step in range(every, steps + 1, every)
    ]  # fmt: skip
    ends = [
        {"kind": "evaluation", "step": steps, "loss": 2.5 + start / 10, "perplexity": 20.0},
        {"kind": "sample", "step": steps, "text": "Every model reads tokens."},
    ]
    return train + ends


@contextmanager
def serving(settings: ServeSettings) -> Iterator[str]:
    """The application on a free port; gives its address."""
    with live(application(House({}, Scheduler(), settings))) as port:
        yield f"http://127.0.0.1:{port}"


def ask(url: str, body: object = None) -> tuple[int, Any]:
    """Status and JSON."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=280) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as problem:
        return problem.code, json.load(problem)
