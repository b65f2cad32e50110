"""How often words stand near each other, each time weighted by 1/distance: what GloVe is fitted to.

Pennington et al. 2014, counted as in GloVe's cooccur.c: each word meets each of the ``window`` words to its left in the
same line, and with ``symmetric`` they meet it too. Counted exactly in float64 in a table of bounded size; a full table
goes to a temporary file in the order of its keys, and at the end the files are merged.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trivium.errors import DataError
from trivium.vectors.sentences import MEMORY, Corpus

_ENTRY = 16  # bytes of a key and its sum
_DENSE = 2048  # the most frequent words, whose pairs have a table of their own that needs no search


@dataclass(frozen=True, eq=False)
class Pairs:
    """Some entries of the matrix: ``sums[n]`` is X[rows[n], columns[n]]."""

    rows: np.ndarray  # int64
    columns: np.ndarray  # int64
    sums: np.ndarray  # float64

    def __len__(self) -> int:
        return len(self.sums)


@dataclass(frozen=True, eq=False)
class Run:
    """Keys that rise and a sum for each, in memory or in a file."""

    keys: np.ndarray  # int64
    sums: np.ndarray  # float64


def cooccurrences(
    corpus: Corpus,
    *,
    window: int = 15,
    symmetric: bool = True,
    distance_weighting: bool = True,
    memory: int = MEMORY,
) -> Iterator[Pairs]:
    """The entries of the matrix that are not zero, block by block in rising order of row and column (of the larger
    and smaller number where the matrix is symmetric: there an entry and its mirror come in one block)."""
    size = len(corpus.words)
    runs = _count(corpus, window, symmetric, distance_weighting, memory)
    for run in _merged(runs, max(memory // (8 * _ENTRY), 1024)):
        rows, columns, sums = run.keys // size, run.keys % size, run.sums
        if symmetric:
            apart = rows != columns
            sums = np.where(apart, sums, 2 * sums)  # a word beside itself meets itself from both sides
            rows, columns = np.append(rows, columns[apart]), np.append(columns, rows[apart])
            sums = np.append(sums, sums[apart])
        yield Pairs(rows, columns, sums)


def _count(corpus: Corpus, window: int, symmetric: bool, weighted: bool, memory: int) -> list[Run]:
    from trivium.vectors.cooccurrence_kernels import count_pairs

    size, ids = len(corpus.words), corpus.ids
    dense_words = min(size, _DENSE, int((memory / 4 / 8) ** 0.5))
    dense = np.zeros((dense_words, dense_words))
    most = min(memory // 4 // _ENTRY, 4 * max(corpus.tokens, 256) * window)
    capacity = 1 << (max(int(most), 1024).bit_length() - 1)
    keys, sums = np.full(capacity, -1, np.int64), np.zeros(capacity)
    state = np.zeros(2, np.int64)  # where the text is read on, and how many entries are taken
    runs: list[Run] = []
    step = max(1000, 20_000_000 // window)
    while state[0] < len(ids):
        stop = min(int(state[0]) + step, len(ids))
        count_pairs(ids, stop, size, window, symmetric, weighted, dense, keys, sums, state)
        if state[0] < stop:  # the table is full
            runs.append(_kept(_drained(keys, sums)))
            state[1] = 0
    last = _drained(keys, sums)
    larger, smaller = np.nonzero(dense)
    frequent = Run(larger * np.int64(size) + smaller, dense[larger, smaller])
    return [*runs, last, frequent]


def _drained(keys: np.ndarray, sums: np.ndarray) -> Run:
    """The table's entries in order of their keys; the table is empty afterwards."""
    taken = np.flatnonzero(keys >= 0)
    taken = taken[np.argsort(keys[taken])]
    run = Run(keys[taken], sums[taken])
    keys.fill(-1)
    return run


def _kept(run: Run) -> Run:
    """The same run in a temporary file."""
    parts = []
    for part in (run.keys, run.sums):
        file = tempfile.TemporaryFile(prefix="trivium-pairs-")
        part.tofile(file)
        file.flush()
        parts.append(np.memmap(file, part.dtype, mode="r"))
    return Run(*parts)


def _merged(runs: list[Run], block: int) -> Iterator[Run]:
    """All runs as one, each key once with the sum of its sums, in blocks of up to ``block`` entries read."""
    at = [0] * len(runs)
    share = max(block // max(len(runs), 1), 1)
    while True:
        open_runs = [n for n, run in enumerate(runs) if at[n] < len(run.keys)]
        if not open_runs:
            return
        # Up to the smallest key at which some run's share ends, every run has been read.
        limit = min(int(runs[n].keys[min(at[n] + share, len(runs[n].keys)) - 1]) for n in open_runs)
        keys, sums = [], []
        for n in open_runs:
            piece = np.asarray(runs[n].keys[at[n] : at[n] + share])
            end = at[n] + int(np.searchsorted(piece, limit, "right"))
            keys.append(piece[: end - at[n]])
            sums.append(np.asarray(runs[n].sums[at[n] : end]))
            at[n] = end
        all_keys, all_sums = np.concatenate(keys), np.concatenate(sums)
        order = np.argsort(all_keys, kind="stable")
        all_keys = all_keys[order]
        first = np.flatnonzero(np.append(True, all_keys[1:] != all_keys[:-1]))
        yield Run(all_keys[first], np.add.reduceat(all_sums[order], first))


def whole(pairs: Iterator[Pairs]) -> Pairs:
    """All entries at once, for texts whose matrix fits in memory."""
    blocks = [block for block in pairs if len(block)]
    if not blocks:
        raise DataError("no two words of the text stand in one line: give sentences of at least two words")
    return Pairs(*(np.concatenate([getattr(each, name) for each in blocks]) for name in ("rows", "columns", "sums")))
