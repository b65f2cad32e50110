"""Two systems on the same items: the difference of their scores, how sure it is, and the items that set them apart.

A score that is a mean over items is resampled by the paired bootstrap; where items are right or wrong, McNemar's test
says whether chance would do as much, else sign flips of the items' differences. A ratio of sums, such as bits per byte,
is resampled as one. Any other score, such as F1, is computed again on each draw, and tested by swapping the systems'
answers at random (Noreen 1989; Yeh 2000). Items are taken to be independent; how a model depends on its seed is not
seen by one run of it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from trivium.evaluation.comparison import lower_is_better
from trivium.evaluation.resampling import resampled
from trivium.metrics import Interval, McNemar, mcnemar, minimal_detectable, paired_bootstrap, paired_permutation
from trivium.randomness import Draws

LEVEL = 0.05
RESCORED, MOST = 60_000, 300  # items that are scored again by each system, in all draws together; draws

Rescore = Callable[[Sequence[int], Sequence[bool]], tuple[float, float]]
"""The items that count, and where the two systems' answers are swapped, to the scores of both."""


@dataclass(frozen=True)
class Apart:
    """An item on which they differ; ``gap``: the first's score of it minus the second's."""

    index: int
    text: str
    gold: str
    first: str
    second: str
    gap: float


@dataclass(frozen=True)
class Paired:
    """``difference``: the first's value minus the second's. ``detectable``: the smallest true difference that so many
    items would mostly show. ``apart``: for right and wrong answers those that only one has right, else by falling
    distance."""

    measure: str
    unit: str
    items: int
    values: tuple[float, float]
    difference: Interval
    p: float
    test: str
    counts: McNemar | None = None
    detectable: float | None = None
    first: str = "the first"
    second: str = "the second"
    apart: tuple[Apart, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def better(self) -> str:
        """The one that is better by more than chance; empty if neither was seen to be."""
        if not self.p < LEVEL or not self.difference.value:
            return ""
        return self.first if (self.difference.value > 0) != lower_is_better(self.measure) else self.second

    @property
    def verdict(self) -> str:
        """For people."""
        name = self.measure.replace("_", " ")
        bounds = f"{self.difference.value:+.4g} [{self.difference.low:+.4g}, {self.difference.high:+.4g}]"
        figures = f"{name} {self.values[0]:.4g} against {self.values[1]:.4g}"
        about = f"p = {self.p:.2g} ({self.test}) over {self.items:,} {self.unit}{'s' * (self.items != 1)}"
        if self.better:
            other = self.second if self.better == self.first else self.first
            return f"{self.better} is better than {other}: {figures}, difference {bounds}, {about}"
        least = self.detectable
        missed = "" if least is None or not math.isfinite(least) else f"; less than about {least:.2g} would be missed"
        between = f"no difference seen between {self.first} and {self.second}"
        return f"{between}: {figures}, difference {bounds}, {about}{missed}"


def paired_means(measure: str, first: np.ndarray, second: np.ndarray, unit: str) -> Paired:
    """Of a score that is the mean of the items' own, (N,) each."""
    difference = paired_bootstrap(first, second)
    values = (float(first.mean()), float(second.mean()))
    made = Paired(measure, unit, len(first), values, difference, 1.0, "", detectable=_detectable(first - second))
    if np.isin(np.concatenate([first, second]), (0.0, 1.0)).all():
        counts = mcnemar(first == 1, second == 1)
        return replace(made, p=counts.p, test=f"McNemar, {counts.method}", counts=counts)
    return replace(made, p=paired_permutation(first, second), test="sign flips")


def paired_ratio(measure: str, first: np.ndarray, second: np.ndarray, sizes: np.ndarray, unit: str) -> Paired:
    """Of a sum over items by the sum of their sizes, (N,) each, where the sizes are the same for both."""
    costs, count = np.stack([first, second], axis=1), len(sizes)

    def both(weights: np.ndarray) -> np.ndarray:
        found: np.ndarray = weights @ costs / (weights @ sizes)[:, None]
        return found

    values = both(np.ones((1, count)))[0]
    low, high = -math.inf, math.inf
    if count > 1:
        drawn = resampled(count, lambda weights: {"apart": -np.diff(both(weights))[:, 0]})
        low, high = np.quantile(drawn["apart"], [0.025, 0.975])
    difference = Interval(float(values[0] - values[1]), float(low), float(high))
    least = _detectable((first - second) / sizes.mean())
    p = paired_permutation(first, second) if count > 1 else 1.0
    return Paired(measure, unit, count, (float(values[0]), float(values[1])), difference, p, "sign flips",
                  detectable=least)  # fmt: skip


def paired_rescored(measure: str, count: int, rescore: Rescore, unit: str) -> Paired:
    """Of any score of ``count`` items together."""
    everything, as_is = list(range(count)), [False] * count
    first, second = rescore(everything, as_is)
    seen, numbers = first - second, np.arange(max(100, min(MOST, RESCORED // count)))
    picked = Draws(0, numbers).integers("bootstrap", count, count).tolist()
    swaps = (Draws(0, numbers).integers("swaps", count, 2) == 1).tolist()
    drawn = np.array([np.subtract(*rescore(row, as_is)) for row in picked])
    swapped = np.array([np.subtract(*rescore(everything, row)) for row in swaps])
    drawn, swapped = drawn[np.isfinite(drawn)], swapped[np.isfinite(swapped)]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) > len(numbers) / 2 else (-math.inf, math.inf)
    p = (int(np.sum(np.abs(swapped) >= abs(seen) - 1e-12)) + 1) / (len(swapped) + 1)
    difference = Interval(seen, float(low), float(high))
    return Paired(measure, unit, count, (first, second), difference, p, "answers swapped at random")


def _detectable(differences: np.ndarray) -> float | None:
    if len(differences) < 2:
        return None
    return minimal_detectable(float(differences.std(ddof=1)), len(differences), LEVEL)
