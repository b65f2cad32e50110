"""``runs``: states, losses and order from the files alone, whatever their condition."""

import fcntl
import json
import os
from pathlib import Path

import pytest

from trivium.errors import DataError
from trivium.verbs.runs import runs


def make(folder: Path, steps: int | None, lines: list[dict], when: float) -> Path:
    folder.mkdir(parents=True)
    budget = f"steps = {steps}" if steps else "minutes = 1.0"
    recipe = f'[model]\nfamily = "gpt2"\nsize = "mini"\n[objective]\nkind = "causal"\n[training]\n{budget}\n'
    (folder / "trivium.toml").write_text(recipe)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for path in folder.iterdir():
        os.utime(path, (when, when))
    return folder


def test_runs_are_found_and_summed_up(tmp_path: Path) -> None:
    train = [{"kind": "train", "step": 10, "loss": 5.0}, {"kind": "evaluation", "step": 10, "loss": 5.5}]
    done = make(tmp_path / "a" / "b", 10, train, 1_000)
    stopped = make(tmp_path / "c", 20, train[:1], 3_000)
    for name in ("step-00000000", "step-00000014", "step-00000099.part"):  # Ctrl-C came between two lines of metrics
        (stopped / "checkpoints" / name).mkdir(parents=True)
    untimed = make(tmp_path / "d", None, [], 2_000)
    make(tmp_path / ".hidden" / "e", 10, train, 9_000)
    found = runs(tmp_path)
    assert [each.directory for each in found] == [stopped, untimed, done]
    assert [(each.state, each.step, each.steps, each.loss) for each in found] == [
        ("stopped", 14, 20, 5.0),
        ("stopped", 0, None, None),
        ("done", 10, 10, 5.5),
    ]
    assert {(each.model, each.objective) for each in found} == {("gpt2 mini", "causal")}


def test_a_run_that_is_held_is_running(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 10, [], 1_000)
    lock = folder / ".lock"
    lock.touch()
    assert runs(tmp_path)[0].state == "stopped"
    with lock.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert runs(tmp_path)[0].state == "running"


def test_damaged_files_are_said_or_passed_over(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 10, [{"kind": "train", "step": 4, "loss": 2.0}], 1_000)
    with (folder / "metrics.jsonl").open("ab") as file:
        file.write(b'{"kind": "train", "step": 5, "lo\n[3]\n\xff')
    assert runs(tmp_path)[0].step == 4
    (folder / "trivium.toml").write_text("= 3")
    assert runs(tmp_path)[0].state == "damaged"


def test_a_run_itself_may_be_named(tmp_path: Path) -> None:
    folder = make(tmp_path / "a", 10, [], 1_000)
    assert [each.directory for each in runs(folder)] == [folder]
    with pytest.raises(DataError, match="is not a folder"):
        runs(folder / "trivium.toml")
