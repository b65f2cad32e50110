"""``pretrain`` from the command line: what it prints, how it goes on, and each way it is refused."""

import json
from pathlib import Path

import pytest

SMALL = ["model.size=tiny", "model.context=64", "training.steps=4", "training.batch_tokens=256"]
SMALL += ["tokenizer.vocab_size=320", "training.precision=float32", "training.checkpoint_every=2"]


@pytest.mark.parametrize("name", ["bert-mini", "gpt2-mini", "t5-mini"])
def test_each_recipe_trains_on_one_s_own_text(trivium_command, name: str, text_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    outcome = trivium_command("pretrain", name, "--data", text_file, "--set", *SMALL, "--out", out)
    assert outcome.code == 0, outcome.err
    assert f"use it: trivium {'generate' if name == 'gpt2-mini' else 'fill'}" in outcome.out
    assert outcome.err.startswith("learning a tokenizer of 320 tokens\nturning the text into tokens, once\ntext: ")
    assert "no evaluation: of fewer than 20 documents none is kept" in outcome.err and "step 4/4" in outcome.err
    found = json.loads(trivium_command("runs", tmp_path, "--json").out)
    assert [(each["state"], each["step"], each["steps"]) for each in found] == [("done", 4, 4)]
    shown = trivium_command("config", "show", out).out
    assert "training.steps" in shown and f"{out}/trivium.toml" in shown


def test_resume_and_prove(trivium_command, text_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    first = trivium_command("pretrain", "gpt2-mini", "--data", text_file, "--set", *SMALL, "--out", out, "--json")
    summary = json.loads(first.out)
    assert summary["steps"] == 4 and summary["proof"] is None
    again = trivium_command("pretrain", "--resume", out, "--prove", "--json")
    assert again.code == 0, again.err
    assert "steps 3 to 4, replayed" in json.loads(again.out)["proof"]
    kept = trivium_command("pretrain", "--resume", out, "--set", "training.keep=5")
    assert kept.code == 0, kept.err
    assert f"all 4 steps of this run are done: --from {out} goes on in a new folder" in kept.err
    assert "training " not in kept.err
    changed = trivium_command("pretrain", "--resume", out, "--set", "training.seed=4")
    assert changed.code == 2 and "training.seed" in changed.err
    used = trivium_command("pretrain", "gpt2-mini", "--data", text_file, "--out", out)
    assert used.code == 2 and "already holds a run" in used.err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["gpt2-mini"], 2, "give one of --out DIR"),
        (["--out", "x"], 2, "pretrain needs a recipe"),
        (["gpt2-mini", "--out", "x", "--resume", "y"], 2, "give one of --out DIR"),
        (["--resume", "nothing"], 2, "nothing holds no run to resume"),
        (["gpt2-mini", "--out", "x", "--prove"], 2, "--resume DIR --prove"),
        (["gpt2-mini", "--out", "x", "--set", "model.heads=3"], 2, "model.heads = 3 does not divide model.width"),
        (["gpt2-mini", "--out", "x", "--data", "missing.txt"], 3, "missing.txt does not exist"),
        (["gpt2-mini", "--out", "x", "--set", "model.family=gtp2"], 2, "gtp2"),
        (["gpt2-mini", "--out", "x", "--set", "objective.kind=masked"], 2, "encoder"),
    ],
)
def test_what_cannot_be_is_refused(
    trivium_command, arguments: list[str], code: int, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = trivium_command("pretrain", *arguments)
    assert outcome.code == code, outcome.err
    assert sentence in outcome.err and outcome.err.count("\n") == 1 and outcome.out == ""


def test_several_processes_come_later(trivium_command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = trivium_command("pretrain", "gpt2-mini", "--out", tmp_path / "run")
    assert outcome.code == 2 and "later version" in outcome.err


def test_from_a_pretrained_model(trivium_command, text_file: Path, tmp_path: Path) -> None:
    documents = tmp_path / "text.jsonl"  # many, so that some are held out
    documents.write_text("\n".join(json.dumps({"text": part}) for part in text_file.read_text().split("\n\n")))
    first = trivium_command("pretrain", "gpt2-mini", "--data", documents, "--set", *SMALL, "--out", tmp_path / "a")
    assert first.code == 0, first.err
    command = ["pretrain", "gpt2-mini", "--data", documents, "--set", *SMALL, "--from", tmp_path / "a"]
    second = trivium_command(*command, "--old", text_file, text_file, "--out", tmp_path / "b")
    assert second.code == 0, second.err
    assert f"from {tmp_path / 'a'}: bits per byte on the new text" in second.out and "on the old text" in second.out
    summary = json.loads(trivium_command("pretrain", "--resume", tmp_path / "b", "--json").out)
    assert summary["continued"]["new"].keys() == {"before", "after"}
    wrong = trivium_command("pretrain", "bert-mini", "--data", text_file, "--from", tmp_path / "a", "--out", "c")
    assert wrong.code == 2 and "objective.kind to causal" in wrong.err
    absent = trivium_command("pretrain", "gpt2-mini", "--from", "nowhere", "--out", tmp_path / "c")
    assert absent.code == 3 and "there is no model folder nowhere" in absent.err
