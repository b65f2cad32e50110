"""Who wrote this, a person or the model? Articles of people beside ones that a model wrote to titles of the same kind,
as a page to guess from, and how many guesses were right (Brown et al. 2020, section 3.9.4: 52% for the largest model,
where 50% is chance; of its hardest article 12%).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trivium.durable import replace_file
from trivium.errors import DataError, SettingsError
from trivium.generation.sampling import Sampling
from trivium.lab import report
from trivium.metrics import Interval, wilson
from trivium.randomness import Draws
from trivium.text.fields import Columns, text_of
from trivium.text.prompt_templates import prompt_template
from trivium.text.readers import json_object, read_rows
from trivium.verbs.load import LanguageModel, load
from trivium.verbs.templates import sampled_as
from trivium.views.guessing import guess, score

PAGE, KEY = "quiz.html", "key.json"
SOURCES = ("person", "model")


@dataclass(frozen=True)
class Quiz:
    """``sources``: of each article, in the order of the page."""

    directory: Path
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Guessed:
    """``accuracy``: with Wilson's interval; a half is chance. ``hardest``: the model's that were taken for a
    person's."""

    accuracy: Interval
    guesses: int
    hardest: tuple[int, ...]


def make_quiz(
    model: str | Path | LanguageModel, data: str | Path, out: str | Path, *, columns: Columns | None = None,
    limit: int = 10, max_tokens: int = 250, seed: int = 0,
) -> Quiz:  # fmt: skip
    """An article for each of the first ``limit`` rows of ``data`` (``title``, ``text``, perhaps ``subtitle``): half of
    them by the model. Writes the page to guess from and, apart from it, the key."""
    if limit < 2 or max_tokens < 1:
        raise SettingsError(f"limit = {limit}, max_tokens = {max_tokens}: at least 2 articles and 1 token are wanted")
    names = columns or {}
    title, subtitle, text = (names.get(name, name) for name in ("title", "subtitle", "text"))
    rows = []
    for place, row in read_rows(Path(data)):
        held = text_of(place, row, subtitle) if subtitle in row else ""
        rows.append((text_of(place, row, title), held, text_of(place, row, text)))
        if len(rows) == limit:
            break
    if len(rows) < 2:
        raise DataError(f"{data} has one article, and a quiz needs two or more: give more rows")
    folder = Path(out)
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(f"{folder} is not empty: name a new folder")
    order = np.argsort(Draws(seed, np.arange(len(rows))).bits("quiz", 1)[:, 0], kind="stable")
    by_model = set(order[: len(rows) // 2].tolist())
    loaded, template = load(model), prompt_template("news")
    sections, sources = [], []
    for number, (head, below, article) in enumerate(rows):
        sources.append(SOURCES[number in by_model])
        if number in by_model:
            filled = template.filled({"title": head, "subtitle": below or head})
            sampling = sampled_as(filled, Sampling(max_tokens, seed=seed + number))
            article = loaded.generate(filled.text, sampling).text.strip()
        pieces = [*([below] if below else []), *article.split("\n"), guess(number, SOURCES, sources[-1])]
        sections.append(report.Section(head, pieces, f"Article {number + 1}"))
    sections.append(report.Section("Your score", [score(len(rows))]))
    told = "Read each article, and guess who wrote it: a person, or a language model to the same title."
    folder.mkdir(parents=True, exist_ok=True)
    replace_file(folder / PAGE, report.page("A person or a model?", sections, subtitle=told).encode())
    replace_file(folder / KEY, json.dumps({"sources": sources}).encode())
    return Quiz(folder, tuple(sources))


def score_quiz(directory: str | Path, guesses: str | Path | Sequence[str]) -> Guessed:
    """``guesses``: one for each article, "person" or "model"; or a file with a list of them, or of such lists."""
    key = Path(directory) / KEY
    if not key.is_file():
        raise DataError(f"{directory} is no quiz: it has no {KEY}")
    sources = json_object(str(key), key.read_text(encoding="utf-8")).get("sources")
    if not isinstance(sources, list):
        raise DataError(f"{key} has no list of sources: make the quiz again")
    given = _read(Path(guesses)) if isinstance(guesses, str | Path) else list(guesses)
    people: list[Any] = given if given and isinstance(given[0], list) else [given]
    for person in people:
        if not isinstance(person, list) or len(person) != len(sources) or not set(map(str, person)) <= set(SOURCES):
            raise DataError(f"guesses must be {len(sources)} of {' or '.join(map(repr, SOURCES))}, one an article")
    right = [[guess == source for guess, source in zip(person, sources, strict=True)] for person in people]
    share = wilson(sum(map(sum, right)), len(people) * len(sources))
    missed = {i: sum(not row[i] for row in right) for i, source in enumerate(sources) if source == "model"}
    hardest = tuple(i + 1 for i in sorted(missed, key=lambda i: (-missed[i], i)) if missed[i])
    return Guessed(share, len(people) * len(sources), hardest)


def _read(path: Path) -> list[object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as problem:
        raise DataError(f"{path} is not a list of guesses in JSON: {problem}") from None
    if not isinstance(found, list):
        raise DataError(f"{path} is not a list of guesses in JSON")
    return found

