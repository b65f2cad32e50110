"""kill -9 at any moment of ``trivium align``: the resumed run ends with the same bytes, whole weights and adapters."""

import json
import random
import time
from pathlib import Path

import pytest
from commands import Commands
from trials import Trials


def prepare(commands: Commands, folder: Path, base: Path, more: list[str]) -> Trials:
    """A run on 24 conversations that was left alone."""
    said = [(f"name number {n % 7}", f"it is {n % 7} of them. " * (n % 4 + 1)) for n in range(30)]
    rows = [{"instruction": asked, "output": answer} for asked, answer in said]
    for name, part in (("train", rows[:24]), ("dev", rows[24:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    values = {
        "batch": 4, "steps": 14, "checkpoint_every": 2, "log_every": 2, "evaluations": 3, "precision": "float32",
        "device": "cpu",
    }  # fmt: skip
    start = [
        "align", "--method", "sft", "--model", str(base), "--train", str(folder / "train.jsonl"), "--dev",
        str(folder / "dev.jsonl"), "--template", "plain", *(f"--set=training.{n}={v}" for n, v in values.items()),
        "--set=method.answers=2", *more,
    ]  # fmt: skip
    began = time.monotonic()
    ended = commands.run([*start, "--out", folder / "reference"], count_to=folder / "writes.json")
    assert ended.code == 0, ended.stderr
    seconds, writes = time.monotonic() - began, json.loads((folder / "writes.json").read_text())
    return Trials(commands, start, folder / "reference", seconds, writes)


def test_kills(commands: Commands, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    trials = prepare(commands, tmp_path, tiny_models["gpt2"], [])
    assert trials.kill_at_random(tmp_path / "run", 2, random.Random(7)) > 0
    for index, point in enumerate((3, len(trials.writes) - 2)):
        trials.crash_at(tmp_path / f"run-{index}", point)


def test_kills_of_an_adapter(commands: Commands, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    """Its checkpoints hold what learns alone."""
    more = ["--weights=lora", "--lora=rank=2", "--lora=dropout=0.1"]
    trials = prepare(commands, tmp_path, tiny_models["gpt2"], more)
    trials.crash_at(tmp_path / "run", len(trials.writes) // 2)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_crash_at_every_write(commands: Commands, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    trials = prepare(commands, tmp_path, tiny_models["gpt2"], [])
    for point in range(len(trials.writes)):
        trials.crash_at(tmp_path / f"run-{point}", point)
