"""Suites of questions about a text, answered by a part of it: SQuAD 1.1 and 2.0 (Rajpurkar et al. 2016, 2018), and any
file of their layout.

The official script's normalisation and scores: ``metrics/answers.py``. A question without answers has none, and is
answered rightly by the empty text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trivium.errors import DataError
from trivium.evaluation.columns import field_of, rows_of
from trivium.evaluation.resampling import Measure, quotient, scored
from trivium.evaluation.suite import Item, Measured, Reading
from trivium.metrics.answers import squad_each
from trivium.text.fields import Columns, text_of

SAID = ("answer", "prediction", "output", "prediction_text")
NORMALISATION = "squad(lower,punctuation,articles,spaces)"


@dataclass(frozen=True)
class Answers:
    """``unanswerable``: questions without an answer belong to the suite (2.0); else they are left out."""

    settings: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[tuple[str, ...]] = ("question", "context", "answers")
    main: ClassVar[tuple[str, ...]] = ("exact", "f1")

    unanswerable: bool = False
    files: tuple[str, ...] = ()

    def read(self, path: Path, columns: Columns, format: str | None) -> Reading:
        items, read, without = [], 0, 0
        for place, row in rows_of(path, format, "json"):
            read += 1
            golds = _golds(place, row, field_of(place, row, ("answers", "answer"), columns, "answers"))
            if not golds and not self.unanswerable:
                without += 1
                continue
            inputs: dict[str, object] = {
                "question": text_of(place, row, field_of(place, row, ("question",), columns, "question")),
                "context": text_of(place, row, field_of(place, row, ("context",), columns, "context")),
            }
            items.append(Item(place, inputs, golds, str(row.get("id", ""))))
        return Reading(tuple(items), read, {"no answer": without} if without else {})

    def said(self, place: str, row: Mapping[str, object]) -> str:
        for name in SAID:
            if name in row:
                value = row[name]
                if value is None:
                    return ""
                if not isinstance(value, str):
                    raise DataError(f"{place}: the answer in {name!r} is {type(value).__name__}, not a text")
                return value
        raise DataError(f"{place}: no answer: it is looked for in {', '.join(map(repr, SAID))}")

    def score(self, items: Sequence[Item], said: Sequence[str]) -> Measured:
        golds = [item.gold for item in items]
        exact, f1 = squad_each(said, golds)
        answerable = np.array([bool(each) for each in golds])
        measure = answers_measure(exact, f1, answerable)
        scores = scored(len(items), measure, self.main, shares={"exact": exact})
        return Measured(scores, {"norm": NORMALISATION}, measure=measure)


def answers_measure(exact: np.ndarray, f1: np.ndarray, answerable: np.ndarray) -> Measure:
    """Means; with both kinds of questions, those of each kind too."""
    kinds = {"": np.ones(len(exact), bool)}
    if 0 < answerable.sum() < len(exact):
        kinds |= {"answerable_": answerable, "unanswerable_": ~answerable}
    columns = {f"{kind}{name}": (each * chosen, chosen) for kind, chosen in kinds.items()
               for name, each in (("exact", exact), ("f1", f1))}  # fmt: skip

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        return {name: quotient(weights @ above, weights @ below.astype(float)) for name, (above, below)
                in columns.items()}  # fmt: skip

    return measure


def _golds(place: str, row: Mapping[str, object], name: str) -> list[str]:
    """A list of texts, or of objects with one; the columns of public copies, ``{"text": [...]}``."""
    if row.get("is_impossible") is True:
        return []
    value = row[name]
    if isinstance(value, dict):
        value = value.get("text")
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise DataError(f"{place}: {name!r} is {type(value).__name__}, not a list of answers")
    texts = [each.get("text") if isinstance(each, dict) else each for each in value]
    if not all(isinstance(each, str) for each in texts):
        raise DataError(f"{place}: an answer in {name!r} has no 'text'")
    return [each for each in texts if isinstance(each, str) and each]
