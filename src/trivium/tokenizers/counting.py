"""How often each word occurs in a text of any length, exactly, within a stated memory.

Words are counted in a table. When it has grown to its share of the memory it is written to a temporary file as a
sorted run and emptied; at the end the runs are merged (an external merge sort, Knuth volume 3, section 5.4). So a text
is read once, counts are exact and 64-bit, and the order of first appearance, which tie rules need, is kept.
"""

import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from trivium.errors import DataError, RefusedError
from trivium.tokenizers.runs import Runs

MEMORY = 2 << 30  # bytes that learning a vocabulary may take beside the program itself
PART = 1 << 18  # characters split at once
_ENTRY = 40  # bytes of a count as an integer object
_KEPT = 64  # beside a kept word's string: its places in lists, its count and first appearance, while they are sorted


@dataclass(frozen=True)
class Counts:
    """``words`` in the order of their first appearance, and (N,) int64 ``counts``."""

    words: list[str]
    counts: np.ndarray

    def __len__(self) -> int:
        return len(self.words)

    @property
    def total(self) -> int:
        return int(self.counts.sum())


class WordTable:
    """Counts that are added to, and kept below ``memory`` bytes; use in a ``with`` block, which drops its file."""

    def __init__(self, memory: int = MEMORY) -> None:
        self.memory = memory
        self.table: Counter[str] = Counter()
        self.strings = 0  # bytes of the table's words
        self.runs = Runs(memory // 4)

    def __enter__(self) -> "WordTable":
        return self

    def __exit__(self, *_: object) -> None:
        self.runs.close()
        self.table.clear()

    def add(self, words: Iterable[str]) -> None:
        """One more of each."""
        before = len(self.table)
        self.table.update(words)
        self._grew(before)

    def add_counts(self, words: Iterable[str], counts: Iterable[int]) -> None:
        """``counts`` more of each of ``words``."""
        before, table = len(self.table), self.table
        for word, count in zip(words, counts, strict=True):
            table[word] = table.get(word, 0) + count
        self._grew(before)

    def _grew(self, before: int) -> None:
        new = len(self.table) - before
        self.strings += sum(map(sys.getsizeof, islice(reversed(self.table), new)))
        # A dictionary that grows exists twice for a moment, the new one up to twice as large.
        if self.strings + len(self.table) * _ENTRY + 3 * sys.getsizeof(self.table) > self.memory // 2:
            self._spill()

    def _spill(self) -> None:
        self.runs.write(self.table)
        self.table = Counter()
        self.strings = 0

    def result(self, most: int | None = None, least: int = 1) -> Counts:
        """All words, or the ``most`` most frequent ones (ties: first seen), of those seen ``least`` times."""
        if not self.runs:
            words, counts = list(self.table), np.fromiter(self.table.values(), np.int64, len(self.table))
            self.table = Counter()
            return _chosen(words, counts, np.arange(len(words)), most, least)
        self._spill()
        return self._merged(most, least)

    def _merged(self, most: int | None, least: int) -> Counts:
        words: list[str] = []
        counts, firsts = array("q"), array("q")
        size = distinct = 0
        fits = True
        for word, count, first in self.runs.merged():
            if count < least:
                continue
            distinct += 1
            size += sys.getsizeof(word) + _KEPT
            if fits:
                words.append(word)
                counts.append(count)
                firsts.append(first)
            if most is not None and len(words) >= 2 * most + 1000:
                words, counts, firsts = _fewer(words, counts, firsts, most)
                size = sum(map(sys.getsizeof, words)) + len(words) * _KEPT
            elif fits and size > self.memory:
                fits, words, counts, firsts = False, [], array("q"), array("q")
        if not fits:
            raise RefusedError(
                f"the text has {distinct:,} different words, which need {size:,} bytes and may have "
                f"{self.memory:,}: raise --memory, or learn from a part of the text with --sample"
            )
        return _chosen(words, np.array(counts), np.array(firsts), most, 1)


def count_words(
    documents: Iterable[str],
    *,
    memory: int = MEMORY,
    split: Callable[[str], Iterable[str]] = str.split,
    most: int | None = None,
    least: int = 1,
) -> Counts:
    """How often each word of ``split`` occurs, in the order of first appearance.

    A document is split in parts, cut at whitespace where there is some within 262,144 characters: so no word may
    reach across whitespace. ``most``: only that many, the most frequent, ties to the first seen; ``least``: only words
    seen so often. When the words kept do not fit ``memory`` bytes, a RefusedError says how much they need.
    """
    with WordTable(memory) as table:
        for part in parts(documents, min(PART, max(1024, memory // 256))):
            table.add(split(part))
        return table.result(most, least)


def parts(documents: Iterable[str], size: int = PART) -> Iterator[str]:
    """The documents in parts of about ``size`` characters: short ones joined by a newline, long ones cut at whitespace
    or, where there is none for long, anywhere."""
    held: list[str] = []
    length = 0
    for document in documents:
        if length + len(document) > size and held:
            yield "\n".join(held)
            held, length = [], 0
        if len(document) > size:
            yield from _cut(document, size)
        elif document:
            held.append(document)
            length += len(document)
    if held:
        yield "\n".join(held)


def _cut(text: str, size: int) -> Iterator[str]:
    start = 0
    while len(text) - start > size:
        end = start + size
        cut = max(text.rfind(" ", start + 1, end), text.rfind("\n", start + 1, end))
        if cut < 0:  # a script without spaces, or one enormous word
            cut = end
        yield text[start:cut]
        start = cut
    yield text[start:]


def check_text(words: Iterable[str]) -> None:
    """Refuses half surrogate pairs, which no file in UTF-8 holds and no tokenizer can encode."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError as error:
            code = ord(word[error.start])
            raise DataError(f"this text cannot be learnt from: it holds U+{code:04X}, half a surrogate pair") from error


def _fewer(words: list[str], counts: array, firsts: array, most: int) -> tuple[list[str], array, array]:
    order = sorted(range(len(words)), key=lambda at: (-counts[at], firsts[at]))[:most]
    kept = [words[at] for at in order]
    return kept, array("q", [counts[at] for at in order]), array("q", [firsts[at] for at in order])


def _chosen(words: list[str], counts: np.ndarray, firsts: np.ndarray, most: int | None, least: int) -> Counts:
    """Those wanted, in the order of first appearance."""
    kept = np.flatnonzero(counts >= least)
    if most is not None and len(kept) > most:
        kept = kept[np.lexsort((firsts[kept], -counts[kept]))[:most]]
    kept = kept[np.argsort(firsts[kept], kind="stable")]
    return Counts([words[at] for at in kept.tolist()], counts[kept])
