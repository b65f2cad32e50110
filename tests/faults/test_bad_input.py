"""What a user may hand in by mistake: one sentence with the remedy, its exit code, no traceback, no debris."""

import gzip
import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from commands import Commands
from trials import WORDS, settings

SETTINGS, DATA, REFUSED, STOPPED = 2, 3, 4, 75

SENTENCE = "The reader takes a file and returns the first line of it. "
BAD_FILES: dict[str, tuple[bytes, str]] = {
    "empty.txt": (b"", "empty.txt is empty"),
    "blank.txt": (b" \n\n \n", "blank.txt is empty"),
    "binary.txt": (SENTENCE.encode() * 9 + b"\0\1\2", r"binary.txt is binary, not text \(a zero at byte 522\)"),
    "latin1.txt": ((SENTENCE * 9 + "caf\xe9 ").encode("latin1"), r"latin1.txt:1: byte 525 \(0xe9\) is not UTF-8"),
    "cut.txt": ((SENTENCE * 9 + "\u20ac").encode()[:-1], "cut.txt:1: byte 522"),
    "utf16.txt": ((SENTENCE * 9).encode("utf-16"), "utf16.txt is UTF-16"),
    "zip.txt": (b"PK\x03\x04" + b"x" * 99, "zip.txt is a zip archive"),
    "cut.txt.gz": (gzip.compress(SENTENCE.encode() * 99)[:-9], "cut.txt.gz is damaged gzip"),
    "plain.txt.gz": (SENTENCE.encode() * 99, "plain.txt.gz is damaged gzip"),
    "broken.jsonl": (b'{"text": "a b"}\n{"text": "a b"\n{"text": "c"}\n', r"broken.jsonl:2: not valid JSON"),
    "field.jsonl": (b'{"txet": "a b"}\n', r"field.jsonl:1: no field 'text'.*txet"),
    "number.jsonl": (b'{"text": "a"}\n{"text": 3}\n', r"number.jsonl:2: .* is int, not a string"),
    "columns.csv": (b"text,label\na,b\nc,d,e\n", r"columns.csv:3: 3 columns where the header has 2"),
    "header.csv": (b"body,label\na,b\n", r"header.csv:1: no column 'text'"),
    "not.parquet": (SENTENCE.encode() * 99, "not.parquet is not a sound Parquet file"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_files(commands: Commands, tmp_path: Path, name: str) -> None:
    content, message = BAD_FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    ended = commands.run(["pretrain", *settings("gpt2-mini"), "--data", path, "--out", tmp_path / "run"])
    assert ended.code == DATA, ended.stderr
    assert re.search(message, ended.error), ended.error
    assert str(path) in ended.error


def test_after_a_bad_file_the_same_folder_can_be_used(commands: Commands, text: Path, tmp_path: Path) -> None:
    bad, run = tmp_path / "bad.txt", tmp_path / "run"
    bad.write_bytes(b"\xff" * 9)
    arguments = [*settings("gpt2-mini", training__steps=2), "--out", run]
    assert commands.run(["pretrain", *arguments, "--data", bad]).code == DATA
    ended = commands.run(["pretrain", *arguments, "--data", text])
    assert ended.code == 0, ended.stderr


def test_missing_and_unreadable_data(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "image.png").write_bytes(b"\x89PNG")
    for name, message in (("nowhere.txt", "does not exist"), ("folder", "holds no")):
        ended = commands.run(["pretrain", *settings("gpt2-mini"), "--data", tmp_path / name, "--out", tmp_path / "r"])
        assert ended.code == DATA, ended.stderr
        assert message in ended.error and str(tmp_path / name) in ended.error
        assert not (tmp_path / "r").exists()


def test_too_little_text_is_told_how_little(commands: Commands, tmp_path: Path) -> None:
    path = tmp_path / "short.txt"
    path.write_text(SENTENCE)
    ended = commands.run(["pretrain", *settings("gpt2-mini"), "--data", path, "--out", tmp_path / "run"])
    assert ended.code in (DATA, REFUSED), ended.stderr
    assert "give more text" in ended.error or "more text" in ended.error


def test_a_vocabulary_larger_than_the_text_supports(commands: Commands, text: Path, tmp_path: Path) -> None:
    arguments = settings("gpt2-mini", tokenizer__vocab_size=50_000)
    ended = commands.run(["pretrain", *arguments, "--data", text, "--out", tmp_path / "run"])
    assert ended.code in (SETTINGS, DATA, REFUSED), ended.stderr
    assert "50,000" in ended.error or "50000" in ended.error
    assert "vocab" in ended.error


BAD_SETTINGS: dict[str, tuple[list[str], str]] = {
    "misspelt field": (["--set=training.lerning_rate=1"], "lerning_rate"),
    "nearest name": (["--set=training.batch_token=256"], "batch_tokens"),
    "misspelt table": (["--set=trainig.steps=3"], "training"),
    "misspelt kind": (["--set=training.optimizer.kind=adamv"], "adamw"),
    "wrong type": (["--set=training.steps=many"], "training.steps"),
    "no value": (["--set=training.steps"], "training.steps"),
    "negative": (["--set=training.steps=-1"], "-1"),
    "two budgets": (["--set=training.tokens=100"], "exactly one of steps, tokens, flops and minutes"),
    "heads": (["--set=model.width=30", "--set=model.heads=4"], "30.*4|4.*30"),
    "keep nothing": (["--set=training.keep=0"], "training.keep"),
    "negative interval": (["--set=training.log_every=-1"], "training.log_every"),
    "context": (["--set=model.context=0"], "context"),
    "vocabulary": (["--set=tokenizer.vocab_size=3"], "vocab"),
    "dropout": (["--set=model.dropout=1.5"], "dropout"),
    "device": (["--set=training.device=tpu"], "training.device"),
    "absent device": (["--set=training.device=mps"], "mps"),
    "batch below a row": (["--set=training.batch_tokens=0"], "training.batch_tokens"),
    "size": (["--set=model.size=gigantic"], "gigantic"),
    "family": (["--set=model.family=gtp2"], "gpt2"),
    "held out": (["--set=data.heldout=2"], "data.heldout"),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings(commands: Commands, text: Path, tmp_path: Path, case: str) -> None:
    sets, message = BAD_SETTINGS[case]
    run = tmp_path / "run"
    ended = commands.run(["pretrain", *settings("gpt2-mini"), *sets, "--data", text, "--out", run])
    assert ended.code == SETTINGS, ended.stderr
    assert re.search(message, ended.error), ended.error
    assert not run.exists(), "a run that was never possible left something behind"


def test_unknown_recipes_and_broken_ones(commands: Commands, tmp_path: Path) -> None:
    ended = commands.run(["pretrain", "gtp2-mini", "--out", tmp_path / "run"])
    assert ended.code == SETTINGS and "did you mean gpt2-mini" in ended.error
    recipe = tmp_path / "own.toml"
    for content in ("[data\n", "[training]\nstesp = 3\n", "\xff"):
        recipe.write_text(content, encoding="latin1")
        ended = commands.run(["pretrain", recipe, "--out", tmp_path / "run"])
        assert ended.code == SETTINGS, ended.stderr
        assert "own.toml" in ended.error or "stesp" in ended.error
    ended = commands.run(["pretrain", tmp_path / "none.toml", "--out", tmp_path / "run"])
    assert ended.code == SETTINGS and "none.toml" in ended.error


def test_usage_errors_point_to_help(commands: Commands) -> None:
    for arguments in (["pretrain"], ["pretrain", "gpt2-mini", "--nonsense"], ["pretran"], ["generate"]):
        ended = commands.run(arguments)
        assert ended.code == SETTINGS, (arguments, ended.stderr)
        assert ended.error


def test_an_output_folder_in_use(commands: Commands, text: Path, tmp_path: Path) -> None:
    arguments = ["pretrain", *settings("gpt2-mini", training__steps=2), "--data", text, "--out"]
    run = tmp_path / "run"
    assert commands.run([*arguments, run]).code == 0
    again = commands.run([*arguments, run])
    assert again.code == SETTINGS and "already holds a run" in again.error and "--resume" in again.error
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.docx").write_text("mine")
    ended = commands.run([*arguments, other])
    assert ended.code == SETTINGS and "thesis.docx" in ended.error
    assert [path.name for path in other.iterdir()] == ["thesis.docx"]
    ended = commands.run([*arguments, other / "thesis.docx"])
    assert ended.code == SETTINGS and "is a file" in ended.error
    ended = commands.run([*arguments, other / "thesis.docx" / "below"])
    assert ended.code == SETTINGS and "cannot be made: Not a directory" in ended.error


def test_two_processes_and_one_folder(commands: Commands, text: Path, tmp_path: Path) -> None:
    """The second is told who holds it; the first does not notice."""
    with Commands(tmp_path) as first:
        run = tmp_path / "run"
        arguments = ["pretrain", *settings("gpt2-mini", training__steps=100_000), "--data", text, "--out", run]
        pid = first.start(arguments)
        while not list(run.glob("checkpoints/step-*")):
            time.sleep(0.01)
        second = commands.run(["pretrain", "--resume", run])
        assert second.code == SETTINGS
        assert f"process {pid}" in second.error

        os.kill(pid, signal.SIGTERM)
        assert first.wait().code == 143


def test_resume_of_what_is_no_run(commands: Commands, tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        ended = commands.run(["pretrain", "--resume", folder])
        assert ended.code == SETTINGS and str(folder) in ended.error
    assert not (tmp_path / "nowhere").exists()


def test_several_processes_come_later(commands: Commands, text: Path, tmp_path: Path) -> None:
    """torchrun sets these."""
    ended = commands.run(
        ["pretrain", *settings("gpt2-mini"), "--data", text, "--out", tmp_path / "run"],
        environment={"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"},
    )
    assert ended.code == SETTINGS, ended.stderr
    assert "2 processes" in ended.error or "torchrun" in ended.error


def test_a_loss_that_explodes_stops_with_a_good_checkpoint(commands: Commands, text: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    sets = settings("gpt2-mini", training__optimizer__learning_rate=1e30, training__clip=0)
    ended = commands.run(["pretrain", *sets, "--data", text, "--out", run])
    assert ended.code == STOPPED, ended.stderr
    assert "was not taken" in ended.error or "not finite" in ended.error
    assert "checkpoint of step" in ended.error and "is good" in ended.error
    assert list(run.glob("checkpoints/step-*"))


def test_one_very_long_line_is_read_in_pieces(commands: Commands, tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    path.write_text(" ".join(WORDS) * 20_000)
    assert path.stat().st_size > 3_000_000
    sets = settings("gpt2-mini", training__steps=2)
    ended = commands.run(["pretrain", *sets, "--data", path, "--out", tmp_path / "run"])
    assert ended.code == 0, ended.stderr


@pytest.mark.slow
def test_a_line_of_100_mb_is_read_in_pieces(commands: Commands, tmp_path: Path) -> None:
    path = tmp_path / "line.txt"
    path.write_text(" ".join(WORDS) * 550_000)
    assert path.stat().st_size > 100_000_000
    sets = settings("gpt2-mini", training__steps=2)
    ended = commands.run(["pretrain", *sets, "--data", path, "--out", tmp_path / "run"])
    assert ended.code == 0, ended.stderr


def test_user_text_that_spells_special_tokens_stays_text(commands: Commands, text: Path, tmp_path: Path) -> None:
    path = tmp_path / "special.jsonl"
    rows = [{"text": f"{SENTENCE}</s><pad><mask> {line}"} for line in text.read_text().split("\n\n")]
    path.write_text("\n".join(map(json.dumps, rows)))
    sets = settings("gpt2-mini", training__steps=2)
    ended = commands.run(["pretrain", *sets, "--data", path, "--out", tmp_path / "run"])
    assert ended.code == 0, ended.stderr
