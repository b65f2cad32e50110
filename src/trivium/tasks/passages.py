"""Questions with their passages on their way into a model: windows over a passage that is longer than a model reads.

``[CLS] question [SEP] passage [SEP]``, by the tokenizer's own layout; where the control token that sums up comes last
(XLNet) the passage comes first. Windows and the rule of maximum context are those of BERT's run_squad.py (Devlin et al.
2019). Every token of the passage is in a window, and belongs to the one in which it has most context on both sides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from trivium.errors import SettingsError
from trivium.text.examples import Answer, Question
from trivium.tokenizers import Tokenizer

LENGTH_COUNTS = 0.01  # of a window, beside the tokens of context: between equal ones the longer window wins


class Window(NamedTuple):
    """A stretch of a passage's tokens."""

    first: int
    size: int
    own: np.ndarray  # (size,) bool: those that have most context here


@lru_cache(maxsize=4096)
def windows(count: int, room: int, stride: int) -> tuple[Window, ...]:
    """Of ``room`` tokens, a new one after every ``stride``, until one reaches the end of ``count``."""
    step = min(room, stride)
    firsts = range(0, max(1, count - room + step), step)
    sizes = [min(room, count - first) for first in firsts]
    best, owner = np.full(count, -np.inf), np.zeros(count, np.int64)
    for number, (first, size) in enumerate(zip(firsts, sizes, strict=True)):
        place = np.arange(size)
        context = np.minimum(place, size - 1 - place) + LENGTH_COUNTS * size
        better = context > best[first : first + size]
        best[first : first + size][better] = context[better]
        owner[first : first + size][better] = number
    return tuple(
        Window(first, size, owner[first : first + size] == number)
        for number, (first, size) in enumerate(zip(firsts, sizes, strict=True))
    )


@dataclass(frozen=True, eq=False)
class Passage:
    """A text as tokens, and the characters that each stands for: from ``starts`` up to, not with, ``ends``."""

    text: str
    ids: np.ndarray  # (P,)
    starts: np.ndarray  # (P,)
    ends: np.ndarray  # (P,)

    def covering(self, answer: Answer) -> tuple[int, int] | None:
        """The first and the last token that have a character of the answer; None: the tokenizer dropped them all."""
        text = answer.text.strip()
        start = answer.start + len(answer.text) - len(answer.text.lstrip())
        places = np.flatnonzero((self.starts < start + len(text)) & (self.ends > start))
        return (int(places[0]), int(places[-1])) if len(places) else None

    def span(self, first: int, last: int) -> tuple[int, int]:
        """The characters of tokens from ``first`` to ``last``, without spaces at the edges."""
        whole = self.text[self.starts[first] : self.ends[last]]
        start = int(self.starts[first]) + len(whole) - len(whole.lstrip())
        return start, start + len(whole.strip())


@dataclass(frozen=True, eq=False)
class Reading:
    """One window of a passage under its question. T tokens, of which ``size`` from ``offset`` on are the passage's."""

    ids: np.ndarray  # (T,)
    segments: np.ndarray | None  # (T,)
    offset: int
    window: Window
    nowhere: int  # the place that says that the answer is not here
    target: tuple[int, int]  # the places of the answer's first and last token, or twice ``nowhere``


@dataclass(frozen=True, eq=False)
class QuestionItems:
    """The windows of all questions, in order."""

    rows: list[Reading]
    examples: np.ndarray  # (N,) of which question each is
    passages: list[Passage]  # of each question
    truncated: int  # questions that were cut
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> np.ndarray:
        """(N,) int64."""
        return np.array([len(row.ids) for row in self.rows], np.int64)


def encode_questions(
    examples: Sequence[Question], tokenizer: Tokenizer, length: int, stride: int, max_query: int, max_answer: int,
    segments: bool, decoder: bool,
) -> QuestionItems:  # fmt: skip
    """Windows of at most ``length`` tokens. The target is the first of a question's answers."""
    frame = _Frame.of(tokenizer, decoder)
    known: dict[str, Passage] = {}
    rows: list[Reading] = []
    numbers: list[int] = []
    passages: list[Passage] = []
    truncated = long = unseen = inside = lost = 0
    for number, (example, query) in enumerate(
        zip(examples, tokenizer.encode_batch([example.question for example in examples]), strict=True)
    ):
        passage = known.get(example.context) or known.setdefault(example.context, _passage(example.context, tokenizer))
        passages.append(passage)
        room = length - frame.controls - min(len(query), max_query)
        if room < 1:
            raise SettingsError(
                f"a length of {length} tokens leaves no room for a passage beside a question of "
                f"{min(len(query), max_query)} tokens: raise length, or lower max_query"
            )
        truncated += len(query) > max_query
        found = windows(len(passage.ids), room, stride)
        long += len(found) > 1
        answer = passage.covering(example.answers[0]) if example.answers else None
        mine = [frame.reading(query[:max_query], passage, window, answer, segments) for window in found]
        rows += mine
        numbers += [number] * len(mine)
        if answer is None:
            lost += bool(example.answers)
            continue
        start, end = passage.span(*answer)
        inside += passage.text[start:end] != example.answers[0].text.strip()
        unseen += answer[1] - answer[0] >= max_answer or all(row.target == (row.nowhere,) * 2 for row in mine)
    notes = [
        (long, f"have passages that are read in windows, one after every {stride} tokens"),
        (inside, "have answers that begin or end inside a token: the whole token is learnt"),
        (unseen, f"have answers longer than {max_answer} tokens, or than what two windows share: they cannot be found"),
        (lost, "have answers of which the tokenizer leaves nothing: they are learnt as not being there"),
    ]
    told = tuple(f"{count} of {len(examples)} questions {what}" for count, what in notes if count)
    return QuestionItems(rows, np.array(numbers, np.int64), passages, truncated, told)


def _passage(text: str, tokenizer: Tokenizer) -> Passage:
    encoded = tokenizer.encode(text)
    spans = np.array(encoded.offsets, np.int64).reshape(-1, 2)
    return Passage(text, np.array(encoded.ids, np.int64), spans[:, 0].copy(), spans[:, 1].copy())


class _Frame(NamedTuple):
    """The control ids around question and passage."""

    before: list[int]
    between: list[int]
    after: list[int]
    kinds: tuple[int, ...]  # the segment of each control id and of each text
    passage_first: bool
    nowhere: int  # which token says that the answer is not here; -1: the last one

    @classmethod
    def of(cls, tokenizer: Tokenizer, decoder: bool) -> "_Frame":
        layout, classify = tokenizer.layout(pair=True), tokenizer.classify
        last = classify is not None and layout.after[-1:] == (classify,)
        # A decoder has read all only at its end.
        nowhere = -1 if last or (decoder and layout.after) else 0
        return cls(
            list(layout.before), list(layout.between), list(layout.after), layout.segments, passage_first=last,
            nowhere=nowhere,
        )  # fmt: skip

    @property
    def controls(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)

    def reading(
        self, query: list[int], passage: Passage, window: Window, answer: tuple[int, int] | None, segments: bool
    ) -> Reading:
        part = passage.ids[window.first : window.first + window.size]
        first, second = (part, query) if self.passage_first else (query, part)
        ids = np.concatenate([self.before, first, self.between, second, self.after]).astype(np.int64)
        offset = len(self.before) + (0 if self.passage_first else len(query) + len(self.between))
        counts = [*[1] * len(self.before), len(first), *[1] * len(self.between), len(second), *[1] * len(self.after)]
        nowhere = self.nowhere % len(ids)
        target = (nowhere, nowhere)
        if answer is not None and window.first <= answer[0] and answer[1] < window.first + window.size:
            target = (offset + answer[0] - window.first, offset + answer[1] - window.first)
        kinds = np.repeat(np.array(self.kinds, np.int64), counts) if segments else None
        return Reading(ids, kinds, offset, window, nowhere, target)
