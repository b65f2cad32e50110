"""`trivium evaluate` passes over nothing that it was asked for: what a suite cannot do is refused before it runs."""

import json
from pathlib import Path
from typing import Any

import pytest

LABELLED = [
    (["--column", "lable=x"], "has no field 'lable' that a file may call otherwise: did you mean 'label'?"),
    (["--column", "answers=x"], "those that it has: text, label"),
    (["--set", "stem=true"], "its settings are: none"),
]
LANGUAGE = [
    ("text", ["--column", "text=x"], "file has one layout"),
    ("text", ["--format", "tsv"], "file has one layout"),
    ("text", ["--set", "stride=0"], "stride is 0: it must be between 1 and the context"),
    ("text", ["--set", "context=0"], "context is 0: it must be between 1 and what this model reads"),
    ("text", ["--predictions", "x"], "not predictions"),
    ("masked", [], "masked tokens are for encoders, and this is one of the kind decoder: use text"),
    ("lambada", ["--baselines", "x"], "lambada has no baseline"),
]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "sst2").mkdir()
    (tmp_path / "sst2" / "dev.tsv").write_text("sentence\tlabel\nso good\t1\nso bad\t0\n")
    (tmp_path / "said.jsonl").write_text('{"label": "1"}\n{"label": "0"}\n')
    (tmp_path / "text.txt").write_text("the model reads the file and writes the tokens\n")
    return tmp_path


@pytest.mark.parametrize(("arguments", "message"), LABELLED)
def test_of_labelled_suites(arguments: list[str], message: str, trivium_command: Any, files: Path) -> None:
    call = ["evaluate", "--suite", "sst2", "--data", files / "sst2" / "dev.tsv", "--predictions", files / "said.jsonl"]
    outcome = trivium_command(*call, *arguments)
    assert outcome.code == 2 and message in outcome.err and outcome.out == ""


@pytest.mark.parametrize(("suite", "arguments", "message"), LANGUAGE)
def test_of_language_suites(
    suite: str, arguments: list[str], message: str, trivium_command: Any, files: Path, tiny_models: dict[str, Path]
) -> None:
    call = ["evaluate", "--suite", suite, "--data", files / "text.txt", "--model", tiny_models["gpt2"]]
    outcome = trivium_command(*call, *arguments)
    assert outcome.code == 2 and message in outcome.err and outcome.out == ""


def test_a_group_has_one_source_for_a_suite_and_all_its_files(trivium_command: Any, files: Path) -> None:
    said = files / "said.jsonl"
    call = ["evaluate", "--suite", "glue", "--data", files, "--predictions", f"sst2={said}"]
    both = trivium_command(*call, "--model", "sst2=runs/x")
    assert both.code == 2 and "sst2 has a model and predictions" in both.err
    said.unlink()  # not reached: what is missing is seen before anything is scored
    missing = trivium_command(*call, "--predictions", f"rte={said}")
    assert missing.code == 3 and "has none of RTE/dev.tsv" in missing.err


def test_summaries_have_a_lead_of_one_sentence_or_more(trivium_command: Any, files: Path) -> None:
    data, said = files / "data.jsonl", files / "written.jsonl"
    data.write_text(json.dumps({"document": "One. Two.", "summary": "One."}) + "\n")
    said.write_text(json.dumps({"output": "One."}) + "\n")
    call = ["evaluate", "--suite", "summarisation", "--data", data, "--predictions", said]
    outcome = trivium_command(*call, "--set", "sentences=0")
    assert outcome.code == 2 and "sentences = 0: it must be at least 1" in outcome.err
    outcome = trivium_command(*call, "--set", "sentences=1", "--json")
    (baseline,) = json.loads(outcome.out)["results"][0]["baselines"]
    assert baseline["name"] == "Lead-1" and baseline["scores"]["rouge1"]["value"] == 1


def test_a_gguf_file_is_not_fine_tuned(trivium_command: Any, files: Path) -> None:
    (files / "model.gguf").write_bytes(b"GGUF")
    call = ["evaluate", "--suite", "sst2", "--data", files / "sst2" / "dev.tsv", "--model", files / "model.gguf"]
    outcome = trivium_command(*call)
    assert outcome.code == 2 and "model.gguf is a file that holds a language model" in outcome.err
