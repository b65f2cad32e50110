"""How well two lists of numbers agree: Pearson's correlation, and Spearman's, with equal values sharing their rank."""

from collections.abc import Sequence

import numpy as np


def spearman(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> float | None:
    """Pearson's correlation of the ranks, equal values sharing the mean of theirs; None where one side is constant."""
    return pearson(_ranks(np.asarray(first, np.float64)), _ranks(np.asarray(second, np.float64)))


def pearson(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> float | None:
    """Of two lists of one length; None where one side is constant."""
    x, y = np.asarray(first, np.float64), np.asarray(second, np.float64)
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / spread if spread > 0 else None


def _ranks(values: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: np.ndarray = (last - (counts - 1) / 2)[inverse]
    return ranks


def regression(gold: Sequence[float], predicted: Sequence[float]) -> dict[str, float]:
    """Pearson's and Spearman's correlation (0 where a side is constant), their mean as in GLUE, mean square error."""
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold values but {len(predicted)} predictions")
    if not gold:
        raise ValueError("no values to score")
    line, rank = pearson(gold, predicted) or 0.0, spearman(gold, predicted) or 0.0
    square = float(np.mean((np.asarray(gold, float) - np.asarray(predicted, float)) ** 2))
    return {"pearson": line, "spearman": rank, "correlation": (line + rank) / 2, "mse": square}
