"""Any number of labels for a text or a pair: p = sigmoid(W h), and a label is said where its p passes its threshold.

The loss is the binary cross-entropy, the mean over labels, as of ``transformers`` with its problem_type
"multi_label_classification". Thresholds are 0.5, or what gives each label the best F1 on dev.
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
from trivium.metrics import multi_label
from trivium.objectives import Batch
from trivium.tasks.class_weights import ClassWeights, check_weights, learnt_weights, weight_vector
from trivium.tasks.encoding import Encoded
from trivium.tasks.sequences import check_label, in_order
from trivium.tasks.task import Outcome
from trivium.tasks.texts import TextTask, averaged, check_texts, read_texts, shown
from trivium.text.examples import Located, MultiLabelled
from trivium.text.fields import Columns, labels_of

if TYPE_CHECKING:
    from trivium.transformer import Network

HALF = 0.5


@dataclass(frozen=True)
class LabelSet:
    """The labels that are said, and the probability of each."""

    labels: tuple[str, ...]
    probabilities: dict[str, float]

    def row(self) -> dict[str, object]:
        """Probabilities to six digits, the most probable label first."""
        ordered = sorted(self.probabilities.items(), key=lambda item: -item[1])
        return {"labels": list(self.labels), "probabilities": {label: round(p, 6) for label, p in ordered}}


@dataclass(frozen=True)
class MultiLabel(TextTask):
    """``labels`` in the order of the head's rows. ``decide`` "half": a label is said from a probability of 0.5 on;
    "dev": from the threshold that gives it the best F1 on dev. ``thresholds``: of each label; empty: 0.5.
    ``class_weights``: how much it counts in training that a label is true, 1 where none is said; "balanced": so much
    that each label counts as much where it is true as where it is not."""

    columns: ClassVar[tuple[str, ...]] = ("text", "text2", "labels")
    problem: ClassVar[str] = "multi_label_classification"

    labels: tuple[str, ...] = ()  # empty: those of the training examples
    metric: Literal["micro_f1", "macro_f1", "accuracy"] = "micro_f1"
    decide: Literal["half", "dev"] = "half"
    thresholds: tuple[float, ...] = ()
    class_weights: ClassWeights = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.thresholds and self.labels and len(self.thresholds) != len(self.labels):
            raise SettingsError(f"{len(self.thresholds)} thresholds for {len(self.labels)} labels: give one for each")
        if not all(0 <= each <= 1 for each in self.thresholds):
            raise SettingsError(f"thresholds = {list(self.thresholds)}: each must be between 0 and 1")
        check_weights(self.class_weights)

    @property
    def main(self) -> str:
        return self.metric

    @property
    def outputs(self) -> int:
        return len(self.labels)

    def example(self, place: str, row: Mapping[str, object], columns: Columns, gold: bool) -> MultiLabelled:
        """Fields ``text`` and ``labels``, for pairs also ``text2``."""
        labels = columns.get("labels", "labels")
        known = gold or labels in row
        first, second = read_texts(place, row, columns, labels)
        return MultiLabelled(first, second, labels_of(place, row, labels) if known else None)

    def learn(self, train: Sequence[Located[MultiLabelled]], dev: Sequence[Located[MultiLabelled]]) -> Self:
        """The labels of the training examples, sorted (numbers by value); every label of dev must be among them."""
        labels = self.labels or in_order({label for located in train for label in located.example.labels or ()})
        if not labels:
            raise DataError(f"{train[0].place.rpartition(':')[0] or 'train'}: no example has a label in its list")
        check_texts(train, dev, self.symmetric)
        for located in (*train, *dev):
            if located.example.labels is None:
                raise DataError(f"{located.place}: the labels are missing: give a list, which may be empty")
            for label in located.example.labels:
                check_label(located.place, label, labels)
        if self.class_weights == "balanced":
            counts = Counter(label for located in train for label in set(located.example.labels or ()))
            weights = {label: (len(train) - n) / n for label, n in counts.items() if n < len(train)}
        else:
            weights = learnt_weights(self.class_weights, labels, {}) or {}
        return replace(self, labels=labels, class_weights=weights or None)

    @classmethod
    def found(cls, model: "Network", labels: Mapping[str, tuple[str, ...]]) -> Self | None:
        """A head for labels of texts, whose folder says that there may be several (``problem_type``)."""
        named = labels.get(cls.name, ())
        shows = cls.settings_of(model, len(named)) if named else None
        return None if shows is None else cls(named, **shows)

    def targets(self, examples: Sequence[MultiLabelled]) -> np.ndarray:
        """(E, K) float32: 1 where a label is true."""
        numbers = {label: number for number, label in enumerate(self.labels)}
        true = np.zeros((len(examples), len(self.labels)), np.float32)
        for row, example in enumerate(examples):
            true[row, [numbers[label] for label in example.labels or () if label in numbers]] = 1
        return true

    def total(self, scores: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        weights = weight_vector(self.class_weights, self.labels, scores)
        costs = F.binary_cross_entropy_with_logits(scores, targets[self.name], reduction="none", pos_weight=weights)
        return costs.mean(1).sum()

    def answers(self, model: "Network", batch: Batch) -> list[np.ndarray]:
        """(labels,) float32 probabilities each."""
        return list(self.scores(model, batch).sigmoid().detach().cpu().numpy())

    def predictions(
        self, examples: Sequence[MultiLabelled], items: Encoded, answers: Sequence[np.ndarray]
    ) -> list[LabelSet]:
        chances = averaged(items, answers, len(examples)).astype(float)
        return [self._said(dict(zip(self.labels, row, strict=True))) for row in chances.tolist()]

    def _said(self, chances: Mapping[str, float]) -> LabelSet:
        least = dict(zip(self.labels, self.thresholds or [HALF] * len(self.labels), strict=True))
        return LabelSet(tuple(label for label, p in chances.items() if p >= least[label]), dict(chances))

    def score(self, predicted: Sequence[LabelSet], examples: Sequence[MultiLabelled]) -> dict[str, float]:
        """The share of sets that are right as a whole, F1 over all decisions and the mean over labels, and the mean
        loss of a decision in nats. Decisions are those of this task's thresholds."""
        gold = [example.labels or () for example in examples]
        losses = [outcome.loss for outcome in self.outcomes(predicted, examples)]
        said = [self._said(each.probabilities).labels for each in predicted]
        return {**multi_label(gold, said), "loss": float(np.mean(losses))}

    def outcomes(self, predicted: Sequence[LabelSet], examples: Sequence[MultiLabelled]) -> list[Outcome]:
        """One for each label of each example: that it is true, or that it is not."""
        found = []
        for each, example in zip(predicted, examples, strict=True):
            text, gold = shown(example), set(example.labels or ())
            said = set(self._said(each.probabilities).labels)
            for label, chance in each.probabilities.items():
                loss = -math.log(max(chance if label in gold else 1 - chance, 1e-30))
                words = (label, f"not {label}")
                found.append(Outcome(text, words[label not in gold], words[label not in said], loss))
        return found

    def settled(self, predicted: Sequence[LabelSet], examples: Sequence[MultiLabelled]) -> Self:
        """With ``decide`` "dev" the thresholds of the best F1 there; 0.5 for a label that dev does not have."""
        if self.decide != "dev" or not examples:
            return self
        best = []
        for label in self.labels:
            chances = np.array([each.probabilities[label] for each in predicted])
            best.append(best_f1_threshold(chances, np.array([label in (e.labels or ()) for e in examples])))
        return replace(self, thresholds=tuple(best))


def best_f1_threshold(chances: np.ndarray, true: np.ndarray) -> float:
    """(N,) probabilities and (N,) bool: from which probability on a label is said for the best F1. Of thresholds that
    are equally good the one nearest to 0.5; it lies in the middle between two probabilities."""
    if not true.any():
        return HALF
    values = np.unique(chances)
    between = np.concatenate(([0.0], (values[:-1] + values[1:]) / 2, [1.0], [HALF]))
    ordered, rights = np.argsort(chances, kind="stable"), int(true.sum())
    below = np.searchsorted(chances[ordered], between, side="left")  # how many are not said
    missed = np.concatenate(([0], np.cumsum(true[ordered])))[below]
    hits, said = rights - missed, len(chances) - below
    f1 = 2 * hits / (said + rights)
    good = between[f1 >= f1.max() - 1e-12]
    return float(good[np.argmin(np.abs(good - HALF))])
