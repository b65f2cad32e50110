"""Many commands of Trivium: one after another, side by side in processes, or on a Ray cluster.

Each job is a process of its own, so that one that fails, or runs out of memory, takes no other with it. A signal goes
on to every job under way, which saves and exits; a job whose starter is killed is told to by the system (Linux). The
cores are shared out among the jobs. Left out: retries, and jobs that wait for each other.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from trivium.errors import SettingsError
from trivium.training.signals import Interrupted, stop_on_signals

How = Literal["sequence", "processes", "ray"]

_PAUSE = 0.05  # seconds between two looks at the processes
_PATIENCE = 60  # seconds to save, before a process is killed where this one is ending by a mistake
_SIGNALLED_WHEN_ORPHANED = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, int(signal.SIGTERM))  # PR_SET_PDEATHSIG; it outlives exec
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.executable, [sys.executable, "-m", "trivium", *sys.argv[2:]])
"""


@dataclass(frozen=True)
class Job:
    """``python -m trivium ARGUMENTS``. ``directory``: of its log, NAME.log, and of what it prints, NAME.out; made if
    it is not there. A slash in the name is a dash in the files'."""

    name: str
    arguments: tuple[str, ...]
    directory: Path

    def file(self, suffix: str) -> Path:
        return self.directory / (self.name.replace("/", "-") + suffix)


@dataclass(frozen=True)
class Outcome:
    """How a job ended: ``error`` is empty if it is done, else the last sentence of its log."""

    name: str
    returncode: int
    error: str


def run_all(
    jobs: Sequence[Job], workers: int = 1, how: How = "sequence", tell: Callable[[str], None] = lambda text: None
) -> list[Outcome]:
    """Every job, and how it ended, in their order. A job that fails stops no other.

    ``workers``: jobs at a time, where they are not run in sequence. Raises ``Interrupted`` after a signal, once all
    jobs under way have saved and ended.
    """
    names = [job.name for job in jobs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SettingsError(f"two jobs are named {twice!r}: give each a name of its own")
    if workers < 1:
        raise SettingsError(f"workers = {workers}: it must be at least 1")
    if how == "ray":
        from trivium.lab.ray_cluster import run_on_ray

        return run_on_ray(jobs, workers, tell)
    return _run_here(jobs, 1 if how == "sequence" else workers, tell)


def _run_here(jobs: Sequence[Job], workers: int, tell: Callable[[str], None]) -> list[Outcome]:
    environment = shared_out(cores() // min(workers, max(1, len(jobs))))
    waiting, running = list(jobs), dict[Job, subprocess.Popen]()
    ended: dict[Job, Outcome] = {}

    def look() -> None:
        time.sleep(_PAUSE)
        for job, process in list(running.items()):
            if (code := process.poll()) is not None:
                del running[job]
                ended[job] = outcome(job, code)
                tell(said(ended[job], len(ended), len(jobs)))

    with stop_on_signals() as stop:
        stop.gentle = True
        try:
            while (waiting or running) and stop.number is None:
                while waiting and len(running) < workers:
                    running[waiting[0]] = start(waiting[0], environment)
                    del waiting[0]
                look()
            if stop.number is not None and (waiting or running):
                for process in running.values():
                    process.send_signal(stop.number)
                while running:
                    look()
                raise interrupted(list(ended.values()), len(jobs), stop.number)
        finally:
            end(list(running.values()))
    return [ended[job] for job in jobs]


def start(job: Job, environment: Mapping[str, str]) -> subprocess.Popen:
    """In a session of its own, so that Ctrl-C at the terminal reaches it once, from here."""
    job.directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "trivium", *job.arguments]
    if sys.platform == "linux":
        command = [sys.executable, "-I", "-S", "-c", _SIGNALLED_WHEN_ORPHANED, str(os.getpid()), *job.arguments]
    with job.file(".log").open("wb") as log, job.file(".out").open("wb") as out:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, env=dict(environment), start_new_session=True
        )


def end(processes: Sequence[subprocess.Popen]) -> None:
    """None of them is left: each is asked to save, and killed if it does not end."""
    for process in processes:
        process.terminate()
    until = time.monotonic() + _PATIENCE
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def outcome(job: Job, code: int) -> Outcome:
    """From how the process ended."""
    if code == 0:
        return Outcome(job.name, 0, "")
    if code == -signal.SIGKILL:
        return Outcome(job.name, code, "it was killed, as the system does where memory runs out: use fewer workers")
    lines = [line.strip() for line in job.file(".log").read_text("utf-8", "replace").splitlines() if line.strip()]
    last = lines[-1].removeprefix("error: ") if lines else "it said nothing"
    return Outcome(job.name, code, last if code > 0 else f"{signal.Signals(-code).name}: {last}")


def said(ended: Outcome, count: int, total: int) -> str:
    """For people."""
    return f"{ended.name}: {f'failed: {ended.error}' if ended.returncode else 'done'} ({count} of {total})"


def interrupted(ended: Sequence[Outcome], total: int, number: int) -> Interrupted:
    """What is raised after a signal."""
    name = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}[signal.Signals(number)]
    done = sum(each.returncode == 0 for each in ended)
    return Interrupted(f"stopped by {name} with {done} of {total} done: the same command goes on from there", number)


def cores() -> int:
    """Those that this process may use: ``OMP_NUM_THREADS`` where somebody set it."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    if given.isdigit() and int(given):
        return int(given)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared_out(threads: int) -> dict[str, str]:
    """The environment of a job that has so many threads."""
    return {**os.environ, "OMP_NUM_THREADS": str(max(1, threads))}
