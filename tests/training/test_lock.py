"""A run directory belongs to one process at a time, and to nobody once that one is dead."""

import fcntl
import json
import os
import signal
import subprocess
import sys

import pytest

from trivium.errors import SettingsError
from trivium.training import lock
from trivium.training.lock import locked
from trivium.training.run_directory import open_run

HOLD = """
import sys, time
from pathlib import Path
from trivium.training.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    path = tmp_path / ".lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    yield path, process
    process.kill()
    process.wait()


def test_a_living_holder_is_named_and_a_killed_one_is_forgotten(holder):
    path, process = holder
    with pytest.raises(SettingsError, match=f"being written by process {process.pid}"), locked(path):
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert json.loads(path.read_text())["pid"] == process.pid
    with locked(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    assert not path.exists()


@pytest.mark.parametrize("boot", ["same", "other"])
def test_without_flock_the_file_decides(holder, monkeypatch, boot):
    path, process = holder

    def none(*args):
        raise OSError(38, "not implemented")

    monkeypatch.setattr(fcntl, "flock", none)
    if boot == "other":
        monkeypatch.setattr(lock, "_boot", lambda: "another boot")
        with locked(path):
            pass
        return
    with pytest.raises(SettingsError, match=f"process {process.pid}"), locked(path):
        pass
    process.kill()
    process.wait()
    with locked(path):
        pass


def test_the_lock_is_released_by_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path / ".lock"):
        1 / 0  # noqa: B018
    with locked(tmp_path / ".lock"):
        pass


def test_folders_that_cannot_be_a_new_run(tmp_path):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "trivium.toml").write_text("")
    for name, said in (
        ("used", r"is not empty \(it holds thesis.txt\): choose another --out"),
        ("file", "is a file: choose another --out"),
        ("run", "already holds a run: go on with it by --resume"),
        ("file/below", "cannot be made: .*; choose another --out"),
    ):
        with pytest.raises(SettingsError, match=said) as error, open_run(tmp_path / name, resume=False, keep=2):
            pass
        assert error.value.exit_code == 2
    assert (tmp_path / "used" / "thesis.txt").read_text() == "x"
    with pytest.raises(SettingsError, match="holds no run to resume"), open_run(tmp_path / "used", resume=True, keep=2):
        pass


def test_what_a_killed_start_left_is_no_obstacle_and_is_removed(tmp_path):
    (tmp_path / "run" / "checkpoints" / ".partial-00000000").mkdir(parents=True)
    (tmp_path / "run" / ".lock").write_text("")
    (tmp_path / "run" / ".trivium.toml.partial").write_text("half")
    with open_run(tmp_path / "run", resume=False, keep=2) as directory:
        assert [p.name for p in directory.path.iterdir() if p.name != ".lock"] == ["checkpoints"]
        assert not list((directory.path / "checkpoints").iterdir())
