"""One fork server for all fault tests, and the folder's own modules made importable."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from commands import Commands  # noqa: E402
from trials import Trials, settings, write_text  # noqa: E402


@pytest.fixture(scope="session")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with Commands(tmp_path_factory.mktemp("commands")) as server:
        yield server


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("text") / "text.txt")


@pytest.fixture(scope="session")
def trials(commands: Commands, tmp_path_factory: pytest.TempPathFactory) -> Trials:
    return Trials.prepare(commands, tmp_path_factory.mktemp("trials"), "gpt2-mini")


@pytest.fixture
def start(text: Path, tmp_path: Path) -> list[str | Path]:
    """The command that begins a small run in ``tmp_path / "run"``."""
    return ["pretrain", *settings("gpt2-mini"), "--data", text, "--out", tmp_path / "run"]
