"""Jobs side by side in processes of their own: how they end, what they leave, and that nothing is left running."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from trials import settings

from trivium.errors import SettingsError
from trivium.lab import workers
from trivium.lab.workers import Job, Outcome, run_all

DRIVER = """
import sys
from pathlib import Path
from trivium.lab.workers import Job, run_all
from trivium.training.signals import Interrupted
how, folder, starts = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
jobs = [Job(f"part/{n}", (*starts, "--out", str(folder / f"run-{n}")), folder / "logs") for n in range(3)]
try:
    run_all(jobs, 2, how, lambda text: print(text, flush=True))
except Interrupted as error:
    print(error)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("how", [pytest.param("sequence", marks=pytest.mark.slow), "processes"])
def test_each_job_ends_in_its_own_way_and_says_so(tmp_path: Path, how: workers.How) -> None:
    told: list[str] = []
    jobs = [
        Job("wrong", ("plan", "nothing"), tmp_path / "logs"),
        Job("right/seed-0", ("--version",), tmp_path / "logs"),
        Job("misspelt", ("plann",), tmp_path / "logs"),
    ]
    ended = run_all(jobs, 2, how, told.append)
    assert [(each.name, each.returncode) for each in ended] == [("wrong", 2), ("right/seed-0", 0), ("misspelt", 2)]
    assert ended[0].error.startswith("there is no model 'nothing'")
    assert ended[1].error == "" and "plann" in ended[2].error
    assert (tmp_path / "logs" / "right-seed-0.out").read_text().strip()
    assert (tmp_path / "logs" / "right-seed-0.log").read_text() == ""
    assert len(told) == 3 and told[-1].endswith("(3 of 3)")
    assert f"wrong: failed: {ended[0].error} (" in "\n".join(told)


def test_no_more_at_a_time_than_workers_and_the_cores_are_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    running: list[subprocess.Popen] = []
    most: list[int] = []

    def start(job, environment):
        assert environment["OMP_NUM_THREADS"] == "4"
        running.append(subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(0.3)"]))
        most.append(sum(process.poll() is None for process in running))
        return running[-1]

    monkeypatch.setattr(workers, "start", start)
    ended = run_all([Job(str(number), (), tmp_path) for number in range(5)], 2, "processes")
    assert ended == [Outcome(str(number), 0, "") for number in range(5)]
    assert max(most) == 2


def test_what_cannot_be_run(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="two jobs are named 'a'"):
        run_all([Job("a", (), tmp_path), Job("a", ("plan",), tmp_path)])
    with pytest.raises(SettingsError, match="workers = 0"):
        run_all([], 0)
    assert run_all([], 3, "processes") == []


def test_a_mistake_of_the_caller_leaves_nothing_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen] = []

    def start(job, environment):
        seconds = "0.1" if job.name == "short" else "60"
        started.append(subprocess.Popen([sys.executable, "-S", "-c", f"import time; time.sleep({seconds})"]))
        return started[-1]

    def tell(text: str) -> None:
        raise OSError("nobody listens")

    monkeypatch.setattr(workers, "start", start)
    with pytest.raises(OSError, match="nobody listens"):
        run_all([Job("long", (), tmp_path), Job("short", (), tmp_path)], 2, "processes", tell)
    assert [process.poll() for process in started] == [-signal.SIGTERM, 0]


def test_a_killed_job_is_said_to_be(tmp_path: Path) -> None:
    assert "memory runs out" in workers.outcome(Job("a", (), tmp_path), -signal.SIGKILL).error
    (tmp_path / "a.log").write_text("half done\n\n")
    assert workers.outcome(Job("a", (), tmp_path), -signal.SIGTERM).error == "SIGTERM: half done"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param(
            signal.SIGKILL,
            -9,
            marks=[pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="Linux tells of a death")],
        ),
    ],
)
def test_a_signal_reaches_every_job_and_each_saves(text: Path, tmp_path: Path, number: int, code: int) -> None:
    _stop(text, tmp_path, "processes", number, code)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_reaches_every_job_on_ray(text: Path, tmp_path: Path, number: int, code: int) -> None:
    pytest.importorskip("ray", reason="ray is not installed (extra scale)")
    _stop(text, tmp_path, "ray", number, code)


@pytest.mark.slow
def test_jobs_on_a_local_ray(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed (extra scale)")
    told: list[str] = []
    jobs = [Job("wrong", ("plan", "nothing"), tmp_path), Job("right", ("--version",), tmp_path)]
    ended = run_all(jobs, 2, "ray", told.append)
    assert [(each.name, each.returncode) for each in ended] == [("wrong", 2), ("right", 0)]
    assert ended[0].error.startswith("there is no model 'nothing'")
    assert (tmp_path / "right.out").read_text().strip() and len(told) == 2


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SettingsError, match=r"needs ray: pip install .*\[scale\]"):
        run_all([Job("a", ("--version",), tmp_path)], 1, "ray")


def _stop(text: Path, folder: Path, how: str, number: int, code: int) -> None:
    """Three runs, two at a time; a signal to the one that started them once both have saved."""
    start = ["pretrain", *settings("gpt2-mini", training__steps=100_000), "--data", str(text)]
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "NO_COLOR": "1"}
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, how, str(folder), *start],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    runs = [folder / f"run-{n}" for n in range(3)]
    try:
        _until(lambda: all(_learns(run) for run in runs[:2]) or driver.poll() is not None)
        assert driver.poll() is None, driver.communicate()
        driver.send_signal(number)
        said, complaint = driver.communicate(timeout=90)
        _until(lambda: not _processes(folder), 30)
    finally:
        driver.kill()
        left = _processes(folder)
        for process in left:
            os.kill(process, signal.SIGKILL)
    assert not left and driver.returncode == code, complaint
    assert not runs[2].exists()  # it waited, and was not begun
    for n in range(2):
        assert f"--resume {runs[n]}" in (folder / "logs" / f"part-{n}.log").read_text()
    if number != signal.SIGKILL:
        assert "0 of 3 done" in said and "Traceback" not in complaint


def _learns(run: Path) -> bool:
    """Whether it has saved after some steps."""
    return any(int(path.name.removeprefix("step-")) > 0 for path in run.glob("checkpoints/step-*"))


def _processes(folder: Path) -> list[int]:
    """Those whose command names the folder, this one left out."""
    listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True).stdout
    lines = [line.split(None, 1) for line in listed.splitlines() if str(folder) in line]
    return [int(pid) for pid, _ in lines if int(pid) != os.getpid()]


def _until(done, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, "not within the time"
        time.sleep(0.05)
