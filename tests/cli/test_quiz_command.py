"""`trivium quiz`: a page to guess from, and the guesses scored."""

import json
from pathlib import Path
from typing import Any

import pytest

from trivium.metrics import wilson


@pytest.fixture
def articles(tmp_path: Path) -> Path:
    rows = [{"title": f"Title {n} <b>", "text": f"Words of a person, {n}."} for n in range(4)]
    path = tmp_path / "articles.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_made_and_guessed(
    trivium_command: Any, tiny_models: dict[str, Path], articles: Path, tmp_path: Path
) -> None:
    call = ["--data", articles, "--model", tiny_models["lstm"], "--max-tokens", "5"]
    outcome = trivium_command("quiz", tmp_path / "q", *call)
    assert outcome.code == 0, outcome.err
    assert "4 articles, 2 by" in outcome.out
    page, sources = (tmp_path / "q" / "quiz.html").read_text(), json.loads((tmp_path / "q" / "key.json").read_text())
    assert page.count("Words of a person") == 2 and "Title 1 &lt;b&gt;" in page and "<script" not in page
    assert page.count('class="guess"') == 4 and 'counter(right) " of 4: "' in page
    guesses = tmp_path / "g.json"
    guesses.write_text(json.dumps([sources["sources"], ["person"] * 4]))
    found = json.loads(trivium_command("quiz", tmp_path / "q", "--guesses", guesses, "--json").out)
    share = wilson(6, 8)
    assert found["accuracy"] == {"value": 0.75, "low": share.low, "high": share.high} and len(found["hardest"]) == 2
    assert "75.0%" in trivium_command("quiz", tmp_path / "q", "--guesses", guesses).out
    for text, message in (("[", "not a list"), ("{}", "not a list"), ('["person"]', "must be 4"), ("[1, 2]", "4")):
        guesses.write_text(text)
        refused = trivium_command("quiz", tmp_path / "q", "--guesses", guesses)
        assert refused.code == 3 and message in refused.err
    assert "is not empty" in trivium_command("quiz", tmp_path / "q", *call).err
    assert "is no quiz" in trivium_command("quiz", tmp_path / "none", "--guesses", guesses).err
    assert "needs --data and --model" in trivium_command("quiz", tmp_path / "new").err
    assert "at least 2 articles" in trivium_command("quiz", tmp_path / "new", *call, "--limit", "1").err
