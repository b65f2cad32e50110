"""`trivium evaluate --shots` as a user types it."""

import json
from pathlib import Path
from typing import Any

import pytest


def test_a_table_a_page_and_json(trivium_command: Any, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    rows = [{"review": f"{word} {n}", "label": word} for n in range(6) for word in ("good", "bad")]
    data = tmp_path / "reviews.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    call = ["evaluate", "--shots", "0,1", "--data", data, "--model", tiny_models["gpt2"], "--column", "text=review",
            "--set", "draws=2", "--set", "example={text} is {answer}", "--limit", "4"]  # fmt: skip
    outcome = trivium_command(*call, "--html", tmp_path / "page.html")
    assert outcome.code == 0, outcome.err
    assert "in context" in outcome.out and "most frequent label" in outcome.out and "choose:random" in outcome.out
    assert "6 rows are set aside as examples, and 6 are left to score" in outcome.err
    assert (tmp_path / "page.html").read_text().startswith("<!DOCTYPE html>")
    found = json.loads(trivium_command(*call, "--json").out)
    assert [way["shots"] for way in found["ways"]] == [0, 0, 1] and len(found["ways"][2]["said"]) == 2


def test_options_that_need_shots_and_those_that_do_not_go_with_them(
    trivium_command: Any, tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    for words in (["--train", "x"], ["--beside", "lora"], ["--tuning", "steps=2"], ["--undescribed"], ["--task", "a"]):
        outcome = trivium_command("evaluate", "--suite", "sst2", "--data", "x", *words)
        assert outcome.code == 2 and f"{words[0]} is for prompts with examples" in outcome.err
    assert "give --suite, or --shots" in trivium_command("evaluate", "--data", "x").err
    assert "sst2 needs its data" in trivium_command("evaluate", "--suite", "sst2", "--model", "x").err
    assert "needs a language model" in trivium_command("evaluate", "--shots", "1", "--data", "x").err
    call = ["evaluate", "--shots", "1", "--data", "x", "--model", tiny_models["gpt2"]]
    assert "leave out --predictions" in trivium_command(*call, "--predictions", "x").err
    assert "did you mean choose" in trivium_command(*call, "--set", "chose=random").err
    missing = trivium_command(*call)
    assert missing.code == 3 and "x is not a file" in missing.err


def test_means_over_tasks_are_unweighted(
    trivium_command: Any, tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    rows = [{"text": f"{word} {n}", "label": word} for n in range(8) for word in ("good", "bad")]
    (tmp_path / "dev.jsonl").write_text("\n".join(map(json.dumps, rows[:6])))
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows[6:])))
    tasks = tmp_path / "tasks.toml"
    tasks.write_text(
        '[[task]]\nname = "mood"\ndata = "dev.jsonl"\ntrain = "train.jsonl"\nlimit = 3\n'
        '[[task]]\nname = "back"\nsuite = "reversed-words"\nlimit = 2\n[task.settings]\nmax_tokens = 2\n'
    )
    call = ["evaluate", "--shots", "0,1", "--tasks", tasks, "--model", tiny_models["gpt2"], "--set", "draws=1",
            "--set", "separator=\\n"]  # fmt: skip
    outcome = trivium_command(*call, "--html", tmp_path / "page.html")
    assert outcome.code == 0, outcome.err
    assert "mean  tasks" in outcome.out and "mood" in (tmp_path / "page.html").read_text()
    found = json.loads(trivium_command(*call, "--json").out)
    for each in found["means"]:
        own = [way["score"]["value"] for one in found["tasks"] for way in one["ways"]
               if (way["way"], way["shots"]) == (each["way"], each["shots"])]  # fmt: skip
        assert each["tasks"] == len(own) == 2 and each["value"] == pytest.approx(sum(own) / 2)
    refused = trivium_command(*call, "--data", "x")
    assert refused.code == 2 and "a file of tasks says which data each has" in refused.err
    for text, message in (
        ("[[task]]\n", "task 1: name is missing"),
        ("x = 1\n", "has 'x'"),
        ('[[task]]\nname = "a"\ndata = "none.tsv"\n', "task 'a': none.tsv is not there"),
        ('[[task]]\nname = "a"\n[[task]]\nname = "a"\n', "has two tasks 'a'"),
        ('[[task]]\nname = "a"\n[task.settings]\nx = 1\n', "task 'a': there is no setting 'x'"),
    ):
        tasks.write_text(text)
        assert message in trivium_command(*call).err


def test_the_surest_answers_and_gpt2s(trivium_command: Any, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    from trivium.evaluation.published_answers import PUBLISHED_ANSWERS

    chances = [each.probability for each in PUBLISHED_ANSWERS]
    assert len(chances) == 30 and chances == sorted(chances, reverse=True) and chances[0] == 83.4
    data = tmp_path / "q.jsonl"
    data.write_text("\n".join(json.dumps({"question": f"q {n}", "answer": f"a {n}"}) for n in range(4)))
    outcome = trivium_command(
        "evaluate", "--shots", "0", "--data", data, "--model", tiny_models["gpt2"], "--answers", "3",
        "--set", "max_tokens=2",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    lines = outcome.out.split("\n\n")[-1].strip().split("\n")
    assert lines[0].split() == ["question", "answer", "right", "probability"] and len(lines) == 4
    shares = [float(line.split()[-1].rstrip("%")) for line in lines[1:]]
    assert shares == sorted(shares, reverse=True)
