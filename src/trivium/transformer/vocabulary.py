"""From hidden states to a score for each token of the vocabulary."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.transformer.config import TransformerConfig
from trivium.transformer.layers import ACTIVATIONS, norm


class Vocabulary(nn.Module):
    """The output projection; tied, it has no matrix of its own and is handed the token embeddings.

    ``transform`` is BERT's head (Devlin et al. 2019, code release): dense, activation, norm, then a bias per token;
    ``bias`` is that bias alone (XLNet).
    ``offset`` is BART's (Lewis et al. 2020, code release): a number per token that is stored but never trained.
    """

    offset: Tensor | None

    def __init__(self, config: TransformerConfig):
        super().__init__()
        transform = config.vocabulary_head == "transform"
        self.scale = config.logit_scale
        self.activation = ACTIVATIONS[config.activation]
        self.dense: nn.Module | None = nn.Linear(config.width, config.width) if transform else None
        self.norm = norm(config) if transform else None
        plain = None if config.tied else nn.Linear(config.width, config.vocab_size, bias=False)
        self.projection: nn.Module | None = plain
        biased = config.vocabulary_head in ("transform", "bias")
        self.bias = nn.Parameter(torch.zeros(config.vocab_size)) if biased else None
        self.register_buffer(
            "offset", torch.zeros(1, config.vocab_size) if config.vocabulary_head == "offset" else None
        )

    def forward(self, hidden: Tensor, embeddings: Tensor) -> Tensor:
        """(..., W) and the (V, W) token embeddings -> (..., V)."""
        if self.dense is not None and self.norm is not None:
            hidden = self.norm(self.activation(self.dense(hidden)))
        if self.scale != 1.0:
            hidden = hidden * self.scale
        if self.projection is None:
            scores = F.linear(hidden, embeddings, self.bias)
        else:
            scores = self.projection(hidden)
            scores = scores if self.bias is None else scores + self.bias
        return scores if self.offset is None else scores + self.offset
