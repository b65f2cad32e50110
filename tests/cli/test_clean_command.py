"""``trivium clean`` and ``[data.clean]``: counts, what is written, the budget, and the same text in training."""

import json
from pathlib import Path

import pytest
from tests.verbs.test_inspect_batch import WORDS, recipe

from trivium.text.cleaning import Cleaning
from trivium.verbs.inspect_batch import inspect_batch
from trivium.verbs.pretrain import pretrain


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """Pages of four good lines and a bad one each; the last is code, and one comes twice."""
    texts = []
    for number in range(40):
        lines = [f"Line {number} {turn}: {' '.join(WORDS[turn : turn + 8])}." for turn in range(4)]
        texts.append("\n".join([*lines, "click here"]))
    texts += [texts[3], "int main() { return 0; }"]
    (tmp_path / "pages.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in texts))
    return tmp_path / "pages.jsonl"


def test_what_each_rule_takes_is_counted_and_the_rest_written(trivium_command, pages: Path, tmp_path: Path) -> None:
    out = tmp_path / "clean.jsonl"
    outcome = trivium_command("clean", pages, "--out", out)
    assert outcome.code == 0 and "40 of 42 pages are left" in outcome.out
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 40 and all("click here" not in row["text"] and row["file"] == str(pages) for row in rows)
    found = json.loads(trivium_command("clean", pages, "--set", "repeats=0", "--json").out)
    assert found["report"]["pages_by"] == {"curly": 1} and found["report"]["lines_by"] == {"terminal": 41}
    again = json.loads(trivium_command("clean", out, "--json").out)
    assert again["report"]["pages_kept"] == 40 and again["report"]["lines_by"] == {}


def test_a_budget_is_counted_in_epochs(trivium_command, pages: Path, tmp_path: Path) -> None:
    trivium_command("tokenizer", "train", "--vocab-size", 320, "--out", tmp_path / "tokenizer", pages)
    arguments = ("clean", pages, "--tokenizer", tmp_path / "tokenizer", "--json", "--budget")
    found = json.loads(trivium_command(*arguments, "2^35").out)
    assert found["budget"] == 2**35 == 34_359_738_368
    assert found["epochs"] == pytest.approx(2**35 / found["tokens"]) and found["tokens"] > 1000
    assert trivium_command(*arguments, "many").code == 2
    assert trivium_command("clean", pages, "--budget", "1e9").code == 2
    assert trivium_command("clean", pages, "--out", tmp_path / "clean.txt").code == 2
    assert trivium_command("clean", pages, "--set", "wrods=3").code == 2
    assert trivium_command("clean", tmp_path / "nothing.txt").code == 3


def test_a_recipe_trains_on_the_clean_text_alone(pages: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    asked = recipe([str(pages)], data__clean={"repeats": 3}, tokenizer__vocab_size=320)
    assert asked.data.clean == Cleaning()
    pretrain(asked, tmp_path / "run")
    assert "cleaning: 40 of 42 pages" in capsys.readouterr().err
    view = inspect_batch(tmp_path / "run", rows=100)
    text = "".join(row.text for row in view.rows)
    assert "Line" in text and "click" not in text and "main" not in text
    assert pretrain(None, tmp_path / "run", resume=True, quiet=True).steps == 3
