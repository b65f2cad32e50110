"""How sure a number is: Wilson's interval for a share, a paired bootstrap over items, a paired t interval over seeds.

Only numpy and the standard library: Student's t is inverted here by bisection of the incomplete beta function, so that
the quickstart's table needs no scipy.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from trivium.randomness import Draws


@dataclass(frozen=True)
class Interval:
    """A value with its bounds at some level of confidence."""

    value: float
    low: float
    high: float

    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def wilson(successes: int, trials: int, level: float = 0.95) -> Interval:
    """A share and its score interval (Wilson 1927), sound also near 0 and 1 and for few trials."""
    if not 0 <= successes <= trials or trials < 1:
        raise ValueError(f"{successes} successes of {trials} trials is no share")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share = successes / trials
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * math.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def mean_t(values: Sequence[float] | np.ndarray, level: float = 0.95) -> Interval:
    """The mean over runs (seeds) with Student's t interval; infinite for a single run."""
    array = np.asarray(values, float)
    n, mean = len(array), float(array.mean())
    if n < 2:
        return Interval(mean, -math.inf, math.inf)
    half = student_t((1 + level) / 2, n - 1) * float(array.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def paired_t(first: Sequence[float], second: Sequence[float], level: float = 0.95) -> Interval:
    """The same of ``first - second`` over paired runs."""
    return mean_t(np.asarray(first, float) - np.asarray(second, float), level)


def paired_bootstrap(
    first: Sequence[float] | np.ndarray,
    second: Sequence[float] | np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray] | None = None,
    level: float = 0.95,
    samples: int = 10_000,
    seed: int = 0,
) -> Interval:
    """``statistic(first) - statistic(second)`` over the same items, resampled together; percentile bounds.

    ``statistic`` maps (samples, items) scores to (samples,); the mean by default, so that 0/1 scores give accuracy.
    """
    pair = np.stack([np.asarray(first, float), np.asarray(second, float)])
    measure = statistic or (lambda scores: scores.mean(axis=-1))
    difference = float(measure(pair[:1])[0] - measure(pair[1:])[0])
    items, drawn = pair.shape[1], []
    step = max(1, 2_000_000 // items)
    for start in range(0, samples, step):
        numbers = np.arange(start, min(start + step, samples))
        picked = Draws(seed, numbers).integers("bootstrap", items, items)  # (step, items)
        drawn.append(measure(pair[0][picked]) - measure(pair[1][picked]))
    low, high = np.quantile(np.concatenate(drawn), [(1 - level) / 2, (1 + level) / 2])
    return Interval(difference, float(low), float(high))


def student_t(probability: float, freedom: int) -> float:
    """The quantile of Student's t distribution: 12.706 at 0.975 with 1 degree of freedom."""
    if not 0 < probability < 1:
        raise ValueError(f"{probability} is no probability")
    tail = 2 * min(probability, 1 - probability)
    low, high = 0.0, 1.0  # of x = freedom / (freedom + t^2), where both tails hold I_x(freedom / 2, 1 / 2)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_share(freedom / 2, 0.5, middle) < tail else (low, middle)
    t = math.sqrt(freedom * (1 - low) / low)
    return t if probability > 0.5 else -t


def beta_share(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function by Lentz's continued fraction (Numerical Recipes, section 6.4)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_share(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 500):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction
