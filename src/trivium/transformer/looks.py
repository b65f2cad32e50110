"""Attention weights of a pass, for whoever looks at a model: all of them, or no more than is wanted.

The weights of one layer are H T S numbers: 2.4 GB in float32 for nine heads and 8,192 tokens. So a layer does not hand
them over; it hands over how to compute them, head by head and some rows at a time (``Looking``), and mixes its values
by whichever kernel is fast. B batch, H heads, T queries, S keys, D head width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from trivium.transformer.masks import Mask

_AT_ONCE = 1 << 22  # weights that are computed at once: 16 MB in float32


@dataclass(frozen=True)
class Looking:
    """One layer's attention on what it read, before any of it is computed."""

    query: Tensor  # (B, H, T, D)
    key: Tensor  # (B, G, S, D), G dividing H
    mask: "Mask"
    scale: float

    @property
    def heads(self) -> int:
        return self.query.shape[1]

    @property
    def queries(self) -> int:
        return self.query.shape[2]

    @property
    def keys(self) -> int:
        return self.key.shape[2]

    def weights(self, heads: Sequence[int] | None = None) -> Tensor:
        """(B, h, T, S) of the heads given, from 0; None: of all. Each row sums to 1."""
        chosen = list(range(self.heads) if heads is None else heads)
        shape = len(self.query), len(chosen), self.queries, self.keys
        found = self.query.new_empty(shape, dtype=torch.float32)
        for place, head in enumerate(chosen):
            for rows in self.blocks():
                found[:, place, rows] = self.block(head, rows)
        return found

    def blocks(self) -> list[slice]:
        """Rows that are computed together."""
        size = max(1, _AT_ONCE // (len(self.query) * self.keys))
        return [slice(start, min(start + size, self.queries)) for start in range(0, self.queries, size)]

    def block(self, head: int, rows: slice) -> Tensor:
        """(B, rows, S) of one head: softmax(scale * Q K^T + bias), in float32 whatever the model computes in."""
        keys = self.key[:, head // (self.heads // self.key.shape[1])]
        scores = torch.matmul(self.query[:, head, rows].float(), keys.transpose(1, 2).float()) * self.scale
        bias = self.mask.of_rows(rows, self.queries, self.keys, scores.device, scores.dtype)
        if bias is not None:
            own = bias[:, head if bias.shape[1] > 1 else 0]
            width = own.shape[-1]  # keys after the last of these queries have no column
            scores[..., :width] += own
            scores[..., width:] = torch.finfo(scores.dtype).min
        return scores.softmax(-1)


class Looks(list[Tensor]):
    """Weights (B, H, T, S) of the layers of one stack, in their order. Who wants less of them overrides ``take``."""

    def take(self, layer: Looking) -> None:
        """What the next layer looks at."""
        self.append(layer.weights().detach())
