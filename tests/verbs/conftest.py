"""Files of preferences, and a reward model that has learnt from such."""

from pathlib import Path

import pytest
from tests.verbs.preferences import asked, rows, written

from trivium.verbs.align import Aligned, align


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    return written(tmp_path / "train.jsonl", rows(32)), written(tmp_path / "dev.jsonl", rows(10))


@pytest.fixture(scope="session")
def judge(tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Aligned:
    folder = tmp_path_factory.mktemp("judge")
    files = written(folder / "train.jsonl", rows(32)), written(folder / "dev.jsonl", rows(10))
    settings = asked("reward", tiny_models["llama"], files, "training.steps=30", "training.learning_rate=0.003")
    return align(settings, folder / "run", quiet=True)
