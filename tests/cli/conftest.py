"""The command line as a user meets it: exit code, standard output and standard error of a process or a call."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from trivium.cli.run import run


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def trivium_command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs a command in this process: ``trivium_command("config", "show", "gpt2-mini")``."""

    def call(*arguments: object) -> Outcome:
        capfd.readouterr()
        code = run([str(each) for each in arguments])
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return call
