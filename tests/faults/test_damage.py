"""Bytes that changed on the disk are found, named, and where there is another checkpoint passed over."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Commands
from trials import Trials


@pytest.fixture(scope="module")
def killed(commands: Commands, trials: Trials, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run killed after its third checkpoint or later."""
    run = tmp_path_factory.mktemp("killed") / "run"
    ended = commands.run(trials.arguments(run), crash_at=int(0.8 * len(trials.writes)))
    assert ended.code == -9
    assert len(_checkpoints(run)) == 2
    return run


@pytest.fixture
def stopped(killed: Path, tmp_path: Path) -> Path:
    """A copy of it to damage."""
    return shutil.copytree(killed, tmp_path / "run")


def _checkpoints(run: Path) -> list[Path]:
    return sorted((run / "checkpoints").glob("step-*"))


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("damage", [_flip, _cut, Path.unlink])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    commands: Commands, trials: Trials, stopped: Path, name: str, damage: Callable[[Path], None]
) -> None:
    before, newest = _checkpoints(stopped)
    damage(newest / name)
    ended = trials.finish(stopped)
    said = [line for line in ended.stderr.splitlines() if "falling back" in line]
    assert len(said) == 1 and str(newest / name) in said[0], ended.stderr


def test_no_good_checkpoint_is_an_error_of_data(commands: Commands, stopped: Path) -> None:
    for checkpoint in _checkpoints(stopped):
        _flip(checkpoint / "model.safetensors")
    ended = commands.run(["pretrain", "--resume", stopped])
    assert ended.code == 3
    assert "no checkpoint" in ended.error and "is damaged" in ended.error


def test_metrics_cut_short_are_an_error_of_data(commands: Commands, stopped: Path) -> None:
    (stopped / "metrics.jsonl").write_text("")
    ended = commands.run(["pretrain", "--resume", stopped])
    assert ended.code == 3
    assert "metrics.jsonl has 0 bytes" in ended.error


@pytest.mark.parametrize("damage", [_flip, _cut])
def test_a_damaged_shard_is_named(commands: Commands, stopped: Path, damage: Callable[[Path], None]) -> None:
    (shard,) = set(stopped.glob("data/**/tokens.bin"))
    damage(shard)
    ended = commands.run(["pretrain", "--resume", stopped])
    assert ended.code == 3
    assert str(shard) in ended.error and "is damaged" in ended.error


def test_a_deleted_shard_folder_is_made_again_as_its_message_says(trials: Trials, stopped: Path) -> None:
    (shard,) = set(stopped.glob("data/**/tokens.bin"))
    shutil.rmtree(shard.parent)
    trials.finish(stopped)


def test_a_changed_tokenizer_is_refused(commands: Commands, stopped: Path) -> None:
    path = stopped / "tokenizer.json"
    text = path.read_text(encoding="utf-8")
    assert '"Ġt",\n        "h"' in text  # a merge
    path.write_text(text.replace('"Ġt",\n        "h"', '"h",\n        "Ġt"'), encoding="utf-8")
    ended = commands.run(["pretrain", "--resume", stopped])
    assert ended.code in (2, 3), ended.stderr
    assert "tokenizer" in ended.error


def test_a_changed_recipe_is_refused_by_the_name_of_its_field(commands: Commands, stopped: Path) -> None:
    recipe = stopped / "trivium.toml"
    text = recipe.read_text()
    assert "batch_tokens = 256" in text
    recipe.write_text(text.replace("batch_tokens = 256", "batch_tokens = 512"))
    ended = commands.run(["pretrain", "--resume", stopped])
    assert ended.code == 2
    assert "training.batch_tokens" in ended.error and "256" in ended.error and "512" in ended.error


def test_what_set_changes_on_resume_is_refused_or_free(commands: Commands, trials: Trials, stopped: Path) -> None:
    for refused in ("training.seed=1", "model.context=16", "training.optimizer.learning_rate=0.01"):
        ended = commands.run(["pretrain", "--resume", stopped, "--set", refused])
        assert ended.code == 2, ended.stderr
        name, _, value = refused.partition("=")
        assert name in ended.error and value in ended.error
    ended = commands.run(["pretrain", "--resume", stopped, "--set", "training.keep=1"])
    assert ended.code == 0, ended.stderr
    assert [path.name for path in _checkpoints(stopped)] == [_checkpoints(trials.reference)[-1].name]


def test_the_text_is_not_read_again(commands: Commands, trials: Trials, tmp_path: Path) -> None:
    """A run has its tokenised text; what becomes of the file meanwhile does not change what it learns."""
    run, text = _run_on_own_text(commands, trials, tmp_path)
    text.unlink()
    assert commands.run(["pretrain", "--resume", run]).code == 0


def test_other_text_in_its_place_is_refused(commands: Commands, trials: Trials, tmp_path: Path) -> None:
    run, text = _run_on_own_text(commands, trials, tmp_path)
    shutil.rmtree(run / "data")
    text.write_text(text.read_text().replace("reader", "listener"))
    ended = commands.run(["pretrain", "--resume", run])
    assert ended.code == 2, ended.stderr
    assert "was made with data" in ended.error


def _run_on_own_text(commands: Commands, trials: Trials, folder: Path) -> tuple[Path, Path]:
    run, text = folder / "run", folder / "own.txt"
    original = trials.start[trials.start.index("--data") + 1]
    text.write_bytes(Path(original).read_bytes())
    arguments = [str(text) if argument == original else argument for argument in trials.start]
    ended = commands.run([*arguments, "--out", run], crash_at=len(trials.writes) // 2)
    assert ended.code == -9 and _checkpoints(run)
    return run, text
