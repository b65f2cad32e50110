"""What every task is: an objective for its own examples that also predicts, in the user's units, and scores itself.

A row of a file becomes an example, an example one or several items (windows of a long text, say), items share a batch,
the model answers each item, and answers become predictions, one for each example.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar, runtime_checkable

import numpy as np
from torch import nn

from trivium.families.family import Head
from trivium.families.generation_config import GenerationConfig
from trivium.objectives import Batch, Loss
from trivium.text.examples import Located
from trivium.text.fields import Columns
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config

if TYPE_CHECKING:
    from trivium.transformer import Network


class Prediction(Protocol):
    """What a task says of one example."""

    def row(self) -> dict[str, object]:
        """As fields of a line of JSON."""
        ...


@dataclass(frozen=True)
class Outcome:
    """One decision beside the truth, for tables of what is taken for what and for lists of the worst errors."""

    text: str  # what was decided about, shortened where it is long
    gold: str
    said: str
    loss: float  # minus the log of the true decision's probability, in nats


class Items(Protocol):
    """Examples as ids, ready to be batched. What else the user should know of them may stand in ``notes``, a tuple of
    sentences."""

    @property
    def lengths(self) -> np.ndarray:
        """(N,) int64: tokens of each item."""
        ...

    @property
    def truncated(self) -> int:
        """How many examples were cut, so that something of them is never seen."""
        ...

    def __len__(self) -> int: ...


Example = TypeVar("Example")
AnyItems = TypeVar("AnyItems", bound=Items)


class Task(Protocol[Example, AnyItems]):
    """Frozen dataclasses, as objectives are: the fields are the settings and, once ``learn`` was called, what the
    training examples say about the task, such as its labels."""

    columns: ClassVar[tuple[str, ...]]  # the fields of a row that it reads, by their usual names

    @property
    def main(self) -> str:
        """The score by which weights are chosen; higher is better."""
        ...

    def example(self, place: str, row: Mapping[str, object], columns: Columns, gold: bool) -> Example:
        """A row of a file; ``gold``: what is to be predicted must be in it, else it is taken where it is. A plain line
        of text comes as the field ``text``."""
        ...

    def learn(self, train: Sequence[Located[Example]], dev: Sequence[Located[Example]]) -> Self:
        """The task with what the examples say about it; raises ``DataError`` where they do not fit."""
        ...

    @classmethod
    def found(cls, model: "Network", labels: Mapping[str, tuple[str, ...]]) -> "Self | None":
        """The task of a model that was fine-tuned elsewhere, seen from its heads and the names of their labels; None
        where it is another's."""
        ...

    def configure(self, config: Config, published: Mapping[str, Head]) -> Config:
        """Of the body below the heads. ``published``: what the classes of the model's family have on top, by name."""
        ...

    def heads(self, config: Config, published: Mapping[str, Head]) -> dict[str, nn.Module]:
        """New ones, for a body that was configured."""
        ...

    def layout(self, tokenizer: Tokenizer, config: Config) -> Tokenizer:
        """The tokenizer with the control tokens that belong around a text; they are saved with the model."""
        ...

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer, config: Config) -> AnyItems: ...

    def batch(self, items: AnyItems, numbers: np.ndarray) -> Batch: ...

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]: ...

    def answers(self, model: "Network", batch: Batch) -> list[Any]:
        """What the model says of each item of the batch; nothing that lives on a device."""
        ...

    def predictions(self, examples: Sequence[Example], items: AnyItems, answers: Sequence[Any]) -> list[Any]:
        """A ``Prediction`` for each example, from the answers to all items in their order."""
        ...

    def score(self, predicted: Sequence[Any], examples: Sequence[Example]) -> dict[str, float]:
        """Against the gold of the examples; "loss", where it is among the scores, decides between equal ones."""
        ...

    def outcomes(self, predicted: Sequence[Any], examples: Sequence[Example]) -> list[Outcome]:
        """Every decision, in order: one an example, or several, such as one for each word."""
        ...

    def settled(self, predicted: Sequence[Any], examples: Sequence[Example]) -> Self:
        """The task with what is best decided by dev once the weights are, such as a threshold."""
        ...


@runtime_checkable
class Writer(Protocol):
    """What a task has, too, that answers with texts of the model's own vocabulary."""

    def answers_in_steps(self, model: "Network", batch: Batch) -> Generator[None, None, list[Any]]:
        """``answers`` for a caller who has other work between two tokens; without gradients."""
        ...

    def hurried(self) -> Task[Any, Any]:
        """The same where weights still learn: writing costs more than learning, so a part of dev is written."""
        ...

    def generation(self, tokenizer: Tokenizer, config: Config) -> GenerationConfig:
        """How it writes, for the model's folder."""
        ...
