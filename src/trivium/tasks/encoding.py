"""Texts as ids: control tokens around them, segments, and what is longer than is read cut or split into windows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from trivium.errors import SettingsError
from trivium.recurrent.characters import unknown_words
from trivium.tokenizers import Tokenizer

OVERLAP = 4  # windows have every fourth of their tokens in common with the next


class Row(NamedTuple):
    """What one row reads: a text or two. ``tail`` belongs behind the first, and is cut only when that is gone."""

    first: str
    second: str | None = None
    tail: str = ""


@dataclass(frozen=True, eq=False)
class Encoded:
    """N items of one row or several, R rows in all, ready to be batched. An item is an example, or a window of one."""

    ids: list[np.ndarray]  # of int64, one array a row
    segments: list[np.ndarray] | None
    counts: np.ndarray  # (N,) int64: rows of each item
    examples: np.ndarray  # (N,) int64: the example that each item is of
    cut: tuple[int, ...] = ()  # the examples of which something is not read
    notes: tuple[str, ...] = ()
    characters: int = 0  # of a word, how many the network reads, if it reads any
    unknown: list[dict[int, str]] = field(default_factory=list)  # then, by place, the words that have no id
    targets: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))  # what is to be predicted, by example

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def truncated(self) -> int:
        """How many examples were cut."""
        return len(self.cut)

    @cached_property
    def starts(self) -> np.ndarray:
        """(N,) int64: the first row of each item."""
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def lengths(self) -> np.ndarray:
        """(N,) int64: tokens of an item's rows, padded to the longest of them."""
        if not len(self.counts):
            return np.zeros(0, np.int64)
        rows = np.array([len(ids) for ids in self.ids], np.int64)
        return np.maximum.reduceat(rows, self.starts) * self.counts

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """The rows of some items, side by side."""
        counts = self.counts[numbers]
        shift = np.repeat(self.starts[numbers] - (np.cumsum(counts) - counts), counts)
        return np.arange(counts.sum()) + shift


class _Cut(NamedTuple):
    """What is read of a row: tokens of the first text and of the second from, and up to; tokens of the tail."""

    first: tuple[int, int]
    second: tuple[int, int]
    tail: int


def encode(
    examples: Sequence[Sequence[Row]], tokenizer: Tokenizer, length: int, segments: bool, characters: int = 0, *,
    split: bool = False, even: bool = False,
) -> Encoded:  # fmt: skip
    """``[CLS] A [SEP]`` or ``[CLS] A [SEP] B [SEP]``, by the tokenizer's own layout, in at most ``length`` tokens.

    ``examples``: the rows of each. ``split``: an example of one long row becomes several items, windows of its longer
    text that overlap. ``even``: two texts are cut alike whichever comes first. ``segments``: as the layout has them.
    Where a network reads so many ``characters`` of a word, words that the tokenizer does not know are kept as written.
    """
    known = _tokens(examples, tokenizer)
    ids: list[np.ndarray] = []
    kinds: list[np.ndarray] = []
    unknown: list[dict[int, str]] = []
    counts, owners, cut, windowed = [], [], [], 0
    for number, rows in enumerate(examples):
        items: list[list[tuple[Row, _Cut]]]
        room = [_room(row, tokenizer, length) for row in rows]
        if split and len(rows) == 1:
            items = [[(rows[0], each)] for each in _windows(rows[0], known, room[0])]
            windowed += len(items) > 1
        else:
            items = [[(row, _kept(row, known, limit, even)) for row, limit in zip(rows, room, strict=True)]]
        if not _whole(items, known):
            cut.append(number)
        for item in items:
            for row, kept in item:
                ids.append(_ids(row, kept, known, tokenizer))
                kinds.append(_segments(row, kept, tokenizer) if segments else ids[-1])
                if characters:
                    unknown.append(_unknown(row, kept, tokenizer))
            counts.append(len(item))
            owners.append(number)
    notes = []
    if windowed:
        share = f"{windowed} of {len(examples)} texts are" if windowed > 1 else f"1 of {len(examples)} texts is"
        notes.append(f"{share} longer than {length} tokens and read in windows that overlap: {len(counts)} in all")
    return Encoded(
        ids, kinds if segments else None, np.array(counts, np.int64), np.array(owners, np.int64), tuple(cut),
        tuple(notes), characters, unknown,
    )  # fmt: skip


def _tokens(examples: Sequence[Sequence[Row]], tokenizer: Tokenizer) -> dict[str, list[int]]:
    """Ids of each text, once however many rows have it."""
    texts = list(dict.fromkeys(text for rows in examples for row in rows for text in row if text))
    return {"": [], **dict(zip(texts, tokenizer.encode_batch(texts), strict=True))}


def _room(row: Row, tokenizer: Tokenizer, length: int) -> int:
    layout = tokenizer.layout(row.second is not None)
    room = length - len(layout.before) - len(layout.between) - len(layout.after)
    if room < 1 + (row.second is not None):
        raise SettingsError(f"a length of {length} tokens leaves no room for the text: raise it")
    return room


def _kept(row: Row, known: dict[str, list[int]], room: int, even: bool) -> _Cut:
    """A text's end is cut, the longer text's first."""
    first, second = len(known[row.first]), len(known[row.second]) if row.second is not None else 0
    tail = len(known[row.tail])
    if even and first + second > room:
        room -= room % 2
    kept, kept_second = longest_first(first + tail, second, room)
    tail = min(tail, kept)
    return _Cut((0, kept - tail), (0, kept_second), tail)


def _windows(row: Row, known: dict[str, list[int]], room: int) -> Iterator[_Cut]:
    """The longer text from its beginning to its end, beside the shorter one, of which at most half a row is read."""
    first, second = len(known[row.first]), len(known[row.second]) if row.second is not None else 0
    if first >= second:
        beside = min(second, room // 2)
        yield from (_Cut(window, (0, beside), 0) for window in windows(first, room - beside))
    else:
        beside = min(first, room // 2)
        yield from (_Cut((0, beside), window, 0) for window in windows(second, room - beside))


def windows(count: int, room: int) -> list[tuple[int, int]]:
    """From, and up to, of windows of ``room`` tokens; the last ends where the text does."""
    if count <= room:
        return [(0, count)]
    stride = max(1, room - room // OVERLAP)
    return [(start, start + room) for start in (*range(0, count - room, stride), count - room)]


def _whole(items: Sequence[Sequence[tuple[Row, _Cut]]], known: dict[str, list[int]]) -> bool:
    """Whether everything of an example is in one of its items; windows leave no gap."""
    for row, _ in items[0]:
        cuts = [kept for item in items for each, kept in item if each is row]
        texts = (row.first, "" if row.second is None else row.second, row.tail)
        read = (max(c.first[1] for c in cuts), max(c.second[1] for c in cuts), max(c.tail for c in cuts))
        if any(end < len(known.get(text, ())) for text, end in zip(texts, read, strict=True)):
            return False
    return True


def _ids(row: Row, kept: _Cut, known: dict[str, list[int]], tokenizer: Tokenizer) -> np.ndarray:
    layout = tokenizer.layout(row.second is not None)
    opening = [*layout.before, *known[row.first][slice(*kept.first)], *known[row.tail][: kept.tail]]
    closing = [*layout.between, *known[row.second][slice(*kept.second)]] if row.second is not None else []
    return np.array([*opening, *closing, *layout.after], np.int64)


def _segments(row: Row, kept: _Cut, tokenizer: Tokenizer) -> np.ndarray:
    layout = tokenizer.layout(row.second is not None)
    counts = [*[1] * len(layout.before), kept.first[1] - kept.first[0] + kept.tail]
    if row.second is not None:
        counts += [*[1] * len(layout.between), kept.second[1] - kept.second[0]]
    return np.repeat(np.array(layout.segments), [*counts, *[1] * len(layout.after)])


def _unknown(row: Row, kept: _Cut, tokenizer: Tokenizer) -> dict[int, str]:
    """Words without an id among those kept, by their places in the whole."""
    layout = tokenizer.layout(row.second is not None)
    found: dict[int, str] = {}
    place = len(layout.before)
    parts = [
        (row.first, kept.first, 0), (row.tail, (0, kept.tail), len(layout.between)), (row.second or "", kept.second, 0)
    ]  # fmt: skip
    for text, (start, end), behind in parts:
        if text:
            words = unknown_words(tokenizer, text, tokenizer.encode(text))
            found |= {place + at - start: word for at, word in words.items() if start <= at < end}
        place += end - start + behind
    return found


def longest_first(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of two texts stay when tokens are dropped one by one from the longer, the second on a tie."""
    if first + second <= room:
        return first, second
    if second <= room // 2:
        return room - second, second
    if first <= room - room // 2:
        return first, room - first
    return room - room // 2, room // 2
