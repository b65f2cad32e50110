"""Are probabilities what they say? Expected calibration error (Naeini et al. 2015; Guo et al. 2017), Brier's score."""

from collections.abc import Sequence

import numpy as np


def calibration(confidence: Sequence[float], right: Sequence[bool], bins: int = 15) -> dict[str, float]:
    """``confidence``: the probability given to what was predicted; ``right``: whether it was so.

    ``ece``: over ``bins`` equally wide bins (low, high] of confidence, the gap between accuracy and mean confidence,
    weighted by how many fall in; ``mce``: the largest such gap; ``brier``: the mean square of confidence minus right.
    """
    chances, hits = np.asarray(confidence, float), np.asarray(right, float)
    if len(chances) != len(hits):
        raise ValueError(f"{len(chances)} probabilities but {len(hits)} outcomes")
    if not len(chances):
        raise ValueError("no predictions to score")
    if not ((chances >= 0) & (chances <= 1)).all():
        raise ValueError("probabilities must lie between 0 and 1")
    number = np.clip(np.ceil(chances * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(number, minlength=bins)
    gaps = np.abs(np.bincount(number, hits - chances, minlength=bins)) / np.maximum(counts, 1)
    return {
        "ece": float((gaps * counts).sum() / len(chances)),
        "mce": float(gaps.max()),
        "brier": float(((chances - hits) ** 2).mean()),
    }
