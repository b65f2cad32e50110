"""What every task is: an objective for its own examples that also predicts, in the user's units, and scores itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
from torch import nn

from trivium.objectives import Batch, Loss
from trivium.text.examples import Labelled, Pair
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config

if TYPE_CHECKING:
    from trivium.transformer import Network

Encoded = TypeVar("Encoded")


@dataclass(frozen=True)
class Prediction:
    """The most probable label, and the probability of each."""

    label: str
    probabilities: dict[str, float]


class Task(Protocol[Encoded]):
    """Frozen dataclasses, as objectives are; examples are encoded once and batched by their numbers."""

    def configure(self, config: Config) -> Config: ...

    def heads(self, config: Config) -> dict[str, nn.Module]: ...

    def encode(
        self, examples: Sequence[Labelled | Pair], tokenizer: Tokenizer, config: Config
    ) -> Encoded: ...

    def batch(self, encoded: Encoded, numbers: np.ndarray) -> Batch: ...

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]: ...

    def predict(self, model: "Network", batch: Batch) -> list[Prediction]: ...

    def score(self, predicted: Sequence[Prediction], gold: Sequence[str]) -> dict[str, float]: ...
