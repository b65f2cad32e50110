"""Attention over distances, in two streams (Dai et al. 2019, "Transformer-XL", section 3.3; Yang et al. 2019, "XLNet",
sections 2.3 to 2.5; code zihangdai/xlnet ``modeling.py``).

A score is the sum of three products, each with a bias of its own in place of the query's position: of the query with
the key's content, with the distance between the two, and with whether they are of one segment. Nothing depends on
where in the row a token stands, so keys of earlier segments stay valid.

B batch, T content positions, R rows that ask, S keys, H heads, D head width, W width, N distances.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trivium.transformer.attention import attend
from trivium.transformer.dropout import drop
from trivium.transformer.looks import Looks
from trivium.transformer.masks import Mask
from trivium.transformer.positions import remembered
from trivium.transformer.two_stream_config import TwoStreamConfig


@dataclass(frozen=True)
class View:
    """What the rows of one stream see. ``ahead``: how many positions in front of its content a row stands; ``columns``
    is for rows that stand anywhere: of each row and key the place of their distance, counted from S downwards."""

    mask: Tensor | None = None  # (1 or B, 1, R, S), additive
    differs: Tensor | None = None  # (B, 1, R, S) bool: the key is of another segment
    ahead: int = 0
    columns: Tensor | None = None  # (B, 1, R, S) int64
    blind: Tensor | None = None  # (1 or B, R, 1) bool: rows that see nothing, and so read nothing


@remembered
def distance_vectors(
    farthest: int, nearest: int, width: int, clamp: int | None, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """(farthest - nearest + 1, W): of each distance, the query's position minus the key's, falling; all sines first."""
    distance = torch.arange(farthest, nearest - 1, -1, device=device, dtype=torch.float32)
    if clamp is not None:
        distance = distance.clamp(-clamp, clamp)
    rate = 1 / torch.pow(10000.0, torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)
    angle = distance[:, None] * rate  # (N, W / 2)
    return torch.cat([angle.sin(), angle.cos()], dim=-1).to(dtype)


def shifted(products: Tensor, keys: int) -> Tensor:
    """(B, H, R, R + S) products with distances n, n - 1, ... to (B, H, R, S): row i begins at n - R + i. A view: each
    row of the result is one number further to the left than the row above it."""
    rows = products.shape[2]
    return products.flatten(2)[..., rows:].unflatten(-1, (rows, -1))[..., :keys]


class RelativeAttention(nn.Module):
    """Both streams use the same weights; the keys and values are the content stream's for both."""

    def __init__(self, config: TwoStreamConfig):
        super().__init__()
        self.heads, self.per_head, self.dropout = config.heads, config.per_head, config.dropout
        width, each = config.width, (config.heads, config.per_head)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.position = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.content_bias = nn.Parameter(torch.zeros(each))
        self.position_bias = nn.Parameter(torch.zeros(each))
        self.segment_bias = nn.Parameter(torch.zeros(each))
        self.segments = nn.Parameter(torch.zeros(2, *each))  # of one segment, of two

    def forward(
        self, x: Tensor, key: Tensor, value: Tensor, distances: Tensor, view: View,
        record: Looks | None = None,
    ) -> Tensor:  # fmt: skip
        """``x`` (B, R, W) asks (B, H, S, D) keys and values; ``distances``: (H, N, D), of S + 1 downwards."""
        query, scale = self.split(self.query(x)), self.per_head**-0.5  # (B, H, R, D)
        bias = self._by_distance((query + self.position_bias[:, None]) * scale, distances, view, key.shape[2])
        if view.differs is not None:
            asked = (query + self.segment_bias[:, None]) * scale
            same, other = (asked @ self.segments.transpose(0, 1).transpose(1, 2)).split(1, dim=-1)  # (B, H, R, 1)
            bias = bias + torch.where(view.differs, other, same)
        if view.mask is not None:
            bias = bias + view.mask
        dropout = self.dropout if self.training else 0.0
        asked = query + self.content_bias[:, None]
        mixed = attend(asked, key, value, Mask(bias), scale=scale, dropout=dropout, record=record)
        if view.blind is not None:  # the kernels gave them a mean of all values, their own token's among them
            mixed = mixed.masked_fill(view.blind, 0.0)
            if record is not None:
                record[-1] = record[-1].masked_fill(view.blind[:, None], 0.0)
        out: Tensor = self.output(mixed)
        return out

    def _by_distance(self, asked: Tensor, distances: Tensor, view: View, keys: int) -> Tensor:
        """(B, H, R, D) -> (B, H, R, S)."""
        rows = asked.shape[2]
        if view.columns is not None:
            products = asked @ distances[:, 1:].transpose(1, 2)
            return products.gather(-1, view.columns.expand(*asked.shape[:3], keys))
        first = 1 - view.ahead
        return shifted(asked @ distances[:, first : first + rows + keys].transpose(1, 2), keys)

    def keys_and_values(self, content: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """(B, H, S, D) each, of what ``memory`` (B, M, W) holds and of the content (B, T, W)."""
        content = content if memory is None else torch.cat([memory, content], dim=1)
        return self.split(self.key(content)), self.split(self.value(content))

    def of_distances(self, vectors: Tensor) -> Tensor:
        """(N, W) -> (H, N, D)."""
        return self.split(self.position(drop(vectors, self.dropout, self.training))[None])[0]

    def split(self, x: Tensor) -> Tensor:
        """(B, T, W) -> (B, H, T, D)."""
        return x.unflatten(-1, (self.heads, self.per_head)).transpose(1, 2)
