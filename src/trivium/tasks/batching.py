"""Which examples share a batch: similar lengths together, so that little padding is computed, in an order that is a
pure function of (seed, epoch)."""

import numpy as np

from trivium.randomness import key
from trivium.text.order import permuted

WINDOW = 50  # batches among which lengths are sorted: of real sentences 3% is padding then, 16% at 8, half at 1


def training_batches(lengths: np.ndarray, size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """All example numbers of an epoch in batches of ``size`` (the last may be smaller).

    The epoch's order is shuffled, cut into windows of 50 batches, each window sorted by length and cut into batches;
    then the batches of the epoch are shuffled.
    """
    count = len(lengths)
    order = permuted(seed, epoch, count, np.arange(count))
    window = WINDOW * size
    windows = [order[start : start + window] for start in range(0, count, window)]
    ordered = np.concatenate([w[np.argsort(lengths[w], kind="stable")] for w in windows])
    batches = [ordered[start : start + size] for start in range(0, count, size)]
    turns = permuted(key(seed, "batches"), epoch, len(batches), np.arange(len(batches)))
    return [batches[turn] for turn in turns]


def within_budget(lengths: np.ndarray, numbers: np.ndarray, tokens: int) -> list[np.ndarray]:
    """``numbers`` sorted by length and cut into parts of at most ``tokens`` with their padding, or one example.

    For prediction, and for the micro-batches of one training batch.
    """
    ordered = numbers[np.argsort(lengths[numbers], kind="stable")]
    parts, start = [], 0
    for end in range(1, len(ordered) + 1):
        if end == len(ordered) or (end + 1 - start) * int(lengths[ordered[end]]) > tokens:
            parts.append(ordered[start:end])
            start = end
    return parts
