"""Whether a difference over paired runs is more than chance, for one comparison and for many at once.

Student's paired t test, Holm's step-down correction (1979), and the smallest difference that a design could have seen.
"""

import math
from collections.abc import Sequence

import numpy as np

from trivium.metrics.intervals import _beta, student_t


def paired_t_p(first: Sequence[float], second: Sequence[float]) -> float:
    """The two-sided p-value of Student's paired t test; 1 for a single pair, which says nothing of chance."""
    differences = np.asarray(first, float) - np.asarray(second, float)
    n = len(differences)
    if n < 2:
        return 1.0
    deviation, mean = float(differences.std(ddof=1)), float(differences.mean())
    if deviation == 0.0:
        return 0.0 if mean else 1.0
    t = mean * math.sqrt(n) / deviation
    return _beta((n - 1) / 2, 0.5, (n - 1) / (n - 1 + t * t))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: below a level with at most that chance of any false finding among all of them."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def minimal_detectable(deviation: float, n: int, level: float = 0.05, power: float = 0.8) -> float:
    """The true difference that ``n`` pairs, whose differences have this ``deviation``, show with that power at that
    level (two-sided, normal quantiles replaced by Student's); infinite for a single pair."""
    if n < 2:
        return math.inf
    return (student_t(1 - level / 2, n - 1) + student_t(power, n - 1)) * deviation / math.sqrt(n)
