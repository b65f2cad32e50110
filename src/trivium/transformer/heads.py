"""Small modules on top of the hidden states, each with a name in the model."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from trivium.transformer.inputs import Tokens
from trivium.transformer.layer_mix import LayerMix
from trivium.transformer.layers import drop
from trivium.transformer.network import Config

Pooling = Literal["first", "last", "mean", "mix"]

SEQUENCE = "sequence"
"""The name under which a saved model's sequence head is found: ``model(inputs, heads=[SEQUENCE])``."""


class Pooler(nn.Module):
    """BERT's summary of a text: dense and tanh on its first token."""

    def __init__(self, width: int):
        super().__init__()
        self.dense = nn.Linear(width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, T, W) -> (B, W)."""
        return torch.tanh(self.dense(hidden[:, 0]))


class SequenceHead(nn.Module):
    """One vector for each row, then a score for each label.

    ``first``: BERT's (the pooler, dropout, linear). ``last``: GPT-2's (the last real token, linear without bias).
    ``mean``: the mean over the real tokens, dropout, linear. ``mix``: the same of ELMo's mixture of all layers; such a
    head is called with the list of them, and ``mix_norm`` norms each. The pooler belongs to the model, which makes one
    where the configuration or a head asks for it.
    """

    def __init__(
        self, config: Config, labels: int, pooling: Pooling = "mean", dropout: float | None = None,
        mix_norm: bool = False,
    ):  # fmt: skip
        super().__init__()
        self.labels, self.pooling = labels, pooling
        self.dropout = config.dropout if dropout is None else dropout
        self.classifier = nn.Linear(config.width, labels, bias=pooling != "last")
        self.mix = LayerMix(config.mixed_layers, mix_norm) if pooling == "mix" else None

    def forward(self, hidden: Tensor | Sequence[Tensor], tokens: Tokens, pooled: Tensor | None = None) -> Tensor:
        """(B, T, W), for a mixture a list of them, -> (B, labels). ``pooled``: (B, W), what the model's pooler gave."""
        if self.mix is not None:
            assert not isinstance(hidden, Tensor)
            return self.classifier(self.pool(drop(self.mix(hidden), self.dropout, self.training), tokens))
        assert isinstance(hidden, Tensor)
        vector = self.pool(hidden, tokens, pooled)
        if self.pooling != "last":
            vector = drop(vector, self.dropout, self.training)
        return self.classifier(vector)

    def pool(self, hidden: Tensor, tokens: Tokens, pooled: Tensor | None = None) -> Tensor:
        """(B, T, W) -> (B, W)."""
        if self.pooling == "first":
            assert pooled is not None
            return pooled
        if tokens.documents is None:
            return hidden[:, -1] if self.pooling == "last" else hidden.mean(1)
        real = tokens.documents >= 0  # (B, T)
        if self.pooling == "last":
            last = (torch.arange(real.shape[1], device=real.device) * real).argmax(1)
            return hidden[torch.arange(len(last), device=real.device), last]
        weights = real.to(hidden.dtype) / real.sum(1, keepdim=True).clamp(min=1).to(hidden.dtype)
        return torch.bmm(weights[:, None], hidden)[:, 0]
