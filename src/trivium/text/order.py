"""Which example is drawn when: a keyed permutation, a pure function of (seed, epoch, position) with O(1) seek.

A Feistel network over pairs (a, b) with a, b < ceil(sqrt(n)), each round adding a keyed hash of one half to the other
modulo that root, is a permutation of root^2 >= n numbers; numbers that land at n or above walk on along their cycle
until they come back below n (Black and Rogaway 2002, "Ciphers with arbitrary finite domains"). No list of the whole
epoch is ever held. Below 256 examples a sort of keyed hashes gives each permutation equal probability.
"""

from math import isqrt

import numpy as np

from trivium.randomness import key, mix

_ROUNDS = 8
_SORTED_BELOW = 256
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def permuted(seed: int, epoch: int, n: int, positions: np.ndarray) -> np.ndarray:
    """Where each of ``positions`` (any shape, integers in [0, n)) lies in this epoch's order: int64, same shape."""
    positions = np.asarray(positions, dtype=np.int64)
    if positions.size and not (0 <= positions.min() and positions.max() < n):
        raise IndexError(f"positions must lie in [0, {n})")
    if n <= _SORTED_BELOW:
        hashes = mix(np.arange(n, dtype=np.uint64) * _GOLDEN + np.uint64(key(seed, "order", epoch)))
        return np.argsort(hashes, kind="stable")[positions]
    root = isqrt(n - 1) + 1
    keys = [np.uint64(key(seed, "order", epoch, number)) for number in range(_ROUNDS)]
    found = _rounds(positions.ravel(), root, keys)
    astray = np.flatnonzero(found >= n)
    while astray.size:
        found[astray] = _rounds(found[astray], root, keys)
        astray = astray[found[astray] >= n]
    return found.reshape(positions.shape)


def _rounds(numbers: np.ndarray, root: int, keys: list[np.uint64]) -> np.ndarray:
    left, right = numbers // root, numbers % root
    for round_key in keys:
        noise = mix(right.astype(np.uint64) * _GOLDEN + round_key) % np.uint64(root)
        left, right = right, (left + noise.astype(np.int64)) % root
    return left * root + right


def drawn(seed: int, n: int, numbers: np.ndarray) -> np.ndarray:
    """The example of each draw number of an endless run: epoch after epoch, each in its own order. Same shape."""
    numbers = np.asarray(numbers, dtype=np.int64)
    epochs, positions = np.divmod(numbers, n)
    examples = np.empty_like(positions)
    for epoch in np.unique(epochs):
        of_epoch = epochs == epoch
        examples[of_epoch] = permuted(seed, int(epoch), n, positions[of_epoch])
    return examples


def held_out(documents: int, share: float, at_least: int, seed: int) -> np.ndarray:
    """(D,) bool: which documents are kept for evaluation, by keyed hash of the document's number.

    A document's hash does not depend on how many there are, so a text that grows keeps its evaluation documents,
    except where ``at_least`` asks for more than ``share`` gives: then the lowest hashes are taken. At least one
    document is left for training.
    """
    hashes = mix(np.arange(documents, dtype=np.uint64) * _GOLDEN + np.uint64(key(seed, "held out")))
    chosen = hashes.astype(np.float64) * 2.0**-64 < share
    wanted = min(at_least, documents - 1)
    if chosen.sum() < wanted or chosen.all():
        chosen = np.zeros(documents, dtype=bool)
        chosen[np.argsort(hashes, kind="stable")[: max(wanted, 0)]] = True
    return chosen
