"""What every objective is: a way to cut text, to make a batch of it, and a loss that is a sum with a count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol, Self

import torch
from torch import Tensor, nn

from trivium.randomness import Draws
from trivium.text.rows import Layout, Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config, Inputs

if TYPE_CHECKING:
    from trivium.transformer import Network


@dataclass(frozen=True)
class Batch:
    """One micro-batch, ready for the model. ``counts`` are known before the pass, so that sums over accumulated,
    packed or distributed parts are divided by the global number of targets."""

    inputs: Inputs
    targets: dict[str, Tensor]
    counts: dict[str, int]  # targets by name of loss
    tokens: int  # real (unpadded) input tokens, encoder and decoder, for budgets and rates
    draws: Sequence[int]  # which examples these are
    weights: Mapping[str, float] = field(default_factory=dict, kw_only=True)  # of losses in the step's, by name; else 1
    part: int = field(default=0, kw_only=True)  # of a mixture of objectives, the one that reads these rows
    scored: int | None = field(default=None, kw_only=True)  # places with scores over the vocabulary; None: all targets

    def to(self, device: torch.device | str) -> Self:
        moved = {name: t.to(device, non_blocking=True) for name, t in self.targets.items()}
        return replace(self, inputs=self.inputs.to(device), targets=moved)


@dataclass(frozen=True)
class Loss:
    """A sum over targets and how many there were; never a mean."""

    total: Tensor  # scalar float32
    count: int
    parts: Mapping[str, "Loss"] = field(default_factory=dict)  # what it is the sum of, for an evaluation to tell apart
    right: Tensor | None = None  # how many targets have the highest score (scalar), where they are labels, not text


class Objective(Protocol):
    """Frozen dataclasses: the fields are the settings, the recipe's ``[objective]`` table and the flags."""

    @property
    def kind(self) -> str: ...

    def layout(self, tokenizer: Tokenizer, length: int) -> Layout: ...

    def heads(self, config: Config) -> dict[str, nn.Module]: ...

    def batch(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        """Pure and vectorised: the same rows and draws give the same batch."""
        ...

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]: ...
