"""Whether a difference is more than chance: p values of paired comparisons, their correction for many comparisons, and
the smallest difference that a design could have seen.

Holm (1979), Benjamini and Hochberg (1995), McNemar (1947) with Edwards' correction, Fisher's sign flips (1935, chapter
III), Student's paired t. All are two-sided. Only numpy and the standard library, as in ``intervals``. Left out:
McNemar's mid-p, permutations of statistics that are no means, corrections that know how comparisons hang together.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trivium.metrics.intervals import beta_share, student_t
from trivium.randomness import Draws

EXACT_BELOW = 25  # discordant pairs: from there on the chi-square approximation of McNemar's test is close


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values that hold the chance of any false alarm at the level (family-wise error), in their order."""
    p = _probabilities(p_values)
    order = np.argsort(p, kind="stable")
    grown = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return _in_place(grown, order)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values that keep the expected share of false alarms among the alarms at the level (false discovery
    rate), in the given order."""
    p = _probabilities(p_values)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * len(p) / np.arange(1, len(p) + 1)
    return _in_place(np.minimum.accumulate(scaled[::-1])[::-1], order)


def _probabilities(p_values: Sequence[float]) -> np.ndarray:
    p = np.asarray(p_values, float)
    if p.ndim != 1 or not bool(np.all((p >= 0) & (p <= 1))):
        raise ValueError("p values are numbers from 0 to 1")
    return p


def _in_place(ordered: np.ndarray, order: np.ndarray) -> list[float]:
    found = np.empty(len(ordered))
    found[order] = np.minimum(1.0, ordered)
    return [float(value) for value in found]


def paired_t_p(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> float:
    """Student's test that the mean of ``first - second`` is 0; 1 for a single pair, which says nothing about chance."""
    apart = _differences(first, second)
    n, mean = len(apart), float(apart.mean())
    if n < 2 or mean == 0:
        return 1.0
    if bool(np.all(apart == apart[0])):
        return 0.0
    squared_t = mean**2 * n / float(apart.var(ddof=1))
    return beta_share((n - 1) / 2, 0.5, (n - 1) / (n - 1 + squared_t))


@dataclass(frozen=True)
class McNemar:
    """Two systems on the same items, each right or wrong; ``method``: ``exact`` (binomial) or ``chi-square``."""

    both: int
    only_first: int
    only_second: int
    neither: int
    p: float
    method: str


def mcnemar(first_right: Sequence[bool] | np.ndarray, second_right: Sequence[bool] | np.ndarray) -> McNemar:
    """Whether one of them is right on more of the items where only one of them is.

    The binomial test below ``EXACT_BELOW`` such items, else chi-square with the continuity correction.
    """
    first, second = np.asarray(first_right, bool), np.asarray(second_right, bool)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"paired items must be as many: {first.shape} against {second.shape}")
    ours, theirs = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    discordant = ours + theirs
    if discordant < EXACT_BELOW:
        tail = sum(math.comb(discordant, k) for k in range(min(ours, theirs) + 1))
        p, method = min(1.0, 2 * tail / 2**discordant), "exact"
    else:
        statistic = max(0, abs(ours - theirs) - 1) ** 2 / discordant
        p, method = math.erfc(math.sqrt(statistic / 2)), "chi-square"
    return McNemar(int(np.sum(first & second)), ours, theirs, int(np.sum(~first & ~second)), p, method)


def paired_permutation(
    first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray, samples: int = 10_000, seed: int = 0
) -> float:
    """The share of sign flips of ``first - second`` whose mean is as far from 0 as the one seen.

    All flips where there are no more than ``samples`` of them; else as many random ones, with the seen one counted
    among them (Phipson and Smyth 2010), so that p is never 0.
    """
    apart = _differences(first, second)
    apart = apart[apart != 0]  # a flip changes nothing there
    n = len(apart)
    seen = abs(float(apart.sum())) - 1e-12 * float(np.abs(apart).sum())  # equal sums in another order are equal
    if 2**n <= samples:
        flips = 1 - 2.0 * (np.arange(2**n)[:, None] >> np.arange(n) & 1)  # (2^n, n)
        return float(np.mean(np.abs(flips @ apart) >= seen))
    beyond, step = 0, max(1, 2_000_000 // n)
    for start in range(0, samples, step):
        numbers = np.arange(start, min(start + step, samples))
        flips = 1 - 2.0 * Draws(seed, numbers).integers("sign flips", n, 2)
        beyond += int(np.sum(np.abs(flips @ apart) >= seen))
    return (beyond + 1) / (samples + 1)


def _differences(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> np.ndarray:
    ours, theirs = np.asarray(first, float), np.asarray(second, float)
    if ours.ndim != 1 or ours.shape != theirs.shape or not len(ours):
        raise ValueError(f"paired values must be as many, and some: {ours.shape} against {theirs.shape}")
    return ours - theirs


def minimal_detectable(deviation: float, n: int, level: float = 0.05, power: float = 0.8) -> float:
    """The smallest true mean difference that the paired t test of ``n`` pairs finds with this ``power``, where the
    differences have this standard ``deviation``; infinite for a single pair.

    Exact up to quadrature: the power is that of the noncentral t distribution.
    """
    if deviation < 0 or n < 1 or not 0 < level < 1 or not level < power < 1:
        raise ValueError(f"no design has deviation {deviation}, {n} pairs, level {level} and power {power}")
    if n < 2 or deviation == 0:
        return math.inf if n < 2 else 0.0
    needed = student_t(1 - level / 2, n - 1)
    low, high = 0.0, 1.0
    while _power(high, n - 1, needed) < power:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _power(middle, n - 1, needed) < power else (low, middle)
    return high * deviation / math.sqrt(n)


def _power(shift: float, freedom: int, needed: float) -> float:
    """P(|T| > needed) of the noncentral t: over s = sqrt(chi-square / freedom), Z + shift beyond needed x s."""
    spread = 10 / math.sqrt(2 * freedom)
    low, high = max(0.0, 1 - spread), 1 + spread
    step = shift / needed + np.linspace(-8, 8, 17) / needed  # where the tail falls from 1 to 0, however steeply
    edges = np.unique(np.clip(np.concatenate([np.linspace(low, high, 17), step]), low, high))
    nodes, weights = np.polynomial.legendre.leggauss(16)
    widths = np.diff(edges)[:, None]
    s = (edges[:-1, None] + widths * (nodes + 1) / 2).ravel()
    weights = (widths / 2 * weights).ravel()
    half = freedom / 2
    density = np.exp(
        math.log(2) + half * math.log(half) - math.lgamma(half) + (freedom - 1) * np.log(s) - half * s**2
    )
    tails = [_above(needed * x - shift) + _above(needed * x + shift) for x in s]
    return float(np.sum(weights * density * np.asarray(tails)))


def _above(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))
