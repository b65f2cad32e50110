"""Runs of the toy model in directories, in this process or in one that is ended on purpose."""

import os
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from toy_model import Toy, feed, trainer

from trivium.training.run import Run
from trivium.training.run_directory import open_run
from trivium.training.signals import stop_on_signals

STEPS = 20
TIMED = ("seconds", "tokens_per_second", "mfu")
CALLS = ("open", "write", "fsync", "rename", "replace", "link", "unlink", "mkdir", "truncate", "ftruncate")


def train(
    path: Path, *, resume: bool = False, prove: bool = False, name: str = "toy", pace: float = 0.0, **changes: Any
) -> tuple[Run, list[str]]:
    """A whole run, or the rest of one; returns it and what it said while it was restored."""
    said: list[str] = []
    with stop_on_signals() as stop, open_run(path, resume=resume, keep=changes.get("keep", 2)) as directory:
        if not resume:
            directory.write("trivium.toml", "kind = 'toy'\n")
        settings = {"micro": 2, "evaluate_every": 5, "sample_every": 7, **changes}
        ours = trainer(STEPS, **settings)
        run = Run(
            ours,
            directory,
            identity={"recipe": {"name": name, "training": {"keep": ours.settings.keep}}, "tokenizer": "abc"},
            evaluate=lambda: {"loss": held_out(ours.model)},
            sample=lambda: str(held_out(ours.model)),
            on_step=lambda step: time.sleep(pace),
            quiet=True,
        )
        if prove:
            said.append(run.prove(said.append))
        run.restore(said.append)
        run.train(stop)
    return run, said


def held_out(model: Toy) -> float:
    (batch,) = feed(1000)
    return float(model(batch.ids).float().square().mean())


def end_state(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """The last checkpoint's hash and the lines of metrics.jsonl without what a clock wrote."""
    from trivium.training.checkpoint import Checkpoints
    from trivium.training.metrics_file import MetricsFile

    newest = Checkpoints(path / "checkpoints", 2).newest(print)
    assert newest is not None and newest.step == STEPS
    metrics = MetricsFile(path / "metrics.jsonl")
    metrics.cut((path / "metrics.jsonl").stat().st_size)
    return newest.state_hash, [{k: v for k, v in line.items() if k not in TIMED} for line in metrics.lines]


def in_child(work: Callable[[], object], end_at: int = 0) -> int:
    """The exit status of ``work`` in a child: 0, what it exits with, minus the signal that ended it; 9 where it was
    ended at its ``end_at``-th call that changes files, 1 with a traceback where it raised."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if end_at:
                _end_at(end_at)
            work()
            status = 0
        except BaseException as error:
            status = getattr(error, "exit_code", 1)
            if status == 1:
                traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _end_at(number: int) -> None:
    """By signal 9 before the call for odd numbers, after it for even ones."""
    count = 0

    def wrap(real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            nonlocal count
            count += 1
            if count == number and number % 2:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*args, **kwargs)
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped

    for name in CALLS:
        setattr(os, name, wrap(getattr(os, name)))


torch.set_num_threads(1)
