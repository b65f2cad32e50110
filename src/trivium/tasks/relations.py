"""Labels of pairs of spans that are given: relations, coreference, arguments of predicates, arcs between words.

Every ordered pair of a text's spans is a decision, ``y = softmax(FFNN([head span; tail span]))`` over the labels and
"none"; a span's vector is that of ``tasks/spans.py``. A recipe gives the spans: mentions and "same" to the one before
for coreference, a predicate and its arguments for semantic roles, every word for dependencies, whose root is related to
itself. Pairs grow with the square of the spans.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np

from trivium.errors import DataError
from trivium.metrics import span_scores
from trivium.tasks.span_items import Asked, SpanItems, encode_windows, owned, words_of
from trivium.tasks.span_reading import NONE, SpanReading, check_words, described, mean_loss, outcomes_of
from trivium.tasks.task import Outcome
from trivium.tasks.word_pieces import Window
from trivium.text.examples import Located, Related, Relation
from trivium.text.fields import Columns
from trivium.text.span_fields import relations_of, spans_of
from trivium.tokenizers import Tokenizer
from trivium.transformer import RELATIONS, Config
from trivium.transformer.heads import SpanHead

if TYPE_CHECKING:
    from trivium.transformer import Network


@dataclass(frozen=True, eq=False)
class SpanPairs:
    """A text with the relations that were found in it and how probable each is; and all that was asked."""

    example: Related
    found: tuple[Relation, ...]
    chances: tuple[float, ...]
    asked: np.ndarray  # (P, 2) head and tail
    probabilities: np.ndarray  # (P, K)

    def row(self) -> dict[str, object]:
        """``relations`` between numbers of spans, with the words of both; the words where they were cut out of a
        text."""
        example = self.example
        words: dict[str, object] = {"words": list(example.words)} if example.places else {}
        relations = [
            {
                "label": label, "probability": round(chance, 6), "head": head, "tail": tail,
                "head_text": described(example, example.spans[head])["text"],
                "tail_text": described(example, example.spans[tail])["text"],
            }
            for (label, head, tail), chance in zip(self.found, self.chances, strict=True)
        ]  # fmt: skip
        return {**words, "relations": relations}


@dataclass(frozen=True)
class SpanRelations(SpanReading):
    """``loops``: a span may be related to itself."""

    columns: ClassVar[tuple[str, ...]] = ("words", "spans", "relations", "text")
    head: ClassVar[str] = RELATIONS

    loops: bool = False  # also where a training example has one

    def example(self, place: str, row: Mapping[str, object], columns: Columns, gold: bool) -> Related:
        """Fields ``words`` or ``text``, ``spans``, whose labels are not read, and ``relations``."""
        words, spans, relations, text = (columns.get(name, name) for name in self.columns)
        read = words_of(place, row, words, text)
        given = spans_of(place, row, spans, read, labelled=False)
        known = relations_of(place, row, relations, len(given)) if gold else ()
        return Related(read[0], given, known, *read[1:])

    def learn(self, train: Sequence[Located[Related]], dev: Sequence[Located[Related]]) -> Self:
        """The labels of the training examples."""
        every = [relation for located in train for relation in located.example.relations]
        for located in (*train, *dev):
            check_words(located)
        if not every:
            raise DataError(f"{train[0].place.rpartition(':')[0] or 'train'}: no pair has a label: nothing to learn")
        labels = self.labels or (NONE, *sorted({relation.label for relation in every} - {NONE}))
        loops = self.loops or any(relation.head == relation.tail for relation in every)
        for located in (*train, *dev):
            count = len(located.example.spans)
            for label, head, tail in located.example.relations:
                if not (0 <= head < count and 0 <= tail < count):
                    raise DataError(
                        f"{located.place}: a relation is between spans {head} and {tail} of {count}: correct it"
                    )
                if head == tail and not loops:
                    raise DataError(
                        f"{located.place}: span {head} is related to itself, as in no training example: correct it, or "
                        "set loops = true"
                    )
                self.check_label(located.place, f"the relation of span {head} to span {tail}", label, labels)
        return replace(self, labels=labels, loops=loops)

    @classmethod
    def found(cls, model: "Network", labels: Mapping[str, tuple[str, ...]]) -> Self | None:
        head = model.heads[RELATIONS] if RELATIONS in model.heads else None
        if not isinstance(head, SpanHead):
            return None
        return cls(labels[RELATIONS], head.made.hidden, head.made.ends, head.made.summary)

    def encode(self, examples: Sequence[Related], tokenizer: Tokenizer, config: Config) -> SpanItems:
        numbers, unread, pairs_of_all = self.numbers(), 0, 0

        def ask(number: int, found: list[Window]) -> list[Asked]:
            nonlocal unread, pairs_of_all
            example = examples[number]
            spans = np.array([span[1:] for span in example.spans], np.int64).reshape(-1, 2)
            pairs = self._pairs(len(spans))
            labels = self._gold(example, pairs, numbers)
            around = np.stack((spans[pairs, 0].min(1), spans[pairs, 1].max(1)), 1)
            parts = owned(around, found)
            unread += len(pairs) - sum(map(len, parts))
            pairs_of_all += len(pairs)
            asked = []
            for part in parts:
                used, places = np.unique(pairs[part], return_inverse=True)
                asked.append(Asked(spans[used], labels[part], places.reshape(-1, 2), pairs[part]))
            return asked

        texts = [example.words for example in examples]
        items = encode_windows(texts, ask, tokenizer, self.window(config), config.characters, ())
        if not unread:
            return items
        far = f"{unread} of {pairs_of_all} pairs are too far apart for one window and taken for {NONE!r}"
        return replace(items, notes=(*items.notes, far))

    def _pairs(self, spans: int) -> np.ndarray:
        """(P, 2) all ordered pairs."""
        head, tail = (each.ravel() for each in np.indices((spans, spans)))
        return np.stack((head, tail), 1)[self.loops | (head != tail)]

    def _gold(self, example: Related, pairs: np.ndarray, numbers: Mapping[str, int]) -> np.ndarray:
        """(P,) labels."""
        known = {(head, tail): numbers.get(label, 0) for label, head, tail in example.relations}
        table = np.zeros((len(example.spans), len(example.spans)), np.int32)
        for place, label in known.items():
            table[place] = label
        return table[pairs[:, 0], pairs[:, 1]]

    def predictions(
        self, examples: Sequence[Related], items: SpanItems, answers: Sequence[np.ndarray]
    ) -> list[SpanPairs]:
        kinds = len(self.labels)
        asked: list[list[np.ndarray]] = [[np.empty((0, 2), np.int64)] for _ in examples]
        said: list[list[np.ndarray]] = [[np.empty((0, kinds), np.float32)] for _ in examples]
        for number, row, answer in zip(items.examples, items.rows, answers, strict=True):
            assert row.asked is not None
            asked[number].append(row.asked)
            said[number].append(answer)
        found, whole = [], zip(examples, map(np.concatenate, asked), map(np.concatenate, said), strict=True)
        for example, pairs, chances in whole:
            best = chances.argmax(1)
            some = np.flatnonzero(best)
            some = some[np.lexsort((pairs[some, 1], pairs[some, 0]))]
            relations = tuple(Relation(self.labels[best[n]], *pairs[n].tolist()) for n in some)
            found.append(SpanPairs(example, relations, tuple(chances[some, best[some]].tolist()), pairs, chances))
        return found

    def score(self, predicted: Sequence[SpanPairs], examples: Sequence[Related]) -> dict[str, float]:
        """Precision, recall and F1 of (label, head, tail); and minus the mean log of the probabilities of what is true
        of every pair."""
        scores = span_scores([example.relations for example in examples], [each.found for each in predicted])
        numbers = self.numbers()
        gold = [self._gold(example, each.asked, numbers) for each, example in zip(predicted, examples, strict=True)]
        return {**scores, "loss": mean_loss(predicted, gold)}

    def outcomes(self, predicted: Sequence[SpanPairs], examples: Sequence[Related]) -> list[Outcome]:
        """One for each pair that has a label or was given one; the many others are left out."""
        outcomes: list[Outcome] = []
        for each, example in zip(predicted, examples, strict=True):
            outcomes += outcomes_of(each, example.relations, self.labels, partial(_words, example))
        return outcomes

    def settled(self, predicted: Sequence[SpanPairs], examples: Sequence[Related]) -> Self:
        return self


def _words(example: Related, head: int, tail: int) -> str:
    return " -> ".join(str(described(example, example.spans[number])["text"]) for number in (head, tail))
