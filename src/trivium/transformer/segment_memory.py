"""What a two-stream network has read before: its own hidden states for training, keys and values for use.

``Memory`` is Transformer-XL's (Dai et al. 2019, section 3.2): the inputs of every layer for earlier segments, without
gradient, so that keys and values are made of them by the current weights. All rows see all of it.
"""

from typing import ClassVar, Self

import torch
from torch import Tensor

from trivium.transformer.cache import Cache, Reuse, zeros
from trivium.transformer.two_stream_config import TwoStreamConfig


class Memory:
    """``most``: how many positions are kept, the latest; None: all. ``reuse``: how many of each segment's, the first;
    None: all (XLNet's pretraining overlaps its segments, and keeps the part that the next one does not repeat)."""

    def __init__(self, most: int | None = None, reuse: int | None = None):
        self.most, self.reuse = most, reuse
        self.states: dict[int, Tensor] = {}  # by layer, (B, M, W)

    @property
    def length(self) -> int:
        return self.states[0].shape[1] if self.states else 0

    def of(self, layer: int) -> Tensor | None:
        """(B, M, W): what a layer was given for the earlier segments."""
        return self.states.get(layer)

    def keep(self, layer: int, inputs: Tensor) -> None:
        """Add a segment (B, T, W)."""
        latest = inputs.detach()[:, : self.reuse]
        before = self.of(layer)
        joined = latest if before is None else torch.cat([before, latest], dim=1)
        self.states[layer] = joined if self.most is None else joined[:, max(0, joined.shape[1] - self.most) :]


class TwoStreamCache(Cache):
    """Keys and values of the content read so far, and each layer's keys of distances, which are the same at every
    step. The token read last can be taken back, to be read again with the one after it in sight."""

    reuse: ClassVar[Reuse] = "same"  # the tokens of a prompt see each other: another one's are read anew

    def __init__(self, keys: Tensor, values: Tensor):
        super().__init__(keys, values)
        self.latest: Tensor | None = None  # (B,) the token read last
        self.farthest = 0
        self.distances: dict[int, Tensor] = {}  # by layer, (H, N, D), of the farthest downwards

    @classmethod
    def sized(
        cls, config: TwoStreamConfig, rows: int, capacity: int, device: torch.device | str, dtype: torch.dtype
    ) -> Self:
        """Preallocate for ``rows`` sequences of at most ``capacity`` tokens."""
        shape = (config.encoder_layers, rows, config.heads, capacity, config.per_head)
        return cls(zeros(shape, device, dtype), zeros(shape, device, dtype))

    def take_back(self) -> Tensor:
        """(B,) the token read last, which is forgotten."""
        assert self.latest is not None
        self.length -= 1
        return self.latest

    def take(self, row: int, count: int | None = None) -> Self:
        one = super().take(row, count)
        one.latest = None if self.latest is None else self.latest[row : row + 1]
        return one

    def kept(self) -> Self:
        other = super().kept()
        other.latest = None if self.latest is None else self.latest.clone()
        return other

    def join(self, one: Self) -> None:
        super().join(one)
        assert one.latest is not None
        others = [] if self.latest is None or self.rows == 1 else [self.latest]
        self.latest = torch.cat([*others, one.latest])

    def leave(self, row: int, clean: bool = False) -> None:
        super().leave(row, clean)
        assert self.latest is not None
        latest = self.latest.clone()
        latest[row] = latest[-1]
        self.latest = latest[:-1]

    def select(self, rows: Tensor) -> None:
        super().select(rows)
        self.latest = None if self.latest is None else self.latest.index_select(0, rows)

    def branch(self, count: int) -> None:
        super().branch(count)
        self.latest = None if self.latest is None else self.latest.repeat_interleave(count)

    def exchange(self, rows: Tensor, since: int) -> None:
        """The last token of what a group shares was read again by each branch, too."""
        super().exchange(rows, since - 1)
        self.latest = None if self.latest is None else self.latest.index_select(0, rows)
