"""A number for a text or a pair: y = w h, learnt by the mean square error, as of ``transformers`` with its problem_type
"regression" (STS-B in Devlin et al. 2019). Numbers are learnt as they are, without being scaled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
from torch import Tensor

from trivium.errors import DataError
from trivium.metrics import regression
from trivium.objectives import Batch
from trivium.tasks.encoding import Encoded
from trivium.tasks.task import Outcome
from trivium.tasks.texts import TextTask, averaged, check_texts, read_texts, shown
from trivium.text.examples import Located, Rated
from trivium.text.fields import Columns, number_of

if TYPE_CHECKING:
    from trivium.transformer import Network


@dataclass(frozen=True)
class Estimated:
    """The number that is said."""

    value: float

    def row(self) -> dict[str, object]:
        """To six digits."""
        return {"label": round(self.value, 6)}


@dataclass(frozen=True)
class Regression(TextTask):
    """``metric``: the score by which weights are chosen; "correlation" is the mean of the other two, GLUE's."""

    columns: ClassVar[tuple[str, ...]] = ("text", "text2", "label")
    problem: ClassVar[str] = "regression"

    metric: Literal["pearson", "spearman", "correlation"] = "pearson"

    @property
    def main(self) -> str:
        return self.metric

    @property
    def outputs(self) -> int:
        return 1

    def example(self, place: str, row: Mapping[str, object], columns: Columns, gold: bool) -> Rated:
        """Fields ``text`` and ``label``, a number; for pairs also ``text2``."""
        label = columns.get("label", "label")
        first, second = read_texts(place, row, columns, label)
        return Rated(first, second, number_of(place, row, label) if gold or label in row else None)

    def learn(self, train: Sequence[Located[Rated]], dev: Sequence[Located[Rated]]) -> Self:
        """Refuses numbers that are missing or not finite, and training examples that all have the same."""
        check_texts(train, dev, self.symmetric)
        for located in (*train, *dev):
            value = located.example.value
            if value is None or not np.isfinite(value):
                raise DataError(f"{located.place}: the label is {value}: a finite number is wanted")
        if len({located.example.value for located in train}) == 1:
            raise DataError(
                f"{train[0].place.rpartition(':')[0] or 'train'}: all {len(train)} examples have the label "
                f"{train[0].example.value}: nothing can be learned from one number"
            )
        return self

    @classmethod
    def found(cls, model: "Network", labels: Mapping[str, tuple[str, ...]]) -> Self | None:
        """A head with one score; ``transformers`` takes it for a regression, too, where nothing else is said."""
        shows = cls.settings_of(model, 1)
        return None if shows is None else cls(**shows)

    def targets(self, examples: Sequence[Rated]) -> np.ndarray:
        """(E,) float32; 0 where it is not known."""
        return np.array([example.value or 0.0 for example in examples], np.float32)

    def total(self, scores: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        return (scores[:, 0] - targets[self.name]).square().sum()

    def answers(self, model: "Network", batch: Batch) -> list[np.ndarray]:
        """(1,) float32 each."""
        return list(self.scores(model, batch).detach().cpu().numpy())

    def predictions(self, examples: Sequence[Rated], items: Encoded, answers: Sequence[np.ndarray]) -> list[Estimated]:
        return [Estimated(float(row[0])) for row in averaged(items, answers, len(examples))]

    def score(self, predicted: Sequence[Estimated], examples: Sequence[Rated]) -> dict[str, float]:
        """Pearson's and Spearman's correlation, their mean, and the mean square error."""
        gold = [example.value or 0.0 for example in examples]
        scores = regression(gold, [each.value for each in predicted])
        return {**scores, "loss": scores["mse"]}

    def outcomes(self, predicted: Sequence[Estimated], examples: Sequence[Rated]) -> list[Outcome]:
        """The loss is half the square of the error: minus the log of a normal density, but for a constant."""
        found = []
        for each, example in zip(predicted, examples, strict=True):
            gold = example.value or 0.0
            found.append(Outcome(shown(example), f"{gold:g}", f"{each.value:.4g}", (each.value - gold) ** 2 / 2))
        return found

    def settled(self, predicted: Sequence[Estimated], examples: Sequence[Rated]) -> Self:
        return self
