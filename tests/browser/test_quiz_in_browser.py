"""The quiz in a real browser: it counts the guesses and says the share and its interval, without a script."""

import json
from pathlib import Path
from typing import Any

import pytest

from trivium.metrics import wilson
from trivium.verbs.quiz import KEY, PAGE, make_quiz

TITLE = "</style><script>document.title='hacked'</script>"


@pytest.fixture(scope="module")
def quiz(tmp_path_factory: pytest.TempPathFactory, tiny_models: dict[str, Path]) -> Path:
    folder = tmp_path_factory.mktemp("quiz")
    rows = [{"title": f"{TITLE} {n}", "text": f"Words of a person, {n}."} for n in range(4)]
    (folder / "articles.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return make_quiz(tiny_models["lstm"], folder / "articles.jsonl", folder / "quiz", max_tokens=5).directory


def told(page: Any) -> str:
    """All text that is drawn, what the style sheet counts among it."""
    drawn = page.context.new_cdp_session(page).send("DOMSnapshot.captureSnapshot", {"computedStyles": []})
    strings = drawn["strings"]
    texts = " ".join(strings[number] for number in drawn["documents"][0]["layout"]["text"] if number >= 0)
    return " ".join(texts.split())


@pytest.mark.parametrize("right", [0, 3, 4])
@pytest.mark.parametrize("width", [360, 1280])
def test_it_counts_the_guesses(chromium: Any, quiz: Path, right: int, width: int) -> None:
    sources = json.loads((quiz / KEY).read_text())["sources"]
    page = chromium.new_page(viewport={"width": width, "height": 900})
    page.goto((quiz / PAGE).as_uri())
    for number, source in enumerate(sources):
        assert "The score is shown here" in told(page) and "%" not in told(page).partition("The interval")[0]
        other = {"person": "model", "model": "person"}[source]
        box = page.locator(".guess").nth(number)
        box.get_by_label(f"a {source if number < right else other}", exact=True).press("Space")
        assert box.inner_text().strip().endswith(f"{'Right' if number < right else 'No'}: a {source}.")
    share = wilson(right, 4)
    drawn = told(page)
    assert f"{right} of 4: {share.value:.1%} [{share.low:.1%}, {share.high:.1%}]" in drawn
    assert "The score is shown here" not in drawn and page.title() == "A person or a model?"
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
