"""The same jobs on a Ray cluster: that of ``RAY_ADDRESS``, else one that is started on this machine and ends with them.

Each job is a process beside a worker of Ray, on a machine that has Trivium and sees the same folders. It starts no
dashboard and reports no usage. Left out: environments and packages that Ray would bring to other machines.
"""

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trivium.extras import extra_module
from trivium.lab.workers import Job, Outcome, cores, end, interrupted, outcome, said, shared_out, start
from trivium.training.signals import stop_on_signals

_PAUSE = 0.2  # seconds between two looks at the cluster


def run_on_ray(jobs: Sequence[Job], workers: int, tell: Callable[[str], None]) -> list[Outcome]:
    """As ``workers.run_all``; ``workers`` says into how many parts the cluster's cores and accelerators are shared."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"  # a task without accelerators is told so by torch
    ray = extra_module("ray", "scale", "running on a cluster needs ray")
    address = os.environ.get("RAY_ADDRESS")
    here = {} if address else {"num_cpus": cores(), "include_dashboard": False}
    ray.init(address=address or "local", configure_logging=False, log_to_driver=False, **here)
    try:
        return _run(ray, jobs, workers, tell)
    finally:
        ray.shutdown()


def _run(ray: Any, jobs: Sequence[Job], workers: int, tell: Callable[[str], None]) -> list[Outcome]:
    share, threads = _share(ray, min(workers, max(1, len(jobs))))
    remote = ray.remote(max_retries=0, **share)(_one)
    ended: dict[Job, Outcome] = {}
    with stop_on_signals() as stop:
        stop.gentle = True
        waiting, running = list(jobs), dict[Any, Job]()

        def look() -> None:
            ready, _ = ray.wait(list(running), timeout=_PAUSE)
            for reference in ready:
                job = running.pop(reference)
                ended[job] = _ended(ray, reference, job)
                tell(said(ended[job], len(ended), len(jobs)))

        while (waiting or running) and stop.number is None:
            while waiting and len(running) < workers:
                job = waiting.pop(0)
                running[remote.remote(job, threads, str(Path.cwd()))] = job
            look()
        if stop.number is not None and (waiting or running):
            for reference in running:
                ray.cancel(reference)  # a KeyboardInterrupt in ``_one``
            while running:
                look()
            raise interrupted(list(ended.values()), len(jobs), stop.number)
    return [ended[job] for job in jobs]


def _share(ray: Any, parts: int) -> tuple[dict[str, float], int]:
    """What a job asks the cluster for, and its threads: no more than the largest machine has, and one accelerator."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    cpus = [machine.get("CPU", 0.0) for machine in machines]
    threads = max(1, int(min(max(cpus), sum(cpus) / parts)))
    share = {"num_cpus": float(threads if sum(cpus) >= parts else sum(cpus) / parts)}
    if accelerators := sum(machine.get("GPU", 0.0) for machine in machines):
        share["num_gpus"] = min(1.0, accelerators / parts)
    return share, threads


def _one(job: Job, threads: int, directory: str) -> int:
    """On the cluster: one job's exit code. Told to stop, it has the job save first."""
    os.chdir(directory)
    process = start(job, shared_out(threads))
    try:
        while (code := process.poll()) is None:
            time.sleep(_PAUSE)  # where a KeyboardInterrupt is heard at once
        return code
    finally:
        end([] if process.poll() is not None else [process])


def _ended(ray: Any, reference: Any, job: Job) -> Outcome:
    try:
        return outcome(job, ray.get(reference))
    except ray.exceptions.TaskCancelledError:
        return Outcome(job.name, 143, "stopped")
    except ray.exceptions.RayError as error:
        return Outcome(job.name, 1, " ".join(str(error).split())[:300])
