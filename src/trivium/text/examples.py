"""What one example is before it is tokenised: plain text in frozen dataclasses, one for each kind of task."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from trivium.errors import DataError
from trivium.randomness import Draws

Example = TypeVar("Example")


@dataclass(frozen=True)
class Located(Generic[Example]):
    """An example and where it stands: ``reviews.csv:17``."""

    example: Example
    place: str


@dataclass(frozen=True)
class Document:
    """A text to learn from, and the name that tells where it came from."""

    text: str
    name: str


@dataclass(frozen=True)
class Labelled:
    """A text and the class it belongs to."""

    text: str
    label: str


@dataclass(frozen=True)
class Pair:
    """Two texts and what is true of the two together."""

    first: str
    second: str
    label: str


@dataclass(frozen=True)
class Rated:
    """A text, or two, and a number that is true of them; None where it is not known."""

    first: str
    second: str | None
    value: float | None


@dataclass(frozen=True)
class MultiLabelled:
    """A text, or two, and every label that is true of them, perhaps none; None where they are not known."""

    first: str
    second: str | None
    labels: tuple[str, ...] | None


@dataclass(frozen=True)
class Choices:
    """A context, a question or both, what may be chosen, and the number of the right one from 0; None where it is not
    known."""

    context: str
    question: str
    options: tuple[str, ...]
    label: int | None


@dataclass(frozen=True)
class Tagged:
    """A sentence's words and a tag for each; none where they are not known. ``spans``: the characters of ``text`` that
    each word is, where the words were cut out of a text."""

    words: tuple[str, ...]
    tags: tuple[str, ...] = ()
    text: str = ""
    spans: tuple[tuple[int, int], ...] = ()


class Span(NamedTuple):
    """A stretch of words: numbers of the first and the last one, both inside. Metrics compare these triples."""

    label: str
    first: int
    last: int


@dataclass(frozen=True)
class Spans:
    """A text's words and labelled stretches of them, which may overlap and lie inside each other. ``places``: the
    characters of ``text`` that each word is, where the words were cut out of a text."""

    words: tuple[str, ...]
    spans: tuple[Span, ...] = ()
    text: str = ""
    places: tuple[tuple[int, int], ...] = ()


class Relation(NamedTuple):
    """What one span of a text is to another: their numbers among its spans."""

    label: str
    head: int
    tail: int


@dataclass(frozen=True)
class Related:
    """A text with spans that are given and what is true of pairs of them; of pairs that are not listed nothing is."""

    words: tuple[str, ...]
    spans: tuple[Span, ...]  # their labels are not read
    relations: tuple[Relation, ...] = ()
    text: str = ""
    places: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Answer:
    """An answer as it stands in a passage, whose character ``start`` is its first."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """One behind the last character."""
        return self.start + len(self.text)


@dataclass(frozen=True)
class Question:
    """A question about a passage, and the answers that people marked there; none where there is none, or none known."""

    question: str
    context: str
    answers: tuple[Answer, ...] = ()
    id: str = ""


@dataclass(frozen=True)
class Rewrite:
    """A text and the text it is to be turned into. ``others``: further texts that would be as right; ``key``: what else
    it takes to score it, such as the question that several examples belong to."""

    source: str
    target: str
    others: tuple[str, ...] = ()
    key: str = ""


def few(examples: Sequence[Labelled], per_class: int, seed: int) -> list[Labelled]:
    """``per_class`` examples of each label, mixed: a draw that depends on the seed and the examples' order alone.

    A smaller draw with the same seed is contained in a larger one, so that learning curves compare like with like.
    """
    order = np.argsort(Draws(seed, np.arange(len(examples))).bits("few labels", 1)[:, 0], kind="stable")
    left = dict.fromkeys((example.label for example in examples), per_class)
    drawn = []
    for index in order:
        example = examples[int(index)]
        if left[example.label]:
            left[example.label] -= 1
            drawn.append(example)
    short = {label: per_class - count for label, count in left.items() if count}
    if short:
        label, missing = max(short.items(), key=lambda item: item[1])
        raise DataError(
            f"{per_class} examples of each class were asked for, but the class {label!r} has {per_class - missing}: "
            "ask for fewer or give more data"
        )
    return drawn
