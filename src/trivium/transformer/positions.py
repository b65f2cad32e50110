"""Where a token stands: fixed sines, rotations of queries and keys, and T5's learned bias on attention scores.

Vaswani et al. 2017, section 3.5 (sines); Su et al. 2021, section 3.4.2 (rotary; halves rotated against each other as
in Hugging Face, not neighbouring pairs as in the paper: the two differ by a permutation of rows of the query and key
weights); Raffel et al. 2020, section 2.1 (relative bias). Learned positions are an ``nn.Embedding`` in the stack.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _get_current_dispatch_mode

from trivium.transformer.config import LinearScaling, Scaling

P = ParamSpec("P")
R = TypeVar("R")


def remembered(table: Callable[P, R]) -> Callable[P, R]:
    """Keep the last few constant tables. They are made outside inference mode, so that training may use them later;
    under ``torch.compile`` and other traces they are made anew, since a traced tensor must not outlive its trace."""
    kept = lru_cache(maxsize=32)(table)

    def look_up(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling() or _get_current_dispatch_mode() is not None:
            return table(*args, **kwargs)
        with torch.inference_mode(False), torch.no_grad():
            return kept(*args, **kwargs)  # type: ignore[arg-type]

    return look_up


@remembered
def sinusoids(length: int, width: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(length, width): sine on even columns, cosine on odd ones, wavelengths from 2 pi to 10000 * 2 pi."""
    position = torch.arange(length, device=device, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, device=device, dtype=torch.float32) * (-math.log(10000.0) / width))
    angle = position * rate  # (length, width / 2)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).reshape(length, width).to(dtype)


@remembered
def rotations(
    length: int, width: int, theta: float, device: torch.device, dtype: torch.dtype, scaling: Scaling | None = None
) -> tuple[Tensor, Tensor]:
    """Cosines and sines, (length, width) each; the second half of the columns repeats the first, the first half of the
    sines has the other sign."""
    # A quotient, as published models were trained: at position 100,000 the last bit of a rate is seen in the cosine.
    rate = scaled(1.0 / theta ** (torch.arange(0, width, 2, device=device, dtype=torch.float32) / width), scaling)
    angle = torch.arange(length, device=device, dtype=torch.float32)[:, None] * rate
    cosine, sine = angle.cos(), angle.sin()
    return torch.cat((cosine, cosine), dim=-1).to(dtype), torch.cat((-sine, sine), dim=-1).to(dtype)


def scaled(rate: Tensor, scaling: Scaling | None) -> Tensor:
    """Angles per position, made smaller for contexts longer than the one trained on."""
    if scaling is None:
        return rate
    slow = rate / scaling.factor
    if isinstance(scaling, LinearScaling):
        return slow
    turns = scaling.original / (2 * math.pi / rate)  # in the original context
    share = (turns - scaling.low) / (scaling.high - scaling.low)
    between = (1 - share) * rate / scaling.factor + share * rate
    return torch.where(turns < scaling.low, slow, torch.where(turns > scaling.high, rate, between))


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate each half-split pair of ``x`` (B, H, T, D) by its position's angle; tables broadcast to (B, 1, T, D)."""
    first, second = x.chunk(2, dim=-1)
    return torch.addcmul(x * cosine, torch.cat((second, first), dim=-1), sine)


def relative_buckets(distance: Tensor, buckets: int, farthest: int, both_ways: bool) -> Tensor:
    """T5's buckets of key position minus query position: exact when near, logarithmic up to ``farthest``.

    ``both_ways``: half of the buckets are for keys after the query (encoder); otherwise all those keys share bucket 0.
    """
    offset = torch.zeros_like(distance)
    if both_ways:
        buckets //= 2
        offset = (distance > 0).long() * buckets
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = buckets // 2
    ratio = torch.log(distance.clamp(min=1).float() / exact) / math.log(farthest / exact)
    far = (exact + (ratio * (buckets - exact)).long()).clamp(max=buckets - 1)
    return offset + torch.where(distance < exact, distance, far)


@remembered
def bucket_table(queries: int, keys: int, buckets: int, farthest: int, both_ways: bool, device: torch.device) -> Tensor:
    """(queries + keys - 1,): the bucket of each distance, from the farthest key before to the farthest one after.

    The queries are the last positions of the keys' sequence where there are fewer of them (a cache holds the rest).
    """
    first = keys - queries  # position of the first query
    distance = torch.arange(-(first + queries - 1), keys - first, device=device)
    return relative_buckets(distance, buckets, farthest, both_ways)


class RelativePositions(nn.Module):
    """One learned bias per bucket and head, shared by all layers of a stack."""

    def __init__(self, buckets: int, farthest: int, heads: int, both_ways: bool):
        super().__init__()
        self.buckets, self.farthest, self.both_ways = buckets, farthest, both_ways
        self.bias = nn.Embedding(buckets, heads)
        distances = torch.arange(-farthest, farthest + 1, device="cpu")
        self._buckets: list[int] = relative_buckets(distances, buckets, farthest, both_ways).tolist()

    def forward(self, queries: int, keys: int) -> Tensor:
        """(1, H, T, S), to be added to the scores. Positions are offsets in the sequence: packed documents are
        contiguous, so a distance inside one is the same as in the row."""
        device = self.bias.weight.device
        if torch.compiler.is_exporting():  # a graph for any length: a view's strides would fix it to one
            places = torch.arange(keys, device=device)
            distance = places - (torch.arange(queries, device=device) + (keys - queries))[:, None]  # (T, S)
            # Looked up: another program's logarithm puts a distance at a bucket's edge into the next one.
            near = distance.clamp(-self.farthest, self.farthest) + self.farthest
            table = torch.tensor(self._buckets, device=device)[near]
            return self.bias(table).permute(2, 0, 1)[None]
        table = bucket_table(queries, keys, self.buckets, self.farthest, self.both_ways, device)
        by_distance = self.bias(table).t()  # (H, T + S - 1)
        # Row i of the result is the window of S distances that starts T - 1 - i in: a view, instead of T x S look-ups.
        return by_distance.unfold(1, keys, 1).flip(1)[None]
