"""What a decoder's state looks at in the source: Bahdanau's additive score and Luong's general one.

B rows, T queries, S source tokens, H query width, W width of the memory.
"""

import torch
from torch import Tensor, nn


class General(nn.Module):
    """score(h, m) = h^T A m (Luong et al. 2015, equation 8, "general")."""

    def __init__(self, queries: int, width: int):
        super().__init__()
        self.query = nn.Linear(queries, width, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """What is computed once for a source: nothing."""
        return memory

    def forward(self, hidden: Tensor, keys: Tensor) -> Tensor:
        """(B, T, H) and (B, S, W) to scores (B, T, S)."""
        scores: Tensor = self.query(hidden) @ keys.transpose(1, 2)
        return scores


class Additive(nn.Module):
    """score(h, m) = v^T tanh(Q h + K m) (Bahdanau et al. 2015, appendix A.1.2)."""

    def __init__(self, queries: int, width: int):
        super().__init__()
        self.query = nn.Linear(queries, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.score = nn.Linear(width, 1, bias=False)

    def keys(self, memory: Tensor) -> Tensor:
        """K m, once for a source."""
        keys: Tensor = self.key(memory)
        return keys

    def forward(self, hidden: Tensor, keys: Tensor) -> Tensor:
        """(B, T, H) and (B, S, W) to scores (B, T, S)."""
        scores: Tensor = self.score(torch.tanh(self.query(hidden)[:, :, None] + keys[:, None]))[..., 0]
        return scores


KINDS: dict[str, type[General] | type[Additive]] = {"general": General, "additive": Additive}


def attend(scores: Tensor, mask: Tensor | None, memory: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (B, T, S) to contexts (B, T, W) and weights (B, T, S)."""
    weights = (scores if mask is None else scores + mask).softmax(dim=-1)
    return weights @ memory, weights
