"""Examples of one text or two as ids: control tokens around them, segments, and the longest text cut first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from trivium.errors import SettingsError
from trivium.recurrent.characters import unknown_words
from trivium.text.examples import Labelled, Pair
from trivium.tokenizers import Tokenizer


@dataclass(frozen=True)
class Encoded:
    """N examples, ready to be batched."""

    ids: list[np.ndarray]  # of int64, one array an example
    segments: list[np.ndarray] | None
    labels: np.ndarray  # (N,) int64; -1: not known
    truncated: int  # how many examples were cut
    characters: int = 0  # of a word, how many the network reads, if it reads any
    unknown: list[dict[int, str]] = field(default_factory=list)  # then, by place, the words that have no id

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> np.ndarray:
        """(N,) int64."""
        return np.array([len(ids) for ids in self.ids], np.int64)


def encode(
    examples: Sequence[Labelled | Pair],
    tokenizer: Tokenizer,
    length: int,
    numbers: Mapping[str, int],
    segments: bool,
    characters: int = 0,
) -> Encoded:
    """``[CLS] A [SEP]`` or ``[CLS] A [SEP] B [SEP]``, by the tokenizer's own layout, in at most ``length`` tokens.

    ``segments``: as the layout has them. A label that has no number becomes -1.
    Where a network reads so many ``characters`` of a word, words that the tokenizer does not know are kept as written.
    """
    pairs = [isinstance(example, Pair) for example in examples]
    firsts = tokenizer.encode_batch([e.first if isinstance(e, Pair) else e.text for e in examples])
    seconds = iter(tokenizer.encode_batch([e.second for e in examples if isinstance(e, Pair)]))
    ids, kinds, unknown, truncated = [], [], [], 0
    for example, pair, first in zip(examples, pairs, firsts, strict=True):
        second = next(seconds) if pair else []
        layout = tokenizer.layout(pair)
        room = length - len(layout.before) - len(layout.between) - len(layout.after)
        if room < 1 + pair:
            raise SettingsError(f"a length of {length} tokens leaves no room for the text: raise it")
        kept, kept_second = longest_first(len(first), len(second), room)
        truncated += kept + kept_second < len(first) + len(second)
        opening = [*layout.before, *first[:kept], *layout.between]
        closing = [*second[:kept_second], *layout.after] if pair else []
        ids.append(np.array([*opening, *closing] if pair else [*opening, *layout.after], np.int64))
        if characters:
            unknown.append(_unknown(example, tokenizer, opening, kept, kept_second))
        counts = [kept, *[1] * len(layout.between), kept_second] if pair else [kept]
        counts = [*[1] * len(layout.before), *counts, *[1] * len(layout.after)]
        kinds.append(np.repeat(np.array(layout.segments), counts))
    labels = np.array([numbers.get(example.label, -1) for example in examples], np.int64)
    return Encoded(ids, kinds if segments else None, labels, truncated, characters, unknown)


def _unknown(
    example: Labelled | Pair, tokenizer: Tokenizer, opening: Sequence[int], kept: int, kept_second: int
) -> dict[int, str]:
    """Words without an id among those kept, by their places in the whole."""
    if isinstance(example, Pair):
        layout = tokenizer.layout(pair=True)
        parts = [(example.first, len(layout.before), kept), (example.second, len(opening), kept_second)]
    else:
        parts = [(example.text, len(tokenizer.layout().before), kept)]
    found: dict[int, str] = {}
    for text, start, count in parts:
        words = unknown_words(tokenizer, text, tokenizer.encode(text))
        found |= {start + place: word for place, word in words.items() if place < count}
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
