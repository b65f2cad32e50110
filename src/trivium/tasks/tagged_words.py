"""Tagged sentences on their way into a model, and tags on their way out: windows of pieces, words with entities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from trivium.errors import SettingsError
from trivium.metrics.entities import entities
from trivium.tasks.word_pieces import Window, WindowItems, Word, encode_words, windows
from trivium.text.examples import Tagged
from trivium.tokenizers import Tokenizer


@dataclass(frozen=True, eq=False)
class Row:
    """One window of a sentence. T tokens, of W own words."""

    ids: np.ndarray  # (T,)
    words: np.ndarray  # (T,) which of the own words a piece belongs to; -1: none
    firsts: np.ndarray  # (W,) where each word's first piece is; -1: it has none
    tags: np.ndarray  # (W,) -1: not known
    piece_tags: np.ndarray  # (T,) -1: not known, or not trained on
    begins: bool  # whether its first word is the sentence's
    ends: bool
    unknown: dict[int, str] = field(default_factory=dict)  # words that have no id, by place, for networks that spell


TagItems = WindowItems[Row]


def encode_tagged(
    examples: Sequence[Tagged], tags: Sequence[Sequence[int]], later: np.ndarray | None, tokenizer: Tokenizer,
    length: int, characters: int, notes: Sequence[str],
) -> TagItems:  # fmt: skip
    """Windows of at most ``length`` tokens, the layout's control ids included. ``later``: the tag of a word's later
    pieces by its own; None: they are not trained on."""
    layout = tokenizer.layout()
    room = length - len(layout.before) - len(layout.after)
    if room < 1:
        raise SettingsError(f"a length of {length} tokens leaves no room for words: raise it")
    rows, numbers, truncated, cut = [], [], 0, 0
    for number, (example, words) in enumerate(
        zip(examples, encode_words([example.words for example in examples], tokenizer), strict=True)
    ):
        sizes = [min(len(word.ids), room) for word in words]
        truncated += any(len(word.ids) > room for word in words)
        found = windows(sizes, room)
        cut += len(found) > 1
        known = tags[number] or [-1] * len(words)
        for window in found:
            row = _row(window, words, sizes, known, later, layout.before, layout.after)
            if characters:
                row.unknown.update(_unknown(row, window, example, words, tokenizer))
            rows.append(row)
            numbers.append(number)
    if cut:
        share = f"{cut} of {len(examples)} sentences are" if cut > 1 else f"1 of {len(examples)} sentences is"
        notes = [*notes, f"{share} longer than {room} tokens and read in windows that overlap"]
    return TagItems(rows, np.array(numbers, np.int64), truncated, tuple(notes), characters)


def _row(
    window: Window, words: Sequence[Word], sizes: Sequence[int], tags: Sequence[int], later: np.ndarray | None,
    before: Sequence[int], after: Sequence[int],
) -> Row:  # fmt: skip
    ids, owners, piece_tags = [*before], [-1] * len(before), [-1] * len(before)
    firsts, own_tags = [], []
    for place in range(window.first, window.last):
        word, size = words[place], sizes[place]
        own = window.own_first <= place < window.own_last
        spaces, pieces = min(word.spaces, size), size - min(word.spaces, size)
        if own:
            firsts.append(len(ids) + spaces if pieces else -1)
            own_tags.append(tags[place])
        ids += word.ids[:size]
        owners += [-1] * spaces + [place - window.own_first if own else -1] * pieces
        tag = tags[place] if own else -1
        rest = -1 if later is None or tag < 0 else int(later[tag])
        piece_tags += [-1] * spaces + ([tag] + [rest] * (pieces - 1) if pieces else [])
    ids += after
    owners += [-1] * len(after)
    piece_tags += [-1] * len(after)
    return Row(
        np.array(ids, np.int64), np.array(owners, np.int64), np.array(firsts, np.int64), np.array(own_tags, np.int64),
        np.array(piece_tags, np.int64), begins=window.own_first == 0, ends=window.own_last == len(words),
    )  # fmt: skip


def _unknown(
    row: Row, window: Window, example: Tagged, words: Sequence[Word], tokenizer: Tokenizer
) -> dict[int, str]:
    """The words of a window that the tokenizer does not know, by place; networks that spell have a token a word."""
    whole = [place for place in range(window.first, window.last) for _ in words[place].ids]
    places = np.flatnonzero(row.ids == tokenizer.unknown)
    start = len(tokenizer.layout().before)
    return {int(place): tokenizer.normalise(example.words[whole[place - start]]) for place in places}


@dataclass(frozen=True, eq=False)
class WordTags:
    """A sentence with a tag for each word, the probability of each possible one, and where they mark entities these."""

    example: Tagged
    tags: tuple[str, ...]
    chosen: np.ndarray  # (W,) the tags' numbers
    probabilities: np.ndarray  # (W, K)
    marks_entities: bool
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # the tags by other decisions, where compared

    @property
    def entities(self) -> list[dict[str, object]]:
        """``first`` and ``last``: numbers of words, from 0, both inside; of a text also the characters from ``start``
        up to, not with, ``end``."""
        found: list[dict[str, object]] = []
        for kind, first, last in entities(self.tags) if self.marks_entities else ():
            words, spans = self.example.words, self.example.spans
            entity: dict[str, object] = {"type": kind, "text": " ".join(words[first : last + 1])}
            if spans:
                start, end = spans[first][0], spans[last][1]
                entity |= {"text": self.example.text[start:end], "start": start, "end": end}
            found.append({**entity, "first": first, "last": last})
        return found

    def row(self) -> dict[str, object]:
        """The words too where they were cut out of a text; probabilities of the tags said, to six digits."""
        words: dict[str, object] = {"words": list(self.example.words)} if self.example.spans else {}
        sure = self.probabilities[np.arange(len(self.chosen)), self.chosen].astype(float).round(6).tolist()
        marked: dict[str, object] = {"entities": self.entities} if self.marks_entities else {}
        return {**words, "tags": list(self.tags), "probabilities": sure, **marked}
