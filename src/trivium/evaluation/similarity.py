"""Suites of a number for a pair of texts: the Semantic Textual Similarity Benchmark (Cer et al. 2017)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trivium.errors import DataError
from trivium.evaluation.columns import field_of, rows_of
from trivium.evaluation.resampling import Measure, quotient, scored
from trivium.evaluation.suite import HEADLINE, Item, Measured, Reading
from trivium.text.fields import Columns, text_of

SAID = ("value", "score", "label", "output", "prediction")


@dataclass(frozen=True)
class Similarity:
    """Pearson's and Spearman's correlation. A prediction that is no number counts as ``otherwise``."""

    settings: ClassVar[tuple[str, ...]] = ()
    fields: ClassVar[tuple[str, ...]] = ("text", "text2", "label")

    text: tuple[str, ...]
    text2: tuple[str, ...]
    label: tuple[str, ...]
    files: tuple[str, ...] = ()
    main: tuple[str, ...] = ("pearson", "spearman")
    otherwise: float = 0.0

    def read(self, path: Path, columns: Columns, format: str | None) -> Reading:
        items, read, without = [], 0, 0
        for place, row in rows_of(path, format, "tsv"):
            read += 1
            name = field_of(place, row, self.label, columns, "label")
            if row[name] in ("", None):
                without += 1
                continue
            inputs = {
                "text": text_of(place, row, field_of(place, row, self.text, columns, "text")),
                "text2": text_of(place, row, field_of(place, row, self.text2, columns, "text2")),
            }
            value = _number(row[name])
            if value is None:
                raise DataError(f"{place}: {row[name]!r} in {name!r} is no number")
            own = {each: held for each, held in row.items() if each != name}
            items.append(Item(place, inputs, value, published={**own, **inputs}))
        return Reading(tuple(items), read, {"no gold value": without} if without else {})

    def said(self, place: str, row: Mapping[str, object]) -> float | None:
        for name in SAID:
            if name in row:
                return _number(row[name])
        raise DataError(f"{place}: no prediction: it is looked for in {', '.join(map(repr, SAID))}")

    def score(self, items: Sequence[Item], said: Sequence[float | None]) -> Measured:
        wrong = sum(each is None for each in said)
        notes = (f"{wrong} predictions are no numbers and count as {self.otherwise:g}",) if wrong else ()
        values = np.array([self.otherwise if each is None else each for each in said])
        gold = np.array([item.gold for item in items])
        measure = correlations(gold, values)
        return Measured(scored(len(items), measure, self.main, HEADLINE), {}, notes, measure)


def correlations(first: np.ndarray, second: np.ndarray) -> Measure:
    """Pearson's correlation, and Spearman's with equal values sharing the mean of their ranks; 0 where one side is
    constant."""
    orders = [_Ranks.of(first), _Ranks.of(second)]

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        left, right = (order.ranks(weights) for order in orders)
        return {"pearson": _pearson(first, second, weights), "spearman": _pearson(left, right, weights)}

    return measure


@dataclass(frozen=True, eq=False)
class _Ranks:
    """``group``: which of the different values, in rising order, each item has."""

    order: np.ndarray  # (N,) items by rising value
    starts: np.ndarray  # where in ``order`` each different value begins
    group: np.ndarray  # (N,)

    @classmethod
    def of(cls, values: np.ndarray) -> "_Ranks":
        _, starts, group = np.unique(np.sort(values), return_index=True, return_inverse=True)
        order = np.argsort(values, kind="stable")
        back = np.empty(len(values), np.int64)
        back[order] = group
        return cls(order, starts, back)

    def ranks(self, weights: np.ndarray) -> np.ndarray:
        """(R, N), where each item stands as often as it was drawn."""
        sizes = np.add.reduceat(weights[:, self.order], self.starts, axis=1)
        found: np.ndarray = (np.cumsum(sizes, axis=1) - (sizes - 1) / 2)[:, self.group]
        return found


def _pearson(first: np.ndarray, second: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(R,) from values (N,) or (R, N)."""
    total = weights.sum(axis=1, keepdims=True)
    x, y = (each - (weights * each).sum(axis=1, keepdims=True) / total for each in (first, second))
    spread = np.sqrt((weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1))
    return quotient((weights * x * y).sum(axis=1), np.where(spread > 1e-12, spread, 0.0))


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None
