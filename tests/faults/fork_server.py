"""Runs ``trivium`` commands in forks of one process that has imported everything, so that a start costs milliseconds.

A fork is a process of its own: it can be killed, runs out of disk or memory alone, and shares nothing it writes. The
server answers each line of JSON on stdin with two on stdout: the fork's pid, and how it ended.

``crash_at`` kills the fork by SIGKILL just before its n-th write, fsync, rename or link; in the middle of it for a
write. ``file_limit`` is the most bytes a file may have (a "full disk" that needs no rights).
"""

import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CRASH_POINTS = ("write", "fsync", "rename", "replace", "link")


def serve(folder: Path) -> None:
    _warm_up(folder)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                code = _run(request)
            finally:
                os._exit(code)
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def _warm_up(folder: Path) -> None:
    """A whole run in this process, so that what is imported, measured and compiled once is there in every fork."""
    from trials import settings, write_text

    from trivium.cli.run import run

    text = write_text(folder / "warm-up.txt")
    arguments = [*settings("gpt2-mini", training__steps=2), "--data", str(text), "--out", str(folder / "warm-up")]
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        run(["pretrain", *arguments])


def _run(request: dict[str, Any]) -> int:
    """In the fork: the command as the console script would run it; stdout and stderr go to files."""
    from trivium.cli.run import run

    for descriptor, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        flags = os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        handle = os.open(path, flags, 0o644)
        os.dup2(handle, descriptor)
        os.close(handle)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)
    os.environ.update(request["environment"])
    if request["file_limit"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (request["file_limit"], request["file_limit"]))
    counted = _count_writes(request["crash_at"])
    try:
        code = run(request["arguments"])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    if request["count_to"]:
        with open(request["count_to"], "w") as file:
            json.dump(counted, file)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    return code


def _count_writes(crash_at: int | None) -> list[str]:
    """Replaces the functions of ``os`` that change files by ones that count, and that end the process at the n-th."""
    counted: list[str] = []

    def counting(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if len(counted) == crash_at:
                if name == "write" and len(arguments[1]) > 1:
                    real(arguments[0], arguments[1][: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            counted.append(name)
            return real(*arguments, **options)

        return call

    for name in CRASH_POINTS:
        setattr(os, name, counting(name, getattr(os, name)))
    return counted


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
