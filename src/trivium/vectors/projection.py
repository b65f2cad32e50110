"""Vectors on paper: the two directions in which chosen words differ most (principal components, by an exact SVD)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trivium.errors import SettingsError
from trivium.vectors.similarity import directions
from trivium.vectors.vectors import Vectors


@dataclass(frozen=True)
class Projection:
    """Words as points. ``shares``: how much of the words' variance each axis shows."""

    words: tuple[str, ...]
    points: np.ndarray  # (n, 2) float64, centred
    shares: tuple[float, float]


def project(vectors: Vectors, words: Sequence[str] | None = None, count: int = 100) -> Projection:
    """The map of ``words``, or of the ``count`` most frequent ones.

    Rows are taken at length 1, so that the map is one of cosines, and centred. The sign of an axis, which an SVD leaves
    open, is such that its largest coefficient is positive.
    """
    chosen = tuple(dict.fromkeys(vectors.words[:count] if words is None else words))
    if len(chosen) < 3:
        raise SettingsError(f"a map needs 3 different words or more: {len(chosen)} were given")
    return Projection(chosen, *principal_components(directions(vectors, chosen)))


def principal_components(rows: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """(n, D) to points (n, 2), and the share of the variance that each axis shows."""
    rows = rows - rows.mean(axis=0)
    left, values, axes = np.linalg.svd(rows, full_matrices=False)
    points = np.zeros((len(rows), 2))
    kept = min(2, len(values))
    signs = np.sign(axes[np.arange(kept), np.abs(axes[:kept]).argmax(axis=1)])
    points[:, :kept] = left[:, :kept] * values[:kept] * signs
    total = float((values**2).sum())
    shares = [float(value**2) / total if total > 0 else 0.0 for value in (*values[:kept], 0.0)][:2]
    return points, (shares[0], shares[1])
