"""Rows that follow a rule and rows that follow none, and a few seconds of training on either.

In a row that counts, each token is the one before it and a step on, a row's own; a model that is told a few tokens of
it knows the rest. Rows of noise tell nothing of each other: who costs less than chance on them has seen the answer.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from trivium.objectives.objective import Batch, Loss
from trivium.randomness import Draws
from trivium.text.rows import Rows

FIRST, SYMBOLS = 300, 11  # ids of the conftest's tokenizer that are plain text
CHANCE = math.log(SYMBOLS)


def counting(draws: np.ndarray, width: int, after: tuple[int, ...] = ()) -> Rows:
    """(B, width) rows that end in the control ids ``after``."""
    start = Draws(3, draws).integers("start", 1, SYMBOLS)
    step = 1 + Draws(3, draws).integers("step", 1, 2)
    return _rows(FIRST + (start + step * np.arange(width - len(after))) % SYMBOLS, after, draws)


def noise(draws: np.ndarray, width: int, after: tuple[int, ...] = ()) -> Rows:
    return _rows(FIRST + Draws(4, draws).integers("noise", width - len(after), SYMBOLS), after, draws)


def _rows(text: np.ndarray, after: tuple[int, ...], draws: np.ndarray) -> Rows:
    ends = np.broadcast_to(np.array(after, np.int64), (len(draws), len(after)))
    tokens = np.concatenate([text, ends], axis=1)
    positions = np.broadcast_to(np.arange(tokens.shape[1]), tokens.shape)
    return Rows(tokens, np.zeros_like(tokens), positions, draws)


def learnt(
    model: nn.Module,
    batch: Callable[[np.ndarray], Batch],
    loss: Callable[[nn.Module, Batch], dict[str, Loss]],
    steps: int = 120,
    rows: int = 16,
    rate: float = 1e-2,
) -> dict[str, float]:
    """Means of the named losses on new rows after training on others; ``batch`` makes one of draw numbers."""
    optimizer = torch.optim.Adam(model.parameters(), rate)
    model.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 10) * (1 - step / steps)
        losses = loss(model, batch(np.arange(step * rows, (step + 1) * rows)))
        optimizer.zero_grad()
        sum(each.total / max(1, each.count) for each in losses.values()).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        losses = loss(model, batch(np.arange(10**6, 10**6 + 64)))
    return {name: each.total.item() / max(1, each.count) for name, each in losses.items()}
