"""One-hot encoding: each word its own dimension, a single 1 in it.

What every learnt vector is held against. Its three drawbacks can be read off: as many dimensions as words, almost all
numbers zero, and no two words nearer to each other than any other two (cosine 0, distance the root of 2). A layer that
multiplies a one-hot row by a matrix reads one row of it, which is all that an embedding layer does.
"""

from collections.abc import Sequence

import numpy as np

from trivium.errors import DataError, RefusedError
from trivium.vectors.vectors import Vectors

# The lecture's eleven words.
EXAMPLE = ("king", "queen", "water", "man", "woman", "tree", "leaf", "happy", "glad", "mother", "daughter")
_LARGEST = 30_000  # words whose square of numbers is written out: 3.6 GB of float32


def one_hot(words: Sequence[str]) -> Vectors:
    """The identity matrix as vectors of different words."""
    size = len(words)
    if size == 0:
        raise DataError("one-hot vectors need at least one word")
    if len(set(words)) != size:
        twice = next(word for number, word in enumerate(words) if word in words[:number])
        raise DataError(f"one-hot vectors need different words: {twice!r} is there twice")
    if size > _LARGEST:
        raise RefusedError(
            f"{size:,} one-hot vectors of {size:,} numbers would take {4 * size * size / 1e9:,.0f} GB: "
            f"take at most {_LARGEST:,} words, or a word's number alone, which says the same"
        )
    return Vectors(list(words), np.eye(size, dtype=np.float32))


def encode(vectors: Vectors, words: Sequence[str]) -> np.ndarray:
    """(T, V) float32: one row for each word of a text, a single 1 at the word's number."""
    rows = np.zeros((len(words), len(vectors)), np.float32)
    rows[np.arange(len(words)), [vectors.row(word) for word in words]] = 1
    return rows


def density(matrix: np.ndarray) -> float:
    """The share of numbers that are not zero: 1 / V for one-hot vectors."""
    return float(np.count_nonzero(matrix) / matrix.size)
