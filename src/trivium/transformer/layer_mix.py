"""A task's own mixture of all layers: gamma * sum_j softmax(s)_j h_j (Peters et al. 2018, equation 1).

s begins at 0, gamma at 1: the mean of the layers. The norm is that of Ba et al. 2016 for each token, without weights,
as the paper says; the reference's code takes mean and variance over the whole batch, so that a row would depend on
those beside it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LayerMix(nn.Module):
    """Layer 0, the embeddings, is one of the ``layers``."""

    def __init__(self, layers: int, norm: bool = False):
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(layers))
        self.scale = nn.Parameter(torch.ones(()))
        self.norm = norm

    @property
    def weights(self) -> Tensor:
        """(L,): the share of each layer; they sum to 1."""
        return self.scores.softmax(0)

    def forward(self, layers: Sequence[Tensor]) -> Tensor:
        """(B, T, W) each -> (B, T, W)."""
        if self.norm:
            layers = [F.layer_norm(layer, layer.shape[-1:]) for layer in layers]
        shares = self.scale * self.weights.to(layers[0].dtype)
        return torch.einsum("l,lbtw->btw", shares, torch.stack(list(layers)))

    def penalty(self) -> Tensor:
        """The sum of s squared: large, it keeps the mixture near the mean of the layers."""
        return self.scores.float().square().sum()


def mixed_layers(recorded: Sequence[Tensor], hidden: Tensor) -> list[Tensor]:
    """What is mixed: the recorded states, embeddings first, that have the width of the final ones, and in place of the
    last the final ones themselves, which a norm or a projection may have changed."""
    fitting = [states for states in recorded[:-1] if states.shape[-1] == hidden.shape[-1]]
    return [*fitting, hidden]
