"""Suites of one label for a text or a pair of texts: GLUE (Wang et al. 2018) and SuperGLUE (Wang et al. 2019).

Files are read as they are distributed, and in simple tables with a header. What a suite needs beyond labels stands in
the table ``CLASSIFICATION`` of ``tables.py``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trivium.evaluation.columns import field_of, rows_of
from trivium.evaluation.labels import UNKNOWN, Labels, gold_label, said_label
from trivium.evaluation.resampling import Measure, quotient, scored
from trivium.evaluation.suite import HEADLINE, Item, Measured, Reading
from trivium.text.fields import Columns, text_of
from trivium.text.readers import Row

SAID = ("label", "output", "prediction")


@dataclass(frozen=True)
class Classification:
    """``text``, ``text2`` and ``label``: names that files have for them. ``inputs``: makes the fields that a model
    reads where they are not two columns. ``positive``: whose F1 is meant."""

    settings: ClassVar[tuple[str, ...]] = ()

    labels: Labels
    text: tuple[str, ...] = ()
    text2: tuple[str, ...] = ()
    label: tuple[str, ...] = ("label",)
    main: tuple[str, ...] = ("accuracy",)
    files: tuple[str, ...] = ()
    format: str = "tsv"
    headerless: tuple[str, ...] = ()
    positive: str = "1"
    inputs: Callable[[str, Row], dict[str, object]] | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """Those that are columns."""
        return (*(("text",) if self.text else ()), *(("text2",) if self.text2 else ()), "label")

    def read(self, path: Path, columns: Columns, format: str | None) -> Reading:
        items, read, without = [], 0, 0
        for place, row in rows_of(path, format, self.format, self.headerless):
            read += 1
            label = field_of(place, row, self.label, columns, "label")
            gold = gold_label(place, row, label, self.labels)
            if gold is None:
                without += 1
                continue
            inputs = self._inputs(place, row, columns)
            own = {name: value for name, value in row.items() if name != label}
            items.append(Item(place, inputs, gold, published=own if self.inputs else {**own, **inputs}))
        return Reading(tuple(items), read, {"no gold label": without} if without else {})

    def _inputs(self, place: str, row: Row, columns: Columns) -> dict[str, object]:
        if self.inputs is not None:
            return self.inputs(place, row)
        found: dict[str, object] = {"text": text_of(place, row, field_of(place, row, self.text, columns, "text"))}
        if self.text2:
            found["text2"] = text_of(place, row, field_of(place, row, self.text2, columns, "text2"))
        return found

    def said(self, place: str, row: Mapping[str, object]) -> str:
        return said_label(place, row, SAID, self.labels)

    def score(self, items: Sequence[Item], said: Sequence[str]) -> Measured:
        gold = [item.gold for item in items]
        hits = np.array([wanted == each for wanted, each in zip(gold, said, strict=True)])
        measure = self.measure(gold, said)
        scores = scored(len(items), measure, self.main, HEADLINE, {"accuracy": hits})
        wrong = sum(each == UNKNOWN for each in said)
        notes = (f"{wrong} predictions are no label of the suite and count as wrong",) if wrong else ()
        return Measured(scores, {"labels": "/".join(each[0] for each in self.labels)}, notes, measure)

    def measure(self, gold: Sequence[str], said: Sequence[str]) -> Measure:
        """Accuracy and the main scores, by the table of what was taken for what; a prediction that is no label has a
        column of its own."""
        names = [*(each[0] for each in self.labels), UNKNOWN]
        number = {name: place for place, name in enumerate(names)}
        cells = np.zeros((len(gold), len(names) ** 2))
        places = [number[g] * len(names) + number[s] for g, s in zip(gold, said, strict=True)]
        cells[np.arange(len(gold)), places] = 1

        def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
            counts = (weights @ cells).reshape(len(weights), len(names), len(names))
            found = {"accuracy": counts.trace(axis1=1, axis2=2) / counts.sum(axis=(1, 2))}
            f1, met = _f1(counts[:, :-1], counts[:, :, :-1])
            if "f1" in self.main:
                found["f1"] = f1[:, number[self.positive]]
            if "macro_f1" in self.main:
                found["macro_f1"] = quotient((f1 * met).sum(axis=1), met.sum(axis=1))
            if "matthews" in self.main:
                found["matthews"] = _matthews(counts)
            return found

        return measure


def _f1(by_gold: np.ndarray, by_said: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(R, K) F1 of each label, and whether it occurs; rows of the tables are gold."""
    golds, guesses = by_gold.sum(axis=2), by_said.sum(axis=1)
    right = np.diagonal(by_gold, axis1=1, axis2=2)[:, : golds.shape[1]]
    return quotient(2 * right, golds + guesses), (golds + guesses > 0).astype(np.float64)


def _matthews(counts: np.ndarray) -> np.ndarray:
    """(R,) Matthews correlation for any number of classes (Gorodkin 2004); 0 for a constant prediction."""
    total, right = counts.sum(axis=(1, 2)), counts.trace(axis1=1, axis2=2)
    golds, guesses = counts.sum(axis=2), counts.sum(axis=1)
    spread = (total**2 - (guesses**2).sum(axis=1)) * (total**2 - (golds**2).sum(axis=1))
    return quotient(right * total - (golds * guesses).sum(axis=1), np.sqrt(np.maximum(spread, 0)))
