"""T5's random spans, row by row, for the engines that have none of their own (after google-research/t5's
``random_spans_noise_mask``; ``transformers`` ships this for Flax only)."""

import numpy as np
from shapes import MEAN_SPAN, NOISE_RATE


def corrupt(ids: np.ndarray, sentinels: np.ndarray, end: int, random: np.random.Generator):
    """(input, target) ids of one text."""
    length = len(ids)
    noise = min(max(round(length * NOISE_RATE), 1), length - 1)
    spans = min(max(round(noise / MEAN_SPAN), 1), length - noise, len(sentinels) - 1)
    kept, taken = _segments(length - noise, spans, random), _segments(noise, spans, random)
    source, target, at = [], [], 0
    for number, (keep, take) in enumerate(zip(kept, taken, strict=True)):
        mark = sentinels[number : number + 1]
        source += [ids[at : at + keep], mark]
        target += [mark, ids[at + keep : at + keep + take]]
        at += keep + take
    return np.concatenate([*source, [end]]), np.concatenate([*target, [end]])


def _segments(total: int, parts: int, random: np.random.Generator) -> np.ndarray:
    """``parts`` positive lengths that sum to ``total``."""
    cuts = np.sort(random.choice(total - 1, parts - 1, replace=False)) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))
