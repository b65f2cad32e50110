"""Words with spans on their way into a model: candidates, windows of long texts, batches of these; and their rows."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch

from trivium.errors import DataError, SettingsError
from trivium.recurrent.characters import place_spellings
from trivium.tasks.word_pieces import Window, WindowItems, Word, encode_words, windows
from trivium.text.fields import text_of, texts_of
from trivium.text.span_fields import Text
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.alignment import word_spans
from trivium.transformer import Inputs, SpanPlaces, Tokens


@lru_cache(maxsize=1024)
def enumerated(words: int, longest: int) -> np.ndarray:
    """(N, 2) first and last words of all spans of at most ``longest`` words, the narrow ones first.

    T words have T (T + 1) / 2 spans, single words included; with at most L words each T L - L (L - 1) / 2 for L <= T.
    (T (T - 1) / 2, which one reads, too, leaves out single words.)
    """
    widths = range(min(words, longest))
    firsts = np.concatenate([np.arange(words - more) for more in widths] or [np.empty(0, np.int64)])
    lasts = firsts + np.repeat(np.arange(len(widths)), [words - more for more in widths])
    found = np.stack((firsts, lasts), 1)
    found.flags.writeable = False  # it is shared
    return found


@dataclass(frozen=True, eq=False)
class Row:
    """One window of a text. T tokens, of W words, with N spans or P pairs of these that are asked about."""

    ids: np.ndarray  # (T,)
    starts: np.ndarray  # (W,) the first token of each word
    stops: np.ndarray  # (W,) the last one, inside
    offset: int  # the number in the text of the window's first word
    spans: np.ndarray  # (N, 2) first and last words, counted in the window
    labels: np.ndarray  # (N,) or of the pairs (P,)
    pairs: np.ndarray | None = None  # (P, 2) of spans
    asked: np.ndarray | None = None  # (P, 2) the pairs as the text numbers its spans
    unknown: dict[int, str] = field(default_factory=dict)  # words that have no id, by place, for networks that spell


SpanItems = WindowItems[Row]


class Asked(NamedTuple):
    """What a window is asked: as in ``Row``."""

    spans: np.ndarray
    labels: np.ndarray
    pairs: np.ndarray | None = None
    asked: np.ndarray | None = None


def encode_windows(
    texts: Sequence[Sequence[str]], ask: Callable[[int, list[Window]], Sequence[Asked]], tokenizer: Tokenizer,
    length: int, characters: int, notes: Sequence[str],
) -> SpanItems:  # fmt: skip
    """Windows of at most ``length`` tokens, the layout's control ids included, and what ``ask`` wants to know of each
    window of a text with that number; windows about which nothing is asked are left out."""
    layout = tokenizer.layout()
    room = length - len(layout.before) - len(layout.after)
    if room < 1:
        raise SettingsError(f"a length of {length} tokens leaves no room for words: raise it")
    rows, numbers, truncated, cut = [], [], 0, 0
    for number, words in enumerate(encode_words(texts, tokenizer)):
        sizes = [min(len(word.ids), room) for word in words]
        truncated += any(len(word.ids) > room for word in words)
        found = windows(sizes, room)
        cut += len(found) > 1
        for window, asked in zip(found, ask(number, found), strict=True):
            if not len(asked.labels):
                continue
            row = _row(window, words, sizes, layout.before, layout.after, asked)
            if characters:
                row.unknown.update(_unknown(row, window, texts[number], words, tokenizer))
            rows.append(row)
            numbers.append(number)
    if cut:
        share = f"{cut} of {len(texts)} texts are" if cut > 1 else f"1 of {len(texts)} texts is"
        notes = [*notes, f"{share} longer than {room} tokens and read in windows that overlap"]
    return SpanItems(rows, np.array(numbers, np.int64), truncated, tuple(notes), characters)


def _row(
    window: Window, words: Sequence[Word], sizes: Sequence[int], before: Sequence[int], after: Sequence[int],
    asked: Asked,
) -> Row:  # fmt: skip
    inside = range(window.first, window.last)
    ids = [*before, *(piece for place in inside for piece in words[place].ids[: sizes[place]]), *after]
    ends = len(before) + np.cumsum([sizes[place] for place in inside])
    spaces = [min(words[place].spaces, max(sizes[place] - 1, 0)) for place in inside]
    starts = ends - [sizes[place] for place in inside] + spaces
    last = max(len(ids) - 1, 0)  # a word of which a tokenizer leaves nothing is read where it would have stood
    stops = np.minimum(np.maximum(ends - 1, starts), last)
    return Row(
        np.array(ids, np.int64), np.minimum(starts, last), stops, window.first, asked.spans - window.first,
        asked.labels, asked.pairs, asked.asked,
    )  # fmt: skip


def _unknown(
    row: Row, window: Window, texts: Sequence[str], words: Sequence[Word], tokenizer: Tokenizer
) -> dict[int, str]:
    """The words of a window that the tokenizer does not know, by place; networks that spell have a token a word."""
    whole = [place for place in range(window.first, window.last) for _ in words[place].ids]
    places = np.flatnonzero(row.ids == tokenizer.unknown)
    start = len(tokenizer.layout().before)
    return {int(place): tokenizer.normalise(texts[whole[place - start]]) for place in places}


def owned(spans: np.ndarray, found: Sequence[Window]) -> list[np.ndarray]:
    """The numbers of the (N, 2) spans that each window is asked about: those that lie in it and whose middle is
    further from its edges than from those of another that holds them. A span that no window holds is in none."""
    if len(found) == 1:
        return [np.arange(len(spans))]
    begins, ends = (np.array([window[place] for window in found]) for place in (0, 1))
    firsts, lasts = spans[:, :1], spans[:, 1:]
    room = np.minimum(firsts - begins, ends - 1 - lasts)  # (N, windows)
    best = np.where(room.max(1) >= 0, room.argmax(1), -1)
    return [np.flatnonzero(best == number) for number in range(len(found))]


class Placed(NamedTuple):
    """A batch of rows as the model reads it, and in which order the rows' spans stand in it."""

    inputs: Inputs
    order: np.ndarray  # the places of the spans that are asked about, all rows' side by side
    tokens: int


def placed_rows(rows: Sequence[Row], characters: int) -> Placed:
    """(B, T) ids, right-padded; the words of all rows numbered through, the spans in order of their width."""
    lengths = np.array([len(row.ids) for row in rows])
    counts = np.array([len(row.starts) for row in rows])
    spans = np.array([len(row.spans) for row in rows])
    real = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(real.shape, np.int64)
    ids[real] = np.concatenate([row.ids for row in rows])
    by_row = np.arange(len(rows)) * real.shape[1]
    starts, stops = (
        np.concatenate([getattr(row, name) for row in rows]) + np.repeat(by_row, counts) for name in ("starts", "stops")
    )
    sizes = stops - starts + 1
    owners = np.repeat(np.arange(len(sizes)), sizes)
    pieces = np.arange(len(owners)) - np.repeat(np.cumsum(sizes) - sizes, sizes) + starts[owners]
    every = np.concatenate([row.spans for row in rows])
    every = every + np.repeat(np.cumsum(counts) - counts, spans)[:, None]
    wide = every[:, 1] - every[:, 0]
    order = np.argsort(wide, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    pairs = None
    if rows[0].pairs is not None:
        shifts = np.cumsum(spans) - spans
        numbers = [row.pairs + shift for row, shift in zip(rows, shifts, strict=True) if row.pairs is not None]
        pairs = torch.from_numpy(place[np.concatenate(numbers)])
    spelt = place_spellings([row.unknown for row in rows], real.shape[1], characters)
    side = Tokens(
        ids=torch.from_numpy(ids),
        documents=None if real.all() else torch.from_numpy(np.where(real, 0, -1)),
        characters=None if spelt is None else torch.from_numpy(spelt),
        spans=SpanPlaces(
            starts=torch.from_numpy(starts),
            stops=torch.from_numpy(stops),
            pieces=torch.from_numpy(pieces),
            owners=torch.from_numpy(owners),
            firsts=torch.from_numpy(every[order, 0]),
            widths=tuple(np.bincount(wide, minlength=1).tolist()),
            pairs=pairs,
        ),
    )
    return Placed(Inputs(side, side), order, int(lengths.sum()))


def words_of(place: str, row: Mapping[str, object], words: str, text: str) -> Text:
    """From the field ``words``, or else from ``text``, cut at the borders of words."""
    if words not in row and text in row:
        whole = text_of(place, row, text)
        cut = tuple(word_spans(whole))
        return tuple(whole[start:end] for start, end in cut), whole, cut
    given = texts_of(place, row, words)
    if not given:
        raise DataError(f"{place}: {words!r} holds no words: remove this row")
    return given, "", ()
