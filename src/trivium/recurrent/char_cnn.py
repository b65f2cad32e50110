"""A word's vector from its characters: convolutions of several widths, the maximum over places, highway layers, a
projection (Kim et al. 2016, "Character-Aware Neural Language Models"; as in ELMo, Peters et al. 2018, code release).

N words, C characters a word, F filters in all, P the projection's width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.recurrent.characters import CHARACTERS, PADDING


class Highway(nn.Module):
    """y = g * relu(T x) + (1 - g) * x with g = sigmoid(C x) (Srivastava et al. 2015). In ELMo's code g is called the
    carry gate though it lets the transformed part through; its bias begins at -2, so that x passes at first."""

    def __init__(self, width: int):
        super().__init__()
        self.gate = nn.Linear(width, width)
        self.transform = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, F) -> (N, F)."""
        return torch.lerp(x, F.relu(self.transform(x)), torch.sigmoid(self.gate(x)))


class CharacterEncoder(nn.Module):
    """(N, C) character ids to (N, P) word vectors. ``filters``: pairs of a width in characters and how many."""

    def __init__(self, width: int, filters: Sequence[tuple[int, int]], highway: int, projection: int):
        super().__init__()
        total = sum(count for _, count in filters)
        self.widest = max(reach for reach, _ in filters)
        self.characters = nn.Embedding(CHARACTERS, width)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, count, reach) for reach, count in filters)
        self.highways = nn.ModuleList(Highway(total) for _ in range(highway))
        self.projection = nn.Linear(total, projection)

    def forward(self, spelt: Tensor) -> Tensor:
        """``spelt``: (N, C) integers. Each word's vector depends on its own row alone."""
        x = self.characters(self._trimmed(spelt).long()).transpose(1, 2)  # (N, width, C)
        pooled = [convolution(x).amax(-1) for convolution in self.convolutions]
        x = F.relu(torch.cat(pooled, -1))  # (N, F); the maximum of relu is relu of the maximum
        for highway in self.highways:
            x = highway(x)
        return self.projection(x)

    def _trimmed(self, spelt: Tensor) -> Tensor:
        """Without the columns that are padding in every row, but for as many as the widest filter covers: all further
        windows hold nothing but padding and give what the last one gives, so the maximum is the same."""
        if spelt.shape[0] == 0:
            return spelt
        used = (spelt != PADDING).any(0).nonzero()
        longest = int(used[-1]) + 1 if len(used) else 0
        return spelt[:, : max(longest + self.widest, self.widest)]
