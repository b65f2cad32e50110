"""Co-occurrences as GloVe's training reads them: in random order, log X and f(X) worked out, in memory or a file."""

import tempfile
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from trivium.errors import DataError
from trivium.randomness import key, mix
from trivium.vectors.cooccurrence import Pairs


def weight(x: np.ndarray, x_max: float = 100.0, power: float = 0.75) -> np.ndarray:
    """f(x) = min(1, (x / x_max)^power): rare pairs count less, frequent ones no more than once. f(0) = 0."""
    f: np.ndarray = np.minimum(1.0, (np.asarray(x, np.float64) / x_max) ** power)
    return f


def record_type(number: type) -> np.dtype:
    return np.dtype([("row", np.int32), ("column", np.int32), ("log", number), ("weight", number)])


def shuffled(
    pairs: Iterator[Pairs], words: int, number: type, x_max: float, power: float, seed: int, memory: int
) -> np.ndarray:
    """(N,) records in an order that the seed alone decides; above ``memory`` bytes a map of a temporary file.

    Each pair has a random number, a function of seed and pair; the order is that of these numbers. A text whose records
    do not fit is spread over buckets by their first bits and each bucket is sorted by itself.
    """
    start = np.uint64(key(seed, "shuffle"))
    dtype = np.dtype([("order", np.uint64), ("record", record_type(number))])
    spool = _Spool(dtype, memory // 4)
    for block in pairs:
        held = np.empty(len(block), dtype)
        held["order"] = mix((block.rows * np.int64(words) + block.columns).astype(np.uint64) + start)
        record = held["record"]
        record["row"], record["column"] = block.rows, block.columns
        record["log"], record["weight"] = np.log(block.sums), weight(block.sums, x_max, power)
        spool.add(held)
    if spool.total == 0:
        raise DataError("no two words of the text stand in one line: give sentences of at least two words")
    return spool.sorted()


_BUCKETS = 256


class _Spool:
    """Records held in memory, or above ``limit`` bytes in 256 files by the first 8 bits of their order."""

    def __init__(self, dtype: np.dtype, limit: int) -> None:
        self.dtype, self.limit = dtype, limit
        self.held: list[np.ndarray] = []
        self.size = self.total = 0
        self.files: list[BinaryIO] = []

    def add(self, block: np.ndarray) -> None:
        self.held.append(block)
        self.size += block.nbytes
        self.total += len(block)
        if self.size > self.limit:
            self._write()

    def _write(self) -> None:
        if not self.files:
            self.files = [tempfile.TemporaryFile(prefix="trivium-records-") for _ in range(_BUCKETS)]
        for block in self.held:
            bucket = (block["order"] >> np.uint64(56)).astype(np.int64)
            order = np.argsort(bucket, kind="stable")
            ends = np.cumsum(np.bincount(bucket, minlength=_BUCKETS))
            block = block[order]
            for number in np.unique(bucket):
                block[ends[number - 1] if number else 0 : ends[number]].tofile(self.files[number])
        self.held, self.size = [], 0

    def sorted(self) -> np.ndarray:
        if not self.files:
            return _in_order(np.concatenate(self.held))
        self._write()
        file = tempfile.TemporaryFile(prefix="trivium-records-")
        for bucket in self.files:
            bucket.seek(0)
            _in_order(np.fromfile(bucket, self.dtype)).tofile(file)
            bucket.close()
        file.flush()
        return np.memmap(file, self.dtype["record"], mode="r+").view(np.ndarray)


def _in_order(block: np.ndarray) -> np.ndarray:
    records: np.ndarray = np.ascontiguousarray(block["record"][np.argsort(block["order"])])
    return records
