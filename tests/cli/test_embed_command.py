"""`trivium embed` as a user meets it: lines of JSON whose numbers are those of the library."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trivium

TEXTS = ["A list is a mutable sequence of items.", "Raise.", "héllo ☃, 世界", "Return the number of items."]


def test_the_command_streams_lines(
    trivium_command: Any, tiny_models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trivium.load(tiny_models["bert"])
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(TEXTS) + "\n\n", encoding="utf-8")
    lines = trivium_command("embed", "--model", tiny_models["bert"], file).out.splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["text"] for row in rows] == TEXTS
    assert np.array_equal(np.array([row["embedding"] for row in rows], np.float32), model.embed(TEXTS))
    table = tmp_path / "texts.jsonl"
    table.write_text("".join(json.dumps({"q": text, "text2": 1}) + "\n" for text in TEXTS), encoding="utf-8")
    outcome = trivium_command("embed", "--model", tiny_models["bert"], table, "--column", "text=q", "--json")
    assert json.loads(outcome.out) == rows
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{text}\n" for text in TEXTS)))
    options = ["--pooling", "last", "--normalise", "--length", "10"]
    outcome = trivium_command("embed", "--model", tiny_models["bert"], *options)
    assert "longer than what the model reads" in outcome.err
    last = np.array([json.loads(line)["embedding"] for line in outcome.out.splitlines()], np.float32)
    assert np.array_equal(last, model.embed(TEXTS, "last", True, 10))


def test_errors_of_the_command(trivium_command: Any, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    def failed(*arguments: object) -> tuple[int, str]:
        outcome = trivium_command("embed", "--model", *arguments)
        assert outcome.err.startswith("error: ") and outcome.err.count("\n") == 1
        return outcome.code, outcome.err

    code, said = failed(tiny_models["bert"], tmp_path / "nothing.txt")
    assert code == 3 and "is not a file" in said
    (tmp_path / "empty.txt").write_text("\n")
    assert failed(tiny_models["bert"], tmp_path / "empty.txt")[0] == 3
    (tmp_path / "texts.jsonl").write_text('{"text": 5}\n')
    code, said = failed(tiny_models["bert"], tmp_path / "texts.jsonl")
    assert code == 3 and "texts.jsonl:1" in said
    assert failed(tiny_models["bert"], "--pooling", "max")[0] == 2
    assert failed(tiny_models["bert"], tmp_path / "texts.jsonl", "--column", "label=x")[0] == 2
    assert failed(tmp_path / "nowhere")[0] == 3
