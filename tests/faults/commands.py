"""The other end of ``fork_server``: start a command, kill it or wait for it, and look at what it said."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

SERVER = Path(__file__).with_name("fork_server.py")


@dataclass(frozen=True)
class Ended:
    """How a command ended. ``code`` is negative for the signal that killed it, as in ``subprocess``."""

    code: int
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """The one sentence after "error: ", and nothing that a user should not see."""
        assert "Traceback" not in self.stderr, self.stderr
        found = re.findall(r"^error: (.*)$", self.stderr, re.MULTILINE)
        assert len(found) == 1, f"{len(found)} errors in {self.stderr!r}"
        assert self.stderr.rstrip().endswith(found[0]), f"more follows the error: {self.stderr!r}"
        assert "unexpected" not in found[0], found[0]
        return str(found[0])


class Commands:
    """One server and the commands it runs, one after another; ``folder`` takes their output."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
            "NO_COLOR": "1",
            "XDG_CACHE_HOME": str(folder / "cache"),
        }
        self._server = subprocess.Popen(
            [sys.executable, str(SERVER), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

        assert self._answer()["ready"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait(timeout=60)

    def start(
        self,
        arguments: Sequence[str | Path],
        *,
        crash_at: int | None = None,
        file_limit: int | None = None,
        environment: Mapping[str, str] | None = None,
        count_to: Path | None = None,
    ) -> int:
        """Starts a command and returns its pid; :meth:`wait` comes next."""
        self._ask(
            arguments=[str(argument) for argument in arguments],
            stdout=str(self.folder / "stdout"),
            stderr=str(self.folder / "stderr"),
            crash_at=crash_at,
            file_limit=file_limit,
            environment=dict(environment or {}),
            count_to=str(count_to) if count_to else None,
        )
        return int(self._answer()["pid"])

    def wait(self) -> Ended:
        code = int(self._answer()["code"])
        out, err = ((self.folder / name).read_text(errors="replace") for name in ("stdout", "stderr"))
        return Ended(code, out, err)

    def run(self, arguments: Sequence[str | Path], **options: Any) -> Ended:
        self.start(arguments, **options)
        return self.wait()

    def stop_after(self, seconds: float, arguments: Sequence[str | Path], number: int = signal.SIGKILL) -> Ended:
        """A signal after so many seconds; a command that is done by then is left alone."""
        pid = self.start(arguments)
        timer = threading.Timer(seconds, _signal, (pid, number))
        timer.start()
        try:
            return self.wait()
        finally:
            timer.cancel()

    def _ask(self, **request: Any) -> None:
        assert self._server.stdin
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()

    def _answer(self) -> dict[str, Any]:
        assert self._server.stdout
        line = self._server.stdout.readline()
        assert line, f"the fork server ended with {self._server.wait()}"
        answer: dict[str, Any] = json.loads(line)
        return answer


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
