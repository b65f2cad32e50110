"""How sure a suite's scores are: Wilson's interval for a share, for all others a bootstrap over items (Efron and
Tibshirani 1993, section 13.3: percentiles), with a fixed seed.

A score is a function of how often each item was drawn, so that all draws are computed at once, most of them by one
product of matrices. R draws, N items.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trivium.metrics import wilson
from trivium.randomness import Draws

DRAWS = 1000
LEVEL = 0.95
_AT_ONCE = 4_000_000  # numbers in a matrix of draws

Measure = Callable[[np.ndarray], Mapping[str, np.ndarray]]
"""(R, N) how often each item counts, to the (R,) values of each score."""


@dataclass(frozen=True)
class Score:
    """A value and its 95% interval; both ends are None where it rests on one item. ``method``: ``wilson`` or
    ``bootstrap``."""

    value: float
    low: float | None
    high: float | None
    method: str = "bootstrap"

    @property
    def interval(self) -> str:
        """In brackets."""
        return "-" if self.low is None or self.high is None else f"[{self.low:.4f}, {self.high:.4f}]"


def scored(
    count: int, measure: Measure, main: Sequence[str], average: str = "", shares: Mapping[str, np.ndarray] | None = None
) -> dict[str, Score]:
    """Every score of ``measure`` with its interval, and where ``main`` names several their mean as ``average``.

    ``shares``: the scores that are shares of right answers, and the (N,) zeros and ones.
    """
    if count < 1:
        raise ValueError("no items to score")

    measure = with_average(measure, main, average)
    values = {name: float(value[0]) for name, value in measure(np.ones((1, count))).items()}
    shares = shares or {}
    if count == 1:
        return {name: Score(value, None, None) for name, value in values.items()}
    drawn = resampled(count, measure) if set(values) - set(shares) else {}
    scores = {}
    for name, value in values.items():
        if name in shares:
            share = wilson(int(np.sum(shares[name])), count, LEVEL)
            scores[name] = Score(value, share.low, share.high, "wilson")
        else:
            low, high = np.quantile(drawn[name], [(1 - LEVEL) / 2, (1 + LEVEL) / 2], method="inverted_cdf")
            scores[name] = Score(value, float(low), float(high))
    return scores


def with_average(measure: Measure, main: Sequence[str], average: str) -> Measure:
    """Where ``main`` names several scores, with their mean as ``average``."""
    if len(main) < 2 or not average:
        return measure

    def all_of(weights: np.ndarray) -> dict[str, np.ndarray]:
        found = dict(measure(weights))
        return {**found, average: np.mean([found[name] for name in main], axis=0)}

    return all_of


def resampled(count: int, measure: Measure) -> dict[str, np.ndarray]:
    """(DRAWS,) values of each score, each over ``count`` items drawn with repetition."""
    parts: list[Mapping[str, np.ndarray]] = []
    step = max(1, _AT_ONCE // count)
    for start in range(0, DRAWS, step):
        numbers = np.arange(start, min(start + step, DRAWS))
        picked = Draws(0, numbers).integers("bootstrap", count, count) + np.arange(len(numbers))[:, None] * count
        weights = np.bincount(picked.ravel(), minlength=len(numbers) * count).reshape(len(numbers), count)
        parts.append(measure(weights.astype(np.float64)))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def means(columns: Mapping[str, np.ndarray]) -> Measure:
    """The measure of scores that are means over items."""
    stacked = np.stack(list(columns.values()), axis=1).astype(np.float64)

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        values = weights @ stacked / weights.sum(axis=1, keepdims=True)
        return {name: values[:, place] for place, name in enumerate(columns)}

    return measure


def quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Of arrays of one shape, 0 where nothing is divided by nothing."""
    found: np.ndarray = np.divide(above, below, out=np.zeros_like(above, dtype=np.float64), where=below != 0)
    return found


def crossed(values: np.ndarray) -> Score:
    """The mean of (D, N) scores of N items in D runs, each of which a different one would have been as good: both are
    drawn with repetition (Owen 2007: the pigeonhole bootstrap). One run of zeros and ones has Wilson's interval."""
    runs, items = values.shape
    if runs == 1 and items > 1 and np.isin(values, (0, 1)).all():
        share = wilson(int(values.sum()), items, LEVEL)
        return Score(share.value, share.low, share.high, "wilson")
    return crossed_measures(items, [means({"it": row}) for row in values])["it"]


def crossed_measures(items: int, measures: Sequence[Measure]) -> dict[str, Score]:
    """The same of scores that are no means over items: each run's ``measure`` by how often each item counts."""
    runs, whole = len(measures), np.ones((1, items))
    alone = [measure(whole) for measure in measures]
    values = {name: float(np.mean([each[name][0] for each in alone])) for name in alone[0]}
    if items == 1:
        return {name: Score(value, None, None) for name, value in values.items()}
    rows = Draws(0, np.arange(DRAWS)).integers("crossed runs", runs, runs)  # (R, D)
    often = np.stack([np.bincount(row, minlength=runs) for row in rows]) / runs
    parts: dict[str, list[np.ndarray]] = {name: [] for name in values}
    for start in range(0, DRAWS, step := max(1, _AT_ONCE // items)):
        numbers = np.arange(start, min(start + step, DRAWS))
        picked = Draws(0, numbers).integers("crossed items", items, items)
        weights = np.stack([np.bincount(row, minlength=items) for row in picked]).astype(np.float64)  # (R, N)
        drawn = [measure(weights) for measure in measures]
        for name, part in parts.items():
            part.append((often[numbers] * np.stack([each[name] for each in drawn], axis=1)).sum(axis=1))
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    bounds = {name: np.quantile(np.concatenate(part), ends, method="inverted_cdf") for name, part in parts.items()}
    return {name: Score(value, float(bounds[name][0]), float(bounds[name][1])) for name, value in values.items()}
