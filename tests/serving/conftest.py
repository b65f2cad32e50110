"""A real server process on a real socket, with tiny models of each kind, one for all tests of the folder."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from trivium.text.chat_templates import CHAT_TEMPLATES

if TYPE_CHECKING:
    from trivium.serving.house import Served


@dataclass(frozen=True)
class Running:
    """A server process."""

    url: str
    process: subprocess.Popen

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def end(self) -> int:
        """Asks it to stop; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(90)


@contextmanager
def served(*arguments: str, log: Path, keys: str = "") -> Iterator[Running]:
    """``trivium serve`` with these arguments, on a port that is free."""
    command = [sys.executable, "-m", "trivium", "serve", "--port", "0", *arguments]
    environment = {**os.environ, **({"TRIVIUM_KEYS": keys} if keys else {})}
    with log.open("w") as out:
        process = subprocess.Popen(command, stderr=out, stdout=out, env=environment)
    try:
        until = time.monotonic() + 200
        while (found := re.search(r"http://\S+", log.read_text())) is None:
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield Running(found[0], process)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def talker(tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder of random weights with a chat template, wide apart enough that no two tokens tie."""
    folder = tmp_path_factory.mktemp("talker") / "talker"
    shutil.copytree(tiny_models["llama"], folder)
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATES["plain"].text)
    return folder


@pytest.fixture(scope="session")
def server(tiny_models: dict[str, Path], talker: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A decoder that talks, an encoder-decoder, and an encoder, under those names."""
    log = tmp_path_factory.mktemp("server") / "log"
    models = {"talker": talker, "t5": tiny_models["t5"], "bert": tiny_models["bert"]}
    arguments = [word for name, folder in models.items() for word in ("--model", f"{name}={folder}")]
    with served(*arguments, log=log) as running:
        yield running


@pytest.fixture(scope="session")
def whole_models(tiny_models: dict[str, Path]) -> "dict[str, Served]":
    """A model for each ability, none of them trained."""
    from tests.serving.whole_house import every_kind

    return {each.name: each for each in every_kind(tiny_models)}


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., object]:
    """Starts another server: a function of its arguments, whose result is a context."""
    return lambda *arguments, **options: served(*arguments, log=tmp_path / "log", **options)
