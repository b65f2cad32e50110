"""``trivium vectors classify``: a classifier of averaged word vectors, beside the majority class and a bag of words.

The bar that a neural network has to pass: each method is fitted on the training examples and chooses its settings on
the development examples; the score is that of the test examples, where there are some.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trivium.errors import DataError
from trivium.lab.baselines import (
    BaselineResult,
    averaged_vectors,
    bag_of_words,
    known_rows,
    majority,
    sklearn_module,
    split_words,
)
from trivium.metrics import Interval, classification, wilson
from trivium.tasks import SequenceClassification
from trivium.text.decoding import Errors
from trivium.text.examples import Labelled
from trivium.text.fields import Columns
from trivium.verbs.examples import read_examples
from trivium.verbs.vectors import Given, open_vectors

Examples = str | Path | Sequence[Labelled]


@dataclass(frozen=True)
class Rival:
    """A method's scores, with a 95% interval of the accuracy, and the settings it chose on the development examples."""

    name: str
    scores: dict[str, float]
    interval: Interval
    chosen: str


@dataclass(frozen=True)
class VectorsClassified:
    """The comparison. ``known``: the share of the words of the scored texts that have a vector."""

    rivals: list[Rival]
    labels: tuple[str, ...]
    train: int
    dev: int
    test: int  # 0: scored on dev, on which the settings were chosen too
    known: float


def classify_with_vectors(
    vectors: Given,
    train: Examples,
    dev: Examples,
    test: Examples | None = None,
    *,
    columns: Columns | None = None,
    limit: int | None = None,
    errors: Errors = "strict",
) -> VectorsClassified:
    """Fits and scores three classifiers without a network: .jsonl, .csv or .tsv files, or lists of examples."""
    sklearn_module("linear_model")  # said now and not after the files were read
    learnt, tuned = _examples(train, "train", columns), _examples(dev, "dev", columns)
    scored = tuned if test is None else _examples(test, "test", columns)
    labels = tuple(sorted({example.label for example in learnt}))
    if len(labels) < 2:
        raise DataError(
            f"all {len(learnt)} training examples have the label {labels[0]!r}: a classifier needs two labels"
        )
    opened = open_vectors(vectors, limit, errors)
    results = (
        majority(learnt, scored),
        bag_of_words(learnt, tuned, scored),
        averaged_vectors(opened, learnt, tuned, scored),
    )
    words = sum(len(split_words(example.text)) for example in scored)
    known = sum(len(known_rows(opened, example.text)) for example in scored)
    return VectorsClassified(
        [_rival(result, scored) for result in results],
        labels,
        len(learnt),
        len(tuned),
        0 if test is None else len(scored),
        known / words if words else 0.0,
    )


def _rival(result: BaselineResult, examples: Sequence[Labelled]) -> Rival:
    gold = [example.label for example in examples]
    right = sum(label == guess for label, guess in zip(gold, result.predicted, strict=True))
    return Rival(result.name, classification(gold, result.predicted), wilson(right, len(gold)), result.chosen)


def _examples(given: Examples, name: str, columns: Columns | None) -> list[Labelled]:
    """Pairs become one text."""
    found = [located.example for located in read_examples(SequenceClassification(), given, columns, name)]
    return [
        each if isinstance(each, Labelled) else Labelled(f"{each.first} {each.second}", each.label) for each in found
    ]
