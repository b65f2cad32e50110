"""The loop that counts co-occurrences: a square table for the frequent words, a hash table for all others."""

import numpy as np

from trivium.extras import compiled

_FULL = 0.7  # share of the hash table that may be taken: above, searches grow long
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@compiled
def count_pairs(ids, stop, size, window, symmetric, weighted, dense, keys, sums, state):  # type: ignore[no-untyped-def]
    """Reads from ``state[0]`` to ``stop`` and adds up; ends early, before a word, when its pairs might not fit.

    The key of a pair is row * size + column; of a symmetric matrix only the entry whose row is the larger is kept.
    """
    most = np.int64(_FULL * keys.shape[0])
    shift = np.uint64(64)
    capacity = keys.shape[0]
    while capacity > 1:
        capacity >>= 1
        shift -= np.uint64(1)
    for at in range(state[0], stop):
        word = np.int64(ids[at])
        if word < 0:
            continue
        if state[1] + window > most:
            state[0] = at
            return
        for distance in range(1, min(window, at) + 1):
            other = np.int64(ids[at - distance])
            if other < 0:
                break
            row, column = word, other
            if symmetric and row < column:
                row, column = column, row
            weight = 1.0 / distance if weighted else 1.0
            if row < dense.shape[0] and column < dense.shape[0]:
                dense[row, column] += weight
                continue
            key = row * size + column
            place = np.int64((np.uint64(key) * _GOLDEN) >> shift)
            while keys[place] != key and keys[place] >= 0:
                place = (place + 1) & (keys.shape[0] - 1)
            if keys[place] < 0:
                keys[place] = key
                sums[place] = weight
                state[1] += 1
            else:
                sums[place] += weight
    state[0] = stop
