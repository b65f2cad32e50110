"""A disk that fills up stops a run with exit code 75; what was saved stays, and with room made it goes on exactly."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Commands
from trials import Trials, fingerprint


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MB, which :func:`_resize` makes smaller and larger."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def _resize(disk: Path, kilobytes: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(disk)], check=True, capture_output=True)


def _used(folder: Path) -> int:
    """Kilobytes, in pages of tmpfs, hard links counted once."""
    return int(subprocess.run(["du", "-sk", str(folder)], check=True, capture_output=True, text=True).stdout.split()[0])


def test_a_full_disk_loses_nothing(commands: Commands, trials: Trials, small_disk: Path) -> None:
    """Disks too small for the whole run by ever more: it stops at different moments, and resumes from each."""
    whole = _used(trials.reference)
    stopped = set[int]()
    for missing in (8, 24, 60, 120, 200):
        shutil.rmtree(small_disk / "run", ignore_errors=True)
        _resize(small_disk, whole - missing)
        ended = commands.run(trials.arguments(small_disk / "run"))
        stopped.add(ended.code)
        if ended.code != 0:
            assert ended.code == 75, ended.stderr
            assert "No space left on device" in ended.error
        _resize(small_disk, 65536)
        trials.finish(small_disk / "run")
    assert 75 in stopped


def test_files_that_may_not_grow_stop_the_run_without_loss(commands: Commands, trials: Trials, tmp_path: Path) -> None:
    """The same without rights: RLIMIT_FSIZE refuses a checkpoint in the middle of its file."""
    run = tmp_path / "run"
    model = (trials.reference / "model.safetensors").stat().st_size
    commands.run(trials.arguments(run), crash_at=len(trials.writes) // 2)
    before = {path.name for path in (run / "checkpoints").glob("step-*")}
    assert before
    ended = commands.run(["pretrain", "--resume", run], file_limit=model // 2)
    assert ended.code == 75, ended.stderr
    assert "File too large" in ended.error and "is intact" in ended.error
    assert before <= {path.name for path in (run / "checkpoints").glob("step-*")}
    trials.finish(run)
    assert fingerprint(run) == fingerprint(trials.reference)


def test_a_disk_that_cannot_be_written_is_refused(commands: Commands, trials: Trials, small_disk: Path) -> None:
    run = small_disk / "run"
    run.mkdir()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True, capture_output=True)
    for folder in (run, small_disk / "new"):
        ended = commands.run(trials.arguments(folder))
        assert ended.code == 2, ended.stderr
        assert "Read-only file system" in ended.error and "choose another --out" in ended.error


def test_a_disk_full_before_the_first_step(commands: Commands, trials: Trials, small_disk: Path) -> None:
    """While the recipe, the tokenizer, the shards and the model's files are written: 75, and then it goes on."""
    for kilobytes in (8, 16, 24, 32, 48, 64, 96, 128, 192):
        shutil.rmtree(small_disk / "run", ignore_errors=True)
        _resize(small_disk, kilobytes)
        ended = commands.run(trials.arguments(small_disk / "run"))
        assert ended.code == 75, (kilobytes, ended.stderr)
        assert re.search("No space left on device|no room is left", ended.error)
        _resize(small_disk, 65536)
        trials.finish(small_disk / "run")
