"""`trivium evaluate --shots` as a user types it."""

import json
from pathlib import Path
from typing import Any


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
