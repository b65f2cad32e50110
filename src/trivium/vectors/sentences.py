"""Documents to sentences of words, and the whole text as one array of word numbers, which training reads many times.

Each line is a sentence (a newline ends a sentence in word2vec.c and in GloVe's cooccur.c) and words are split at white
space, or found by a pattern. The text is read once, as a stream. What stays is four bytes a word: in memory, or above
``memory`` bytes in a temporary file that is mapped, so that a text larger than memory trains too.
"""

import re
import sys
import tempfile
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

import numpy as np

from trivium.errors import DataError, RefusedError, SettingsError

Documents = Iterable[str] | Callable[[], Iterable[str]]

# Pattern name -> regular expression; any other setting is itself a regular expression.
PATTERNS = {"whitespace": r"\S+", "words": r"\w+(?:['’]\w+)*"}
END = -1  # between sentences in ``Corpus.ids``
MEMORY = 2 << 30


@dataclass(frozen=True, eq=False)
class Corpus:
    """A text as numbers: ``words[n]`` occurs ``counts[n]`` times, and ``ids`` holds the words' numbers in text order,
    with ``END`` after each sentence."""

    words: list[str]
    counts: np.ndarray  # (N,) int64
    ids: np.ndarray  # (T,) int32

    @property
    def tokens(self) -> int:
        """Words of running text, sentence ends not counted."""
        return int(self.counts.sum())


def word_splitter(pattern: str) -> Callable[[str], list[str]]:
    """The function from a line to its words."""
    expression = PATTERNS.get(pattern, pattern)
    if expression == PATTERNS["whitespace"]:
        return str.split
    try:
        compiled = re.compile(expression)
    except re.error as error:
        raise SettingsError(
            f"pattern {pattern!r} is no regular expression ({error}): give {' or '.join(PATTERNS)}, or mend it"
        ) from error
    if compiled.groups:
        raise SettingsError(f"pattern {pattern!r} has capturing groups: write (?:...) in the place of (...)")
    if compiled.match(""):
        raise SettingsError(f"pattern {pattern!r} matches the empty text, which is no word: write + in the place of *")
    return compiled.findall


def sentences(documents: Documents, *, lowercase: bool = False, pattern: str = "whitespace") -> Iterator[list[str]]:
    """The words of each line that has any, streamed."""
    split = word_splitter(pattern)
    for document in documents() if callable(documents) else documents:
        # Only newlines end a sentence: str.splitlines would also cut at form feeds and other rare characters.
        for line in (document.lower() if lowercase else document).split("\n"):
            words = split(line)
            if words:
                yield words


def read_corpus(
    documents: Documents, *, lowercase: bool = False, pattern: str = "whitespace", memory: int = MEMORY
) -> Corpus:
    """The text as numbers, words numbered in order of first appearance. One pass.

    ``memory`` in bytes: half for the table of different words, half for the text before it goes to a file.
    """
    index: defaultdict[str, int] = defaultdict()
    index.default_factory = index.__len__
    look_up = index.__getitem__
    store = _Store(memory // 2)
    letters, known = 0, 0
    for number, words in enumerate(sentences(documents, lowercase=lowercase, pattern=pattern)):
        store.held.extend(map(look_up, words))
        store.held.append(END)
        if number % 1024 == 0 or len(words) > 100_000:
            store.check()
            letters, known = letters + _bytes(index, known), len(index)
            if letters + sys.getsizeof(index) > memory - memory // 2:
                raise RefusedError(
                    f"the table of different words has passed {memory - memory // 2:,} bytes at {len(index):,} words: "
                    "raise memory, set lowercase, or give a pattern that splits off punctuation (pattern = words)"
                )
    ids = store.array()
    if not index:
        raise DataError("the text has no words: give at least one file that is not empty, or another pattern")
    return Corpus(list(index), count(ids, len(index)), ids)


def _bytes(index: dict[str, int], known: int) -> int:
    """What the words numbered from ``known`` on take in memory, with the int objects that number them."""
    # The last ones of a dict are reached from its end, so that the whole check costs one look at each word.
    return sum(sys.getsizeof(word) + 32 for word in islice(reversed(index), len(index) - known))


def count(ids: np.ndarray, size: int) -> np.ndarray:
    """(size,) int64: how often each number occurs."""
    counts = np.zeros(size + 1, np.int64)
    for start in range(0, len(ids), 1 << 24):
        counts += np.bincount(ids[start : start + (1 << 24)] + 1, minlength=size + 1)  # + 1: END is counted at 0
    return counts[1:]


class _Store:
    """A growing array of int32, which moves to a temporary file when it passes ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        self.held = array("i")
        self.limit = limit
        self.file: BinaryIO | None = None

    def check(self) -> None:
        if len(self.held) * self.held.itemsize > self.limit:
            self.write()

    def write(self) -> None:
        if self.file is None:
            self.file = tempfile.TemporaryFile(prefix="trivium-words-")  # lives as long as the map
        self.held.tofile(self.file)
        del self.held[:]

    def array(self) -> np.ndarray:
        if self.file is None:
            return np.frombuffer(self.held, np.int32) if self.held else np.zeros(0, np.int32)
        self.write()
        self.file.flush()
        return np.memmap(self.file, np.int32, mode="r+").view(np.ndarray)
