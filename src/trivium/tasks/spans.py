"""Labels of spans, such as nested entities, mentions and arguments: every stretch of at most L words is a decision.

``y = softmax(FFNN([s_first; e_last; summary]))`` over the labels and "none" (``transformer/span_head.py``). The words'
own pieces are read, as for tagging: a span begins with the first piece of its first word and ends with the last piece
of its last one. Long texts are read in windows, and each span is asked about in one of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.metrics import span_scores
from trivium.tasks.span_decoding import Decoding, chosen, decoding_of
from trivium.tasks.span_items import Asked, SpanItems, encode_windows, enumerated, owned, words_of
from trivium.tasks.span_reading import NONE, SpanReading, check_words, described, mean_loss, outcomes_of
from trivium.tasks.task import Outcome
from trivium.tasks.word_pieces import Window
from trivium.text.examples import Located, Span, Spans
from trivium.text.fields import Columns
from trivium.text.span_fields import spans_of, tagged_spans
from trivium.tokenizers import Tokenizer
from trivium.transformer import SPANS, Config
from trivium.transformer.heads import SpanHead

if TYPE_CHECKING:
    from trivium.transformer import Network

TAGS = ("tags",)  # what readers call the last column
SHARE = 0.99  # of the training examples' spans that are not longer than ``longest`` where it is not given


@dataclass(frozen=True, eq=False)
class SpanLabels:
    """A text with the spans that were found in it and how probable each is; and all that was asked."""

    example: Spans
    found: tuple[Span, ...]
    chances: tuple[float, ...]
    asked: np.ndarray  # (N, 2) first and last words
    probabilities: np.ndarray  # (N, K)

    def row(self) -> dict[str, object]:
        """``spans``, in the order of the text; the words too where they were cut out of one."""
        words: dict[str, object] = {"words": list(self.example.words)} if self.example.places else {}
        spans = [
            {"label": span.label, "probability": round(chance, 6), **described(self.example, span)}
            for span, chance in zip(self.found, self.chances, strict=True)
        ]
        return {**words, "spans": spans}


@dataclass(frozen=True)
class SpanLabelling(SpanReading):
    """``longest``: of a span, in words; ``decode``: what may stand side by side, every span for itself ("nested"), none
    that overlap ("flat"), none that cross ("crossing"); ``levels``: the columns of tags of rows without ``spans``."""

    columns: ClassVar[tuple[str, ...]] = ("words", "spans", "text")
    head: ClassVar[str] = SPANS

    longest: int | None = None  # None: what 99 in 100 spans of the training examples have at most
    decode: Decoding | None = None  # None: the strictest that the training examples keep to
    width_vectors: bool = True  # a span's vector has one for its number of words
    levels: tuple[str, ...] = TAGS

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.longest is not None and self.longest < 1:
            raise SettingsError(f"longest = {self.longest}: a span has at least one word")

    @property
    def widths(self) -> int:
        return (self.longest or 0) if self.width_vectors else 0

    def example(self, place: str, row: Mapping[str, object], columns: Columns, gold: bool) -> Spans:
        """Fields ``words`` or ``text``, and ``spans`` or columns of tags, one a level; to predict for, no spans."""
        words, spans, text = (columns.get(name, name) for name in self.columns)
        read = words_of(place, row, words, text)
        if not gold:
            return Spans(read[0], (), *read[1:])
        tagged = spans not in row and (self.levels != TAGS or TAGS[0] in row)
        found = tagged_spans(place, row, self.levels, len(read[0])) if tagged else spans_of(place, row, spans, read)
        return Spans(read[0], found, *read[1:])

    def learn(self, train: Sequence[Located[Spans]], dev: Sequence[Located[Spans]]) -> Self:
        """The labels of the training examples, how long their spans are and whether they overlap."""
        for located in (*train, *dev):
            check_words(located)
        every = [span for located in train for span in located.example.spans]
        if not every:
            raise DataError(f"{train[0].place.rpartition(':')[0] or 'train'}: no span has a label: nothing to learn")
        labels = self.labels or (NONE, *sorted({span.label for span in every} - {NONE}))
        for located in (*train, *dev):
            for label, first, last in located.example.spans:
                self.check_label(located.place, f"the span of words {first} to {last}", label, labels)
        sizes = np.sort([span.last - span.first + 1 for span in every])
        longest = self.longest or int(sizes[math.ceil(SHARE * len(sizes)) - 1])
        decode = self.decode or decoding_of(located.example.spans for located in train)
        return replace(self, labels=labels, longest=longest, decode=decode)

    @classmethod
    def found(cls, model: "Network", labels: Mapping[str, tuple[str, ...]]) -> Self | None:
        head = model.heads[SPANS] if SPANS in model.heads else None
        if not isinstance(head, SpanHead) or not head.made.widths:  # which say how long a span is
            return None
        made = head.made
        return cls(labels[SPANS], made.hidden, made.ends, made.summary, longest=made.widths, decode="nested")

    def encode(self, examples: Sequence[Spans], tokenizer: Tokenizer, config: Config) -> SpanItems:
        assert self.longest is not None
        longest, numbers, unread = self.longest, self.numbers(), 0

        def ask(number: int, found: list[Window]) -> list[Asked]:
            nonlocal unread
            example = examples[number]
            every = enumerated(len(example.words), longest)
            labels = self._gold(example, numbers)
            parts = owned(every, found)
            unread += sum(map(len, parts)) < len(every)
            return [Asked(every[part], labels[part]) for part in parts]

        texts = [example.words for example in examples]
        items = encode_windows(texts, ask, tokenizer, self.window(config), config.characters, self._notes(examples))
        if not unread:
            return items
        return replace(items, notes=(*items.notes, f"{unread} texts have spans that do not fit into a window"))

    def _gold(self, example: Spans, numbers: Mapping[str, int]) -> np.ndarray:
        """(N,) the labels of all spans; of two labels of one span the first."""
        count, longest = len(example.words), self.longest or 0
        labels = np.zeros(len(enumerated(count, longest)), np.int32)
        for label, first, last in reversed(example.spans):
            more = last - first
            if more < longest:  # the place in what is enumerated: all narrower ones come before
                labels[more * count - more * (more - 1) // 2 + first] = numbers.get(label, 0)
        return labels

    def _notes(self, examples: Sequence[Spans]) -> list[str]:
        spans = [span for example in examples for span in example.spans]
        long = sum(span.last - span.first >= (self.longest or 0) for span in spans)
        twice = len(spans) - sum(len({span[1:] for span in example.spans}) for example in examples)
        notes = []
        if long:
            notes.append(f"{long} of {len(spans)} spans are longer than longest = {self.longest} words and not found")
        if twice:
            notes.append(f"{twice} of {len(spans)} spans have a second label, which is not learnt: a span has one")
        return notes

    def predictions(
        self, examples: Sequence[Spans], items: SpanItems, answers: Sequence[np.ndarray]
    ) -> list[SpanLabels]:
        parts: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in examples]
        for number, row, answer in zip(items.examples, items.rows, answers, strict=True):
            parts[number].append((row.spans + row.offset, answer))
        said = []
        for example, each in zip(examples, parts, strict=True):
            asked, probabilities = (np.concatenate(whole) for whole in zip(*each, strict=True))
            said.append(self._decoded(example, asked, probabilities))
        return said

    def _decoded(self, example: Spans, asked: np.ndarray, probabilities: np.ndarray) -> SpanLabels:
        best = probabilities.argmax(1)
        some = np.flatnonzero(best)
        some = some[np.lexsort((-asked[some, 1], asked[some, 0]))]  # in the order of the text, the outer first
        spans = [Span(self.labels[best[n]], int(asked[n, 0]), int(asked[n, 1])) for n in some]
        chances = probabilities[some, best[some]]
        kept = chosen(spans, chances, self.decode or "nested")
        return SpanLabels(
            example, tuple(spans[n] for n in kept), tuple(float(chances[n]) for n in kept), asked, probabilities
        )

    def score(self, predicted: Sequence[SpanLabels], examples: Sequence[Spans]) -> dict[str, float]:
        """Precision, recall and F1 of (label, first, last); and minus the mean log of the probabilities of what is true
        of every span."""
        scores = span_scores([example.spans for example in examples], [each.found for each in predicted])
        numbers = self.numbers()
        gold = [self._gold_of(each, example, numbers) for each, example in zip(predicted, examples, strict=True)]
        return {**scores, "loss": mean_loss(predicted, gold)}

    def _gold_of(self, each: SpanLabels, example: Spans, numbers: Mapping[str, int]) -> np.ndarray:
        """(N,) the true labels of what was asked, which a text read in windows has in another order."""
        labels = self._gold(example, numbers)
        more, count = each.asked[:, 1] - each.asked[:, 0], len(example.words)
        return labels[more * count - more * (more - 1) // 2 + each.asked[:, 0]]

    def outcomes(self, predicted: Sequence[SpanLabels], examples: Sequence[Spans]) -> list[Outcome]:
        """One for each span that has a label or was given one; the many others are left out."""
        outcomes: list[Outcome] = []
        for each, example in zip(predicted, examples, strict=True):
            outcomes += outcomes_of(each, example.spans, self.labels, partial(_words, example))
        return outcomes

    def settled(self, predicted: Sequence[SpanLabels], examples: Sequence[Spans]) -> Self:
        return self


def _words(example: Spans, first: int, last: int) -> str:
    return " ".join(example.words[first : last + 1])
