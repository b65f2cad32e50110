"""Ctrl-C and SIGTERM save, say how to go on, and exit with 130 and 143; the run then ends as if nothing had been."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from commands import Commands
from trials import Trials, fingerprint


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_resume(
    commands: Commands, trials: Trials, tmp_path: Path, number: int, code: int
) -> None:
    run = tmp_path / "run"
    pid = commands.start(trials.arguments(run))
    _wait_for_steps(run, 4)
    os.kill(pid, number)
    ended = commands.wait()
    assert ended.code == code
    assert f"--resume {run}" in ended.error
    newest = max(path.name for path in (run / "checkpoints").glob("step-*"))
    assert f"after step {int(newest.removeprefix('step-'))} of" in ended.error
    trials.finish(run)


def test_a_signal_before_the_first_step_loses_nothing(commands: Commands, trials: Trials, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pid = commands.start(trials.arguments(run))
    while not (run / "trivium.toml").exists():
        time.sleep(0.001)
    os.kill(pid, signal.SIGTERM)
    ended = commands.wait()
    assert ended.code == 143
    assert ended.error
    trials.finish(run)


def test_the_same_signal_passed_on_twice_is_one(commands: Commands, trials: Trials, tmp_path: Path) -> None:
    run = tmp_path / "run"
    pid = commands.start(trials.arguments(run))
    _wait_for_steps(run, 4)
    os.kill(pid, signal.SIGINT)
    time.sleep(0.02)
    with suppress(ProcessLookupError):  # it may have ended by then
        os.kill(pid, signal.SIGINT)
    ended = commands.wait()
    assert ended.code == 130
    assert f"--resume {run}" in ended.error


def test_a_second_signal_ends_at_once() -> None:
    code = (
        "import os, signal, time\nfrom trivium.training.signals import stop_on_signals\n"
        "with stop_on_signals() as stop:\n stop.gentle = True\n os.kill(os.getpid(), signal.SIGTERM)\n"
        " time.sleep(0.5)\n print(stop.name, flush=True)\n os.kill(os.getpid(), signal.SIGINT)\n print('goes on')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (130, "SIGTERM\n")


def test_the_real_command_from_the_shell(trials: Trials, tmp_path: Path) -> None:
    """No fork server: ``python -m trivium`` in a new process, SIGTERM, and again."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "trivium"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [*command, *map(str, trials.arguments(run))], env=environment, stderr=subprocess.PIPE, text=True
    )
    _wait_for_steps(run, 2)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143, said
    assert "--resume" in said and "Traceback" not in said
    again = subprocess.run(
        [*command, *map(str, trials.arguments(run))], env=environment, capture_output=True, text=True, timeout=120
    )
    assert again.returncode == 0, again.stderr
    assert fingerprint(run) == fingerprint(trials.reference)


def _wait_for_steps(run: Path, steps: int, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    metrics = run / "metrics.jsonl"
    while time.monotonic() < until:
        if metrics.exists():
            lines = [json.loads(line) for line in metrics.read_text().splitlines(keepends=True) if line.endswith("\n")]
            if any(line["step"] >= steps for line in lines):
                return
        time.sleep(0.005)
    raise AssertionError(f"no step {steps} within {seconds} s")
