"""The README's own examples, run: with a tiny model and few steps, otherwise as they are written."""

import glob
import io
import json
import re
import shlex
from pathlib import Path

import pytest

from trivium.cli.run import run
from trivium.errors import SettingsError
from trivium.verbs import recipe

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SMALL = ["model.size=tiny", "model.context=64", "training.steps=3", "training.batch_tokens=256"]
SMALL += ["tokenizer.vocab_size=320", "training.precision=float32"]


def block(language: str, containing: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", README, re.S | re.M)
    return next(each for each in found if containing in each)


@pytest.fixture
def desk(tmp_path: Path, text_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a reader might have it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes").mkdir()
    for name in ("notes/a.txt", "notes/b.txt", "notes.txt"):
        (tmp_path / name).write_text(text_file.read_text())
    rows = [{"text": f"a {('good', 'bad')[i % 2]} text {i}", "label": ("up", "down")[i % 2]} for i in range(12)]
    for name in ("train.jsonl", "dev.jsonl"):
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_the_commands_run(desk: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for line in block("bash", "trivium pretrain gpt2-mini").splitlines() if line.strip()]
    assert len(lines) == 6
    for line in lines:
        echoed, _, command = line.rpartition(" | ")
        monkeypatch.setattr("sys.stdin", io.StringIO(" ".join(shlex.split(echoed)[1:]) + "\n"))
        words = shlex.split(command, comments=True)
        assert words[0] == "trivium"
        arguments = [each for word in words[1:] for each in (sorted(glob.glob(word)) if "*" in word else [word])]
        if arguments[0] == "pretrain":
            arguments += ["--set", *SMALL]
        assert run(arguments) == 0, capfd.readouterr().err
    assert json.loads(capfd.readouterr().out.splitlines()[-1])["label"] in ("up", "down")


def test_the_python_runs(desk: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    written = recipe.load_recipe

    def small(name: str, data: list[str], sets: list[str]) -> recipe.Resolved:
        assert sets == ["training.minutes=5"]
        return written(name, data, SMALL)

    import trivium

    monkeypatch.setattr(trivium, "load_recipe", small, raising=False)
    exec(compile(block("python", "load_recipe"), "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].split()[0].isdigit() and "Surprise(" in printed[-1]
    theirs: dict[str, object] = {}
    exec(compile(block("python", "AutoModel"), "README.md", "exec"), theirs)


def test_settings_of_the_readme_are_settings() -> None:
    with pytest.raises(SettingsError):
        recipe.load_recipe("gpt2-mini", sets=["training.minute=5"])
    recipe.load_recipe("gpt2-mini", sets=["training.minutes=5"])
