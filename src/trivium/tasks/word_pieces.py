"""Sentences that are words already, as token ids: which pieces are whose is known, not guessed from characters.

Each word is encoded by itself, as it would be inside a text: with the space before it where a tokenizer makes it a part
of the word (GPT-2's), without where it does not (WordPiece) or puts its own (SentencePiece). A piece that is the space
alone stands before its word and belongs to none. A word of which a tokenizer leaves nothing is its unknown token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from trivium.tokenizers import Tokenizer

SPACES = frozenset({" ", "Ġ", "▁"})
"""How vocabularies spell a space."""


class Word(NamedTuple):
    """A word's ids, of which the first ``spaces`` are no part of it."""

    ids: tuple[int, ...]
    spaces: int


def encode_words(sentences: Sequence[Sequence[str]], tokenizer: Tokenizer) -> list[list[Word]]:
    """A ``Word`` for every word, in order."""
    joined = _space_is_a_part(tokenizer)
    inner = sorted({f" {word}" if joined else word for words in sentences for word in words[joined:]})
    first = sorted({words[0] for words in sentences if words} - set(inner)) if joined else []
    known = {
        text: _word(ids, tokenizer)
        for texts in (inner, first)
        for text, ids in zip(texts, tokenizer.encode_batch(texts), strict=True)
    }
    return [
        [known[f" {word}" if joined and place else word] for place, word in enumerate(words)] for words in sentences
    ]


def _space_is_a_part(tokenizer: Tokenizer) -> bool:
    """Whether a word inside a text has other ids than at its beginning."""
    one, two = tokenizer.encode_batch(["a", "a a"])
    return two != [*one, *one]


def _word(ids: Sequence[int], tokenizer: Tokenizer) -> Word:
    spaces = 0
    while spaces < len(ids) and tokenizer.piece(ids[spaces]) in SPACES:
        spaces += 1
    if not ids and tokenizer.unknown is not None:
        return Word((tokenizer.unknown,), 0)
    return Word(tuple(ids), spaces if spaces < len(ids) else 0)  # a word that is spelt as a space is


class Window(NamedTuple):
    """A stretch of a sentence's words that are read together, and those whose tags are taken from this reading."""

    first: int
    last: int  # one behind
    own_first: int
    own_last: int


def windows(sizes: Sequence[int], room: int) -> list[Window]:
    """One, or as many as it takes where words of these sizes do not fit into ``room``, none of which is larger.

    Neighbours share up to half of the room, and each word belongs to the window in which it is further from the edge.
    """
    count, reach = len(sizes), [0]
    for size in sizes:
        reach.append(reach[-1] + size)
    ranges, first, last = [], 0, 0
    while last < count:
        while last < count and reach[last + 1] - reach[first] <= room:
            last += 1
        ranges.append((first, last))
        if last < count:
            first += 1
            while reach[last] - reach[first] > room // 2 or reach[last + 1] - reach[first] > room:
                first += 1
    bounds = [0, *((start + end) // 2 for (_, end), (start, _) in zip(ranges, ranges[1:], strict=False)), count]
    return [Window(*span, *own) for span, own in zip(ranges, zip(bounds, bounds[1:], strict=False), strict=True)]


class Row(Protocol):
    """One window, as ids and whatever else a task keeps of it."""

    @property
    def ids(self) -> np.ndarray: ...


AnyRow = TypeVar("AnyRow", bound=Row)


@dataclass(frozen=True, eq=False)
class WindowItems(Generic[AnyRow]):
    """The windows of all texts, in order."""

    rows: list[AnyRow]
    examples: np.ndarray  # (N,) of which text each is
    truncated: int  # texts with a word longer than a window, whose last pieces are not read
    notes: tuple[str, ...]
    characters: int  # of a word, how many the network reads, if it reads any

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> np.ndarray:
        """(N,) int64."""
        return np.array([len(row.ids) for row in self.rows], np.int64)
