"""A language model of a few hundred parameters, with dropout, a stack, biases and norms, and its keyed data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.randomness import Draws
from trivium.training.settings import TrainingSettings
from trivium.training.trainer import Trainer

VOCABULARY, WIDTH, LENGTH, ROWS = 23, 8, 6, 4


class Toy(nn.Module):
    def __init__(self, seed: int = 0, dropout: float = 0.1) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCABULARY, WIDTH)
        self.layers = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(2))
        self.norm = nn.LayerNorm(WIDTH)
        self.output = nn.Linear(WIDTH, VOCABULARY)
        self.dropout = dropout
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                around = 1.0 if parameter is self.norm.weight else 0.0
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3 + around)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        for layer in self.layers:
            x = x + F.dropout(torch.tanh(layer(x)), self.dropout, self.training)
        return self.output(self.norm(x))


@dataclass(frozen=True)
class ToyBatch:
    ids: Tensor  # (B, T)
    keep: Tensor  # (B, T - 1) bool: which positions are targets
    draws: Sequence[int]
    weights: Mapping[str, float] = field(default_factory=dict)
    watched: Sequence[str] = ()  # losses beside the model's, of as many targets

    @property
    def counts(self) -> dict[str, int]:
        return dict.fromkeys(("next", *self.watched), int(self.keep.sum()))

    @property
    def tokens(self) -> int:
        return self.ids.numel()

    def to(self, device: torch.device | str) -> Self:
        return type(self)(self.ids.to(device), self.keep.to(device), self.draws)


@dataclass(frozen=True)
class ToyLoss:
    total: Tensor
    count: int


def loss(model: nn.Module, batch: ToyBatch) -> Mapping[str, ToyLoss]:
    logits = model(batch.ids)[:, :-1][batch.keep]
    total = F.cross_entropy(
        logits.to(torch.promote_types(logits.dtype, torch.float32)), batch.ids[:, 1:][batch.keep], reduction="sum"
    )
    return {"next": ToyLoss(total, batch.counts["next"])}


def feed(step: int, micro: int = 1, seed: int = 5) -> list[ToyBatch]:
    """The rows of a step in ``micro`` parts with unequal numbers of targets."""
    numbers = np.arange(step * ROWS, (step + 1) * ROWS)
    draws = Draws(seed, numbers)
    ids = torch.from_numpy(draws.integers("ids", LENGTH, VOCABULARY) // (1 + draws.integers("easy", LENGTH, 3)))
    keep = torch.from_numpy(draws.uniform("keep", LENGTH - 1) < 0.7)
    parts = zip(ids.chunk(micro), keep.chunk(micro), np.array_split(numbers, micro), strict=True)
    return [ToyBatch(i, k, n.tolist()) for i, k, n in parts]


def trainer(steps: int = 20, micro: int = 1, dropout: float = 0.1, **changes: object) -> Trainer[Toy, ToyBatch]:
    fixed = {"precision": "float32", "device": "cpu", "log_every": 3, "checkpoint_every": 4}
    settings = TrainingSettings(steps=steps, **{**fixed, **changes})  # type: ignore[arg-type]
    return Trainer(Toy(dropout=dropout), loss, lambda step: feed(step, micro), settings, steps=steps)


def weights(of: Trainer[Toy, ToyBatch]) -> dict[str, Tensor]:
    """Copies of the masters."""
    return {name: tensor.detach().clone() for name, tensor in of.state_dict()[0].items()}
