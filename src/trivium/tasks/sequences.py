"""One label for a text or a pair of texts: y = softmax(W h), with h a summary of the text (Devlin et al. 2019, 4.1).

How texts are read and summed up stands in ``texts.py``; several labels at once in ``multi_label.py``, a number in
``regression.py``.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from trivium.errors import DataError, SettingsError
from trivium.metrics import classification
from trivium.objectives import Batch
from trivium.tasks.class_weights import ClassWeights, check_weights, learnt_weights, weight_vector
from trivium.tasks.encoding import Encoded
from trivium.tasks.task import Outcome
from trivium.tasks.texts import TextTask, averaged, check_texts, read_texts, shown
from trivium.text.examples import Labelled, Located, Pair
from trivium.text.fields import Columns, label_of

if TYPE_CHECKING:
    from trivium.transformer import Network

Example = Labelled | Pair


@dataclass(frozen=True)
class Classified:
    """The most probable label, and the probability of each."""

    label: str
    probabilities: dict[str, float]

    def row(self) -> dict[str, object]:
        """Probabilities to six digits, the most probable label first."""
        ordered = sorted(self.probabilities.items(), key=lambda item: -item[1])
        return {"label": self.label, "probabilities": {label: round(p, 6) for label, p in ordered}}


@dataclass(frozen=True)
class SequenceClassification(TextTask):
    """``labels`` in the order of the head's rows. ``class_weights``: how much an example counts in training, by its
    label, 1 where none is said; "balanced": so much that every label counts the same in all. ``metric``: the score by
    which weights are chosen."""

    columns: ClassVar[tuple[str, ...]] = ("text", "text2", "label")

    labels: tuple[str, ...] = ()  # empty: those of the training examples
    class_weights: ClassWeights = None
    metric: Literal["accuracy", "macro_f1", "matthews"] = "accuracy"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.labels) == 1:
            raise SettingsError(f"there is only one class ({', '.join(self.labels)}): nothing can be learned")
        check_weights(self.class_weights)

    @property
    def main(self) -> str:
        return self.metric

    @property
    def outputs(self) -> int:
        return len(self.labels)

    def example(self, place: str, row: Mapping[str, object], columns: Columns, gold: bool) -> Example:
        """Fields ``text`` and ``label``, for pairs also ``text2``."""
        label = columns.get("label", "label")
        first, second = read_texts(place, row, columns, label)
        name = label_of(place, row, label) if gold or label in row else ""
        return Labelled(first, name) if second is None else Pair(first, second, name)

    def learn(self, train: Sequence[Located[Example]], dev: Sequence[Located[Example]]) -> Self:
        """The labels of the training examples, sorted (numbers by value); every label of dev must be among them."""
        labels = self.labels or in_order({located.example.label for located in train})
        if len(labels) < 2:
            raise DataError(
                f"{train[0].place.rpartition(':')[0] or 'train'}: all {len(train)} examples have the label "
                f"{labels[0]!r}: a classifier needs at least two classes in the label field"
            )
        check_texts(train, dev, self.symmetric)
        for located in (*train, *dev):
            check_label(located.place, located.example.label, labels)
        counts = Counter(located.example.label for located in train)
        return replace(self, labels=labels, class_weights=learnt_weights(self.class_weights, labels, counts))

    @classmethod
    def found(cls, model: "Network", labels: Mapping[str, tuple[str, ...]]) -> Self | None:
        """A head with two labels or more, unless its folder says that it is another task's (``problem_type``)."""
        named = labels.get(cls.name, ())
        shows = cls.settings_of(model, len(named)) if len(named) > 1 else None
        return None if shows is None else cls(named, **shows)

    def targets(self, examples: Sequence[Example]) -> np.ndarray:
        """(E,) label numbers; -1: not known."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        return np.array([numbers.get(example.label, -1) for example in examples], np.int64)

    def total(self, scores: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        weights = weight_vector(self.class_weights, self.labels, scores)
        return F.cross_entropy(scores, targets[self.name], weights, reduction="sum")

    def answers(self, model: "Network", batch: Batch) -> list[np.ndarray]:
        """(labels,) float32 probabilities each."""
        return list(self.scores(model, batch).softmax(-1).detach().cpu().numpy())

    def predictions(
        self, examples: Sequence[Example], items: Encoded, answers: Sequence[np.ndarray]
    ) -> list[Classified]:
        return [
            Classified(self.labels[row.argmax()], dict(zip(self.labels, row.tolist(), strict=True)))
            for row in averaged(items, answers, len(examples))
        ]

    def score(self, predicted: Sequence[Classified], examples: Sequence[Example]) -> dict[str, float]:
        """Accuracy, F1 and Matthews correlation against the true labels, and the mean cross-entropy in nats."""
        gold = [example.label for example in examples]
        loss = float(np.mean([_surprise(each, label) for each, label in zip(predicted, gold, strict=True)]))
        return {**classification(gold, [each.label for each in predicted]), "loss": loss}

    def outcomes(self, predicted: Sequence[Classified], examples: Sequence[Example]) -> list[Outcome]:
        return [
            Outcome(shown(example), example.label, each.label, _surprise(each, example.label))
            for each, example in zip(predicted, examples, strict=True)
        ]

    def settled(self, predicted: Sequence[Classified], examples: Sequence[Example]) -> Self:
        return self


def check_label(place: str, label: str, labels: Sequence[str]) -> None:
    """Refuses a label that nothing was learnt of."""
    if label not in labels:
        raise DataError(
            f"{place}: {label!r} in the label field does not occur in the training examples, whose labels are "
            f"{', '.join(labels[:20])}: correct it, or add examples of it to train"
        )


def in_order(labels: set[str]) -> tuple[str, ...]:
    """Numbers by value, then words."""
    return tuple(sorted(labels, key=_by_value))


def _surprise(predicted: Classified, label: str) -> float:
    """Minus the log of the true label's probability."""
    return -math.log(max(predicted.probabilities.get(label, 0.0), 1e-30))


def _by_value(label: str) -> tuple[bool, int, str]:
    number = label.lstrip("-").isdecimal()
    return (not number, int(label) if number else 0, label)
