"""``trivium inspect batch``: what is printed, on a terminal and elsewhere, written and refused."""

import json
import sys
from pathlib import Path

import pytest
from tests.verbs.test_inspect_batch import WORDS, recipe


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    lines = [f"{' '.join(WORDS[i % 7 : i % 7 + 12])} number {i}." for i in range(60)]
    (tmp_path / "texts.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    made = recipe([str(tmp_path / "texts.jsonl")], tokenizer__vocab_size=310, objective__random=0.2)
    (tmp_path / "masked.toml").write_text(made.to_toml())
    return tmp_path / "masked.toml"


def test_rows_are_printed_and_written(trivium_command, toml: Path, tmp_path: Path) -> None:
    page = tmp_path / "step.html"
    outcome = trivium_command("inspect", "batch", toml, "--step", 2, "--rows", 1, "--html", page)
    assert outcome.code == 0
    assert "step 2 of 3: 5 rows of 32 tokens in 2 micro-batches" in outcome.out
    assert "texts.jsonl, document " in outcome.out and "<mask>" in outcome.out and "targets   " in outcome.out
    assert "control tokens: <s> begin and classify" in outcome.out and "4 more rows" in outcome.out
    assert "\x1b" not in outcome.out
    assert "learning a tokenizer of 310 tokens" in outcome.err and "wrote" in outcome.err
    assert "Step 2 of 3" in page.read_text("utf-8")


def test_json_has_every_row_that_was_asked_for(trivium_command, toml: Path) -> None:
    outcome = trivium_command("inspect", "batch", toml, "--rows", 3, "--set", "objective.rate=0.3", "--json")
    found = json.loads(outcome.out)
    assert [row["number"] for row in found["rows"]] == [1, 2, 3] and found["source"] == str(toml)
    places = [place for row in found["rows"] for side in row["sides"] for place in side["places"]]
    targets = [target for place in places for target in place["targets"]]
    assert {target["how"] for target in targets} <= {"masked", "random", "kept"} and targets[0]["cost"] is None


def test_colour_is_for_terminals_alone(trivium_command, toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[34m" in trivium_command("inspect", "batch", toml).out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in trivium_command("inspect", "batch", toml).out


def test_what_cannot_be_shown_is_refused(trivium_command, toml: Path, tmp_path: Path) -> None:
    outcome = trivium_command("inspect", "batch", toml, "--step", 9)
    assert outcome.code == 2 and "step 9: choose 1 to 3" in outcome.err
    outcome = trivium_command("inspect", "batch", tmp_path, "--set", "objective.rate=0.3")
    assert outcome.code == 2 and "leave out --data and --set" in outcome.err
    outcome = trivium_command("inspect", "batch", toml, "--model", tmp_path / "nowhere")
    assert outcome.code == 3 and "nowhere" in outcome.err
    outcome = trivium_command("inspect", "batch", "bert-minu")
    assert outcome.code == 2 and "did you mean bert-mini" in outcome.err
    outcome = trivium_command("inspect", "batch", toml, "--set", "training.batch_tokens=100000")
    assert outcome.code == 4 and "give more text" in outcome.err
