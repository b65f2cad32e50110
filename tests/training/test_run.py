"""A run that was ended anywhere and resumed equals one that was not: weights, moments, order of data, metrics."""

import errno
import hashlib
import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from toy_model import Toy, weights
from toy_run import STEPS, end_state, in_child, train

from trivium.errors import DataError, SettingsError, StoppedError, TriviumError
from trivium.training.checkpoint import Checkpoints
from trivium.training.settings import Muon


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where there is such a place: what is tested here is order, and fsync on a busy disk is slow."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as path:
        yield Path(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The run that nothing ended."""
    path = tmp_path_factory.mktemp("whole") / "run"
    train(path)
    return path


def test_a_run_leaves_a_model_directory_its_metrics_and_two_checkpoints(whole):
    assert Checkpoints(whole / "checkpoints", 2).steps() == [16, 20]
    newest = Checkpoints(whole / "checkpoints", 2).load(20)
    at_root = load_file(whole / "model.safetensors")
    assert all(torch.equal(at_root[name], tensor) for name, tensor in newest.weights.items())
    assert sorted(p.name for p in whole.iterdir()) == [
        *("checkpoints", "manifest.json", "metrics.jsonl", "model.safetensors", "trivium.toml")
    ]
    _, lines = end_state(whole)
    steps = {
        kind: [line["step"] for line in lines if line["kind"] == kind] for kind in ("train", "evaluation", "sample")
    }
    assert steps == {"train": [3, 6, 9, 12, 15, 18, 20], "evaluation": [5, 10, 15, 20], "sample": [7, 14]}
    manifest = json.loads((whole / "manifest.json").read_text())
    assert manifest["fingerprints"] == {"state": newest.state_hash, "tokenizer": "abc"}
    assert set(manifest["files"]) == {"model.safetensors", "trivium.toml"}
    for name, facts in manifest["files"].items():
        content = (whole / name).read_bytes()
        assert facts == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_the_logged_loss_is_the_mean_over_the_interval(whole, folder):
    from toy_model import trainer

    losses = [step.loss for step in trainer(STEPS, micro=2)]
    lines = [line for line in end_state(whole)[1] if line["kind"] == "train"]
    for line, first in zip(lines, [0, 3, 6, 9, 12, 15, 18], strict=True):
        part = losses[first : line["step"]]
        assert line["loss"] == pytest.approx(sum(part) / len(part), rel=1e-12)
    assert lines[-1]["tokens"] == STEPS * 4 * 6


def test_the_same_run_again_is_the_same(whole, folder):
    train(folder / "again")
    assert end_state(folder / "again") == end_state(whole)


@pytest.mark.parametrize("seed", range(20))
def test_killed_once_or_twice_at_any_call_and_resumed_is_the_same(whole, folder, seed):
    """SIGKILL before or after a random call that changes a file: in a save, between steps, in the resume itself."""
    draw = random.Random(seed)
    path = folder / "run"
    assert in_child(lambda: train(path), draw.randrange(10, 400)) in (-signal.SIGKILL, 0)
    if draw.random() < 0.5 and (path / "trivium.toml").exists():
        in_child(lambda: train(path, resume=True), draw.randrange(10, 150))
    if (path / "trivium.toml").exists():
        assert in_child(lambda: train(path, resume=True)) == 0
    else:  # nothing had begun: the same command works
        assert in_child(lambda: train(path)) == 0
    assert end_state(path) == end_state(whole)
    assert not [p for p in path.rglob("*") if "partial" in p.name or p.name == ".lock"]


@pytest.mark.parametrize("changes", [{"optimizer": Muon()}, {"precision": "bfloat16"}, {"micro": 1, "dropout": 0.5}])
def test_variants_resume_the_same(folder, changes):
    train(folder / "whole", **changes)
    for end_at in (150, 233):
        path = folder / str(end_at)
        assert in_child(lambda path=path: train(path, **changes), end_at) == -signal.SIGKILL
        train(path, resume=True, **changes)
        assert end_state(path) == end_state(folder / "whole")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_current_step_and_the_rest_is_the_same(whole, folder, number):
    path = folder / "run"
    child = os.fork()
    if child == 0:
        os._exit(_status(lambda: train(path, pace=0.05)))
    _wait_for(path / "metrics.jsonl", size=10)
    os.kill(child, number)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 128 + number
    steps = Checkpoints(path / "checkpoints", 2).steps()
    assert 3 <= steps[-1] < STEPS
    train(path, resume=True)
    assert end_state(path) == end_state(whole)


def test_a_second_signal_ends_at_once_without_damage(whole, folder):
    """The first is being answered by a step that takes long; the second does not wait for it."""
    path = folder / "run"
    child = os.fork()
    if child == 0:
        os._exit(_status(lambda: train(path, pace=2.0)))
    _wait_for(path / "checkpoints" / "step-00000000")
    time.sleep(0.5)
    os.kill(child, signal.SIGTERM)
    time.sleep(0.5)  # sooner it would count as the first, passed on twice
    asked = time.monotonic()
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 143
    assert time.monotonic() - asked < 1.0
    train(path, resume=True)
    assert end_state(path) == end_state(whole)


def test_a_damaged_checkpoint_is_said_and_the_one_before_gives_the_same(whole, folder):
    path = folder / "run"
    assert in_child(lambda: train(path), 280) == -signal.SIGKILL
    newest = Checkpoints(path / "checkpoints", 2).newest(print)
    assert newest is not None and newest.step > 4
    with open(newest.folder / "optimizer.safetensors", "r+b") as file:
        file.seek(300)
        file.write(b"\xff")
    _, said = train(path, resume=True)
    assert len(said) == 1 and "optimizer.safetensors is damaged" in said[0] and "falling back" in said[0]
    assert end_state(path) == end_state(whole)


def test_no_good_checkpoint_is_a_data_error(folder):
    path = folder / "run"
    train(path)
    for step in (16, 20):
        (path / "checkpoints" / f"step-{step:08d}" / "model.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match="no checkpoint in .* is good") as error:
        train(path, resume=True)
    assert error.value.exit_code == 3


def test_a_finished_run_resumes_to_itself(whole, folder):
    path = folder / "run"
    train(path)
    train(path, resume=True)
    assert end_state(path) == end_state(whole)


def test_a_changed_recipe_or_tokenizer_is_refused_by_name(folder, monkeypatch):
    path = folder / "run"
    train(path)
    with pytest.raises(SettingsError, match="was made with name = toy, and now it is other") as error:
        train(path, resume=True, name="other")
    assert error.value.exit_code == 2
    train(path, resume=True, keep=1)
    state = path / "checkpoints" / "step-00000020" / "state.json"
    assert '"tokenizer": "abc"' in state.read_text()


def test_lost_metrics_are_noticed(folder):
    path = folder / "run"
    train(path)
    (path / "metrics.jsonl").write_text("")
    with pytest.raises(DataError, match="metrics.jsonl has 0 bytes"):
        train(path, resume=True)


def test_prove_replays_and_agrees(whole, folder):
    path = folder / "run"
    train(path)
    _, said = train(path, resume=True, prove=True)
    assert said[0].startswith("proved: steps 17 to 20, replayed, gave the recorded state ")
    assert end_state(path) == end_state(whole)


@pytest.mark.parametrize("changes", [{"seed": 1}, {"micro": 1}, {"clip": 0.1}])
def test_prove_finds_what_is_not_the_same(folder, changes):
    """Settings that the identity of this toy does not hold, so that only the replay can tell."""
    path = folder / "run"
    train(path)
    with pytest.raises(TriviumError, match="not proved: steps 17 to 20 gave state"):
        train(path, resume=True, prove=True, **changes)


def test_prove_needs_two_checkpoints(folder):
    train(folder / "run", keep=1)
    with pytest.raises(SettingsError, match="needs two checkpoints, and it has 1"):
        train(folder / "run", resume=True, prove=True, keep=1)


def test_a_bad_loss_ends_the_run_with_a_good_checkpoint(folder, monkeypatch):
    import toy_run

    real = toy_run.trainer

    def poisoned(*args, **kwargs):
        ours = real(*args, **kwargs)
        good = ours.feed

        def feed(step):
            if step == 10:
                with torch.no_grad():
                    ours.model.norm.weight[0] = torch.inf
            return good(step)

        ours.feed = feed
        return ours

    monkeypatch.setattr(toy_run, "trainer", poisoned)
    with pytest.raises(StoppedError, match=r"step 10 was not taken.*draws 40, 41.*the checkpoint of step 8 .* is good"):
        train(folder / "run")
    newest = Checkpoints(folder / "run" / "checkpoints", 2).newest(print)
    assert newest is not None and newest.step == 8
    assert all(torch.isfinite(tensor).all() for tensor in newest.weights.values())


def test_weights_that_are_not_finite_are_never_saved(folder, monkeypatch):
    """The last update itself made them so: no later step looks at them."""
    import toy_run

    real = toy_run.trainer

    def poisoned(*args, **kwargs):
        ours = real(*args, **kwargs)
        step = ours.optimizer.step

        def update(scale):
            step(scale)
            if ours.number == STEPS - 1:
                ours.optimizer.masters["output.bias"].data[0] = torch.nan

        ours.optimizer.step = update
        return ours

    monkeypatch.setattr(toy_run, "trainer", poisoned)
    with pytest.raises(StoppedError, match=r"weights after step 20 are not finite.*checkpoint of step 16 .* is good"):
        train(folder / "run")
    assert Checkpoints(folder / "run" / "checkpoints", 2).steps() == [12, 16]


@pytest.mark.parametrize("number", [5, 60, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 130])
def test_a_full_disk_loses_nothing(whole, folder, monkeypatch, number):
    """The n-th write of the run and all after it fail; with room again, the run goes on to the same end."""
    path = folder / "run"
    real, count = os.write, 0

    def full(*args):
        nonlocal count
        count += 1
        if count >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args)

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoppedError, match="No space left on device") as error:
        train(path)
    assert error.value.exit_code == 75
    monkeypatch.undo()
    assert not [p for p in path.rglob("*") if "partial" in p.name]
    train(path, resume=True)
    assert end_state(path) == end_state(whole)


def test_the_weights_come_back_as_they_were_saved(whole, folder):
    run, _ = train(folder / "run")
    saved = load_file(folder / "run" / "model.safetensors")
    assert all(torch.equal(saved[name], tensor) for name, tensor in weights(run.trainer).items())
    assert not torch.equal(saved["embedding.weight"], Toy().embedding.weight)


def _status(work) -> int:
    try:
        work()
        return 0
    except TriviumError as error:
        return error.exit_code
    except BaseException:
        return 1


def _wait_for(path: Path, size: int = 0) -> None:
    deadline = time.monotonic() + 20
    while not path.exists() or path.stat().st_size < size:
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.01)
