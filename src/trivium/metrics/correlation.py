"""How well two rankings agree: Spearman's correlation, with equal values sharing their mean rank."""

from collections.abc import Sequence

import numpy as np


def spearman(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> float | None:
    """Pearson's correlation of the ranks, equal values sharing the mean of theirs; None where one side is constant."""
    x, y = _ranks(np.asarray(first, np.float64)), _ranks(np.asarray(second, np.float64))
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / spread if spread > 0 else None


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: np.ndarray = (last - (counts - 1) / 2)[inverse]
    return ranks
