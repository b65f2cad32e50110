"""How much a writer repeats itself: distinct n-grams (Li et al. 2016) and the share of n-grams of a text that came
before in it (Welleck et al. 2020, seq-rep-n). Words are what stands between blanks."""

from collections.abc import Sequence

import numpy as np


def distinct(texts: Sequence[str], n: int) -> float:
    """Different n-grams of all texts, divided by all of them; 0 where there is none."""
    grams = [gram for text in texts for gram in _grams(text, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def repetition(text: str, n: int) -> float:
    """1 minus the different n-grams of one text, divided by all of them; 0 where it is shorter than that."""
    grams = _grams(text, n)
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def diversity(texts: Sequence[str]) -> dict[str, float]:
    """``distinct_1`` to ``distinct_3`` of all texts, and the mean ``repetition_4`` of one."""
    if not texts:
        raise ValueError("no texts to score")
    found = {f"distinct_{n}": distinct(texts, n) for n in (1, 2, 3)}
    return {**found, "repetition_4": float(np.mean([repetition(text, 4) for text in texts]))}


def _grams(text: str, n: int) -> list[tuple[str, ...]]:
    words = text.lower().split()
    return list(zip(*(words[i:] for i in range(n)), strict=False))
