"""Two systems on the same items: the difference of their scores, how sure it is, and the items that set them apart.

A score that is a mean over items is resampled by the paired bootstrap; where items are right or wrong, McNemar's test
says whether chance would do as much, else sign flips of the items' differences. A ratio of sums, such as bits per byte,
is resampled as one. Any other score, such as F1, is computed again on each draw, and tested by swapping the systems'
answers at random (Noreen 1989; Yeh 2000). How a model depends on its seed is not seen by one run of it.

Items are taken to be independent, unless it is said what they belong to: then whole groups are resampled (the cluster
bootstrap, Davison and Hinkley 1997, section 3.8; Cameron, Gelbach and Miller 2008), and signs are flipped and answers
swapped group by group, for right and wrong answers in McNemar's place. Lines of one book are hard or easy together, and
an interval that takes each to tell something new is too narrow.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from trivium.evaluation.comparison import lower_is_better
from trivium.evaluation.resampling import resampled
from trivium.metrics import Interval, McNemar, mcnemar, minimal_detectable, paired_bootstrap, paired_permutation
from trivium.randomness import Draws

LEVEL = 0.05
RESCORED, MOST = 60_000, 300  # items that are scored again by each system, in all draws together; draws
FEW = 20  # groups; of fewer, the percentiles of resampled ones lie too close together

Rescore = Callable[[Sequence[int], Sequence[bool]], tuple[float, float]]
"""The items that count, and where the two systems' answers are swapped, to the scores of both."""


@dataclass(frozen=True, eq=False)
class Groups:
    """``numbers``: (N,) which group each item is of, from 0. ``name``: what such a group is, a document or a file."""

    numbers: np.ndarray
    name: str

    @classmethod
    def of(cls, keys: Sequence[Hashable], name: str) -> Self | None:
        """Items with equal keys are of one group. None where nothing is to be resampled but items: each is its own
        group, or all are of one."""
        known = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        return cls(np.array([known[key] for key in keys]), name) if 1 < len(known) < len(keys) else None

    @property
    def count(self) -> int:
        return int(self.numbers.max()) + 1

    def sums(self, values: np.ndarray) -> np.ndarray:
        """(G,) of each group's items."""
        return np.bincount(self.numbers, weights=values, minlength=self.count)

    def described(self, made: "Paired", items: int, test: str) -> "Paired":
        """A comparison of groups as one of the items in them."""
        few = f"{self.count} {self.name}s are few to resample: the interval is unreliable, mostly too narrow"
        return replace(
            made, items=items, test=test, clusters=self.count, cluster=self.name,
            notes=(*made.notes, *([few] if self.count < FEW else [])),
        )  # fmt: skip


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
    distance. ``clusters``: how many documents, or what ``cluster`` says, were resampled; None: the items were."""

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
    clusters: int | None = None
    cluster: str = ""

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
        about += "" if self.clusters is None else f" of {self.clusters:,} {self.cluster}s"
        if self.better:
            other = self.second if self.better == self.first else self.first
            return f"{self.better} is better than {other}: {figures}, difference {bounds}, {about}"
        least = self.detectable
        missed = "" if least is None or not math.isfinite(least) else f"; less than about {least:.2g} would be missed"
        between = f"no difference seen between {self.first} and {self.second}"
        return f"{between}: {figures}, difference {bounds}, {about}{missed}"


def paired_means(
    measure: str, first: np.ndarray, second: np.ndarray, unit: str, groups: Groups | None = None
) -> Paired:
    """Of a score that is the mean of the items' own, (N,) each."""
    right_or_wrong = bool(np.isin(np.concatenate([first, second]), (0.0, 1.0)).all())
    if groups is not None:
        made = paired_ratio(measure, first, second, np.ones(len(first)), unit, groups)
        return replace(made, counts=mcnemar(first == 1, second == 1) if right_or_wrong else None)
    difference = paired_bootstrap(first, second)
    values = (float(first.mean()), float(second.mean()))
    made = Paired(measure, unit, len(first), values, difference, 1.0, "", detectable=_detectable(first - second))
    if right_or_wrong:
        counts = mcnemar(first == 1, second == 1)
        return replace(made, p=counts.p, test=f"McNemar, {counts.method}", counts=counts)
    return replace(made, p=paired_permutation(first, second), test="sign flips")


def paired_ratio(
    measure: str, first: np.ndarray, second: np.ndarray, sizes: np.ndarray, unit: str, groups: Groups | None = None
) -> Paired:
    """Of a sum over items by the sum of their sizes, (N,) each, where the sizes are the same for both. A group is an
    item of the sums of its items, for a ratio of sums does not see where they are added up."""
    if groups is not None:
        made = paired_ratio(measure, groups.sums(first), groups.sums(second), groups.sums(sizes), unit)
        return groups.described(made, len(first), f"sign flips by {groups.name}")
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


def paired_rescored(measure: str, count: int, rescore: Rescore, unit: str, groups: Groups | None = None) -> Paired:
    """Of any score of ``count`` items together."""
    own = np.arange(count) if groups is None else groups.numbers
    members = [np.flatnonzero(own == group).tolist() for group in range(int(own.max()) + 1)]
    everything, as_is = list(range(count)), [False] * count
    first, second = rescore(everything, as_is)
    seen, numbers = first - second, np.arange(max(100, min(MOST, RESCORED // count)))
    drawn_groups = Draws(0, numbers).integers("bootstrap", len(members), len(members)).tolist()
    picked = [[item for group in row for item in members[group]] for row in drawn_groups]
    swaps = (Draws(0, numbers).integers("swaps", len(members), 2) == 1)[:, own].tolist()
    drawn = np.array([np.subtract(*rescore(row, as_is)) for row in picked])
    swapped = np.array([np.subtract(*rescore(everything, row)) for row in swaps])
    drawn, swapped = drawn[np.isfinite(drawn)], swapped[np.isfinite(swapped)]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) > len(numbers) / 2 else (-math.inf, math.inf)
    p = (int(np.sum(np.abs(swapped) >= abs(seen) - 1e-12)) + 1) / (len(swapped) + 1)
    difference = Interval(seen, float(low), float(high))
    made = Paired(measure, unit, count, (first, second), difference, p, "answers swapped at random")
    return made if groups is None else groups.described(made, count, f"answers swapped by {groups.name}")


def _detectable(differences: np.ndarray) -> float | None:
    if len(differences) < 2:
        return None
    return minimal_detectable(float(differences.std(ddof=1)), len(differences), LEVEL)
