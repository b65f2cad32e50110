"""Sorted runs of counted words in a temporary file, and their merging: the part of counting that is on disk.

The file has no name (it is unlinked as soon as it is open), so nothing is left behind by an error or a killed process.
It lies in the folder that ``TMPDIR`` names.
"""

import heapq
import tempfile
from collections.abc import Iterator, Mapping
from itertools import islice
from operator import itemgetter
from typing import IO

import numpy as np

from trivium.errors import RefusedError

Entry = tuple[str, int, int]  # word, count, number of its first appearance
BLOCK = 4096  # entries read at once
FAN_IN = 64  # runs merged at once
_NEAR = 200  # bytes of an entry as Python objects, its word of usual length


class Runs:
    """Runs that were written; ``memory`` bounds what reading them back takes."""

    def __init__(self, memory: int) -> None:
        self._file: IO[bytes] | None = None
        self._runs: list[tuple[int, int]] = []  # offset, blocks
        self._seen = 0  # words of all tables so far: the next table's words appeared after them
        self._end = 0
        self._block = min(BLOCK, max(16, memory // (FAN_IN * _NEAR)))

    def __bool__(self) -> bool:
        return bool(self._runs)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def write(self, table: Mapping[str, int]) -> None:
        """A table in the order of first appearance, as one run."""
        numbered = [(word, count, first) for first, (word, count) in enumerate(table.items(), self._seen)]
        numbered.sort(key=itemgetter(0))
        self._write(iter(numbered))
        self._seen += len(table)

    def _write(self, entries: Iterator[Entry]) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="trivium-counts-")
            start, blocks = self._end, 0
            while block := list(islice(entries, self._block)):
                words = "".join(word for word, _, _ in block).encode("utf-8", "surrogatepass")
                head = np.array([len(block), len(words)], dtype=np.int64).tobytes()
                lengths = np.array([len(word) for word, _, _ in block], dtype=np.int64).tobytes()
                numbers = np.array([entry[1:] for entry in block], dtype=np.int64).tobytes()
                self._file.seek(self._end)
                self._end += self._file.write(head + lengths + numbers + words)
                blocks += 1
            self._runs.append((start, blocks))
        except OSError as error:
            raise RefusedError(
                f"the counts do not fit in memory, and the temporary folder {tempfile.gettempdir()} cannot take them "
                f"({error.strerror}): raise --memory, or name a folder with room in TMPDIR"
            ) from error

    def _read(self, run: tuple[int, int]) -> Iterator[Entry]:
        assert self._file is not None
        offset, blocks = run
        for _ in range(blocks):
            self._file.seek(offset)
            count, size = np.frombuffer(self._file.read(16), dtype=np.int64).tolist()
            lengths = np.frombuffer(self._file.read(8 * count), dtype=np.int64)
            numbers = np.frombuffer(self._file.read(16 * count), dtype=np.int64).reshape(count, 2)
            text = self._file.read(size).decode("utf-8", "surrogatepass")
            offset += 16 + 24 * count + size
            ends = np.cumsum(lengths)
            for start, end, number in zip((ends - lengths).tolist(), ends.tolist(), numbers.tolist(), strict=True):
                yield text[start:end], number[0], number[1]

    def merged(self) -> Iterator[Entry]:
        """Each word once, sorted, with the sum of its counts and the earliest of its first appearances."""
        while len(self._runs) > FAN_IN:
            several, self._runs = self._runs[:FAN_IN], self._runs[FAN_IN:]
            self._write(_summed(heapq.merge(*map(self._read, several), key=itemgetter(0))))
        yield from _summed(heapq.merge(*map(self._read, self._runs), key=itemgetter(0)))


def _summed(entries: Iterator[Entry]) -> Iterator[Entry]:
    current = next(entries, None)
    if current is None:
        return
    word, count, first = current
    for other, more, appeared in entries:
        if other == word:
            count, first = count + more, min(first, appeared)
        else:
            yield word, count, first
            word, count, first = other, more, appeared
    yield word, count, first
