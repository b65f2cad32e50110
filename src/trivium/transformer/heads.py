"""Small modules on top of the hidden states, each with a name in the model.

``head_config.py`` says which there are. What a published class has on top of each family stands in the family's file;
objectives and tasks choose by name. A head is called with the last stack's states (an encoder-decoder's are the
decoder's), that side's ``Tokens`` and the pooler's output.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trivium.transformer.crf import Chain
from trivium.transformer.dropout import drop
from trivium.transformer.head_config import (
    CHOICE,
    LABELLED,
    NEXT_SENTENCE,
    SEQUENCE,
    SPAN,
    TOKEN,
    EachSpan,
    EachToken,
    HeadConfig,
    Pooled,
    Pooling,
)
from trivium.transformer.inputs import Tokens
from trivium.transformer.layer_mix import LayerMix
from trivium.transformer.layers import at_places
from trivium.transformer.network import Config
from trivium.transformer.span_head import SpanHead

__all__ = [
    "CHOICE",
    "LABELLED",
    "NEXT_SENTENCE",
    "SEQUENCE",
    "SPAN",
    "TOKEN",
    "EachSpan",
    "EachToken",
    "HeadConfig",
    "Pooled",
    "Pooler",
    "Pooling",
    "SequenceHead",
    "SpanHead",
    "TokenHead",
    "make_head",
]

ACTIVATIONS = {"tanh": torch.tanh, "relu": torch.relu}


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

    ``first``: BERT's (the pooler, dropout, linear); with a ``dense`` layer RoBERTa's and DistilBERT's, which need no
    pooler. ``last``: GPT-2's (the last real token, linear without bias); with a ``dense`` layer BART's. ``mean``: the
    mean over the real tokens, dropout, linear. ``mix``: the same of ELMo's mixture of all layers; such a head is called
    with the list of them, and ``mix_norm`` norms each. The pooler belongs to the model, which makes one where the
    configuration or a head asks for it. One label makes a score for each row, as choices need: rows of one question
    are compared by the caller. ``summed``: the vectors of so many neighbouring rows are added up, exactly the same
    whatever their order, before any layer of the head.
    """

    def __init__(
        self, config: Config, labels: int, pooling: Pooling = "mean", *, dense: str | None = None,
        dense_dropout: bool = False, bias: bool | None = None, dropout: float | None = None, mix_norm: bool = False,
        summed: int = 1,
    ):  # fmt: skip
        super().__init__()
        plain_last = pooling == "last" and dense is None  # GPT-2's: neither bias nor dropout unless asked for
        default = 0.0 if plain_last else config.dropout
        self.labels, self.pooling, self.dense_dropout = labels, pooling, dense_dropout
        self.dropout = default if dropout is None else dropout
        self.activation, self.summed = dense, summed
        self.dense = nn.Linear(config.width, config.width) if dense else None
        self.classifier = nn.Linear(config.width, labels, bias=not plain_last if bias is None else bias)
        self.mix = LayerMix(config.mixed_layers, mix_norm) if pooling == "mix" else None

    @property
    def config(self) -> Pooled:
        """What it was made of."""
        return Pooled(
            self.labels, self.pooling, self.activation, self.dense_dropout, self.classifier.bias is not None,  # type: ignore[arg-type]
            self.dropout, self.mix is not None and self.mix.norm, self.summed,
        )  # fmt: skip

    @property
    def reads_pooler(self) -> bool:
        """Whether the model has to have a pooler."""
        return self.pooling == "first" and self.dense is None

    def forward(self, hidden: Tensor | Sequence[Tensor], tokens: Tokens, pooled: Tensor | None = None) -> Tensor:
        """(B, T, W), for a mixture a list of them, -> (B / summed, labels). ``pooled``: (B, W), what the model's pooler
        gave."""
        if self.mix is not None:
            assert not isinstance(hidden, Tensor)
            vector = self.pool(drop(self.mix(hidden), self.dropout, self.training), tokens)
        else:
            assert isinstance(hidden, Tensor)
            vector = self.pool(hidden, tokens, pooled)
        if self.summed > 1:
            vector = vector.unflatten(0, (-1, self.summed)).sum(1)
        if self.dense is not None and self.activation is not None:
            if self.dense_dropout:
                vector = drop(vector, self.dropout, self.training)
            vector = ACTIVATIONS[self.activation](self.dense(vector))
        if self.mix is None or self.dense is not None:
            vector = drop(vector, self.dropout, self.training)
        return self.classifier(vector)

    def place(self, tokens: Tokens) -> Tensor | None:
        """(B,) the one place of each row whose last state it reads; None where it reads more."""
        if self.pooling == "first":
            return tokens.ids.new_zeros(len(tokens.ids))
        return _last(tokens) if self.pooling == "last" else None

    def pool(self, hidden: Tensor, tokens: Tokens, pooled: Tensor | None = None) -> Tensor:
        """(B, T, W) -> (B, W)."""
        if self.pooling == "first":
            if self.dense is not None:
                return hidden[:, 0]
            assert pooled is not None
            return pooled
        if self.pooling == "last":
            return at_places(hidden, _last(tokens))[:, 0] if tokens.documents is not None else hidden[:, -1]
        if tokens.documents is None:
            return hidden.mean(1)
        real = tokens.documents >= 0  # (B, T)
        weights = real.to(hidden.dtype) / real.sum(1, keepdim=True).clamp(min=1).to(hidden.dtype)
        return torch.bmm(weights[:, None], hidden)[:, 0]


def _last(tokens: Tokens) -> Tensor:
    """(B,) where each row's last real token is."""
    B, T = tokens.ids.shape
    if tokens.documents is None:
        return tokens.ids.new_full((B,), T - 1)
    return (torch.arange(T, device=tokens.ids.device) * (tokens.documents >= 0)).argmax(1)


class TokenHead(nn.Module):
    """Scores for each token: labels of tokens; or for answers two, whether one begins there and whether one ends.
    ``chain``: those of neighbouring labels, which whoever reads the scores as a chain asks for."""

    def __init__(
        self, config: Config, labels: int, *, bias: bool = True, dropout: float | None = None, chained: bool = False
    ):
        super().__init__()
        self.labels = labels
        self.dropout = config.dropout if dropout is None else dropout
        self.classifier = nn.Linear(config.width, labels, bias=bias)
        self.chain = Chain(labels) if chained else None

    @property
    def config(self) -> EachToken:
        """What it was made of."""
        return EachToken(self.labels, self.classifier.bias is not None, self.dropout, self.chain is not None)

    def forward(self, hidden: Tensor, tokens: Tokens, pooled: Tensor | None = None) -> Tensor:
        """(B, T, W) -> (B, T, labels)."""
        return self.classifier(drop(hidden, self.dropout, self.training))


def make_head(config: Config, head: HeadConfig) -> SequenceHead | TokenHead | SpanHead:
    """The module that a head's configuration describes, for a body of ``config``."""
    if isinstance(head, EachSpan):
        return SpanHead(config, head)
    if isinstance(head, EachToken):
        return TokenHead(config, head.labels, bias=head.bias, dropout=head.dropout, chained=head.chained)
    return SequenceHead(
        config, head.labels, head.pooling, dense=head.dense, dense_dropout=head.dense_dropout, bias=head.bias,
        dropout=head.dropout, mix_norm=head.mix_norm, summed=head.summed,
    )  # fmt: skip
