"""A decoder that looks back at a source: sequence to sequence with attention.

``general`` (Luong et al. 2015): the layers read the target alone, and the top state then looks at the source; all
positions at once, without input feeding. ``additive`` (Bahdanau et al. 2015): the state of the first layer looks first,
and what it saw enters its next step, so that steps follow each other; upper layers read the first one's states.
Training is by teacher forcing: the target is given. Differs from both papers in the readout, which is Luong's tanh of
context and state for either score, and in a start from both ends of the source.

N target documents of at most L tokens, S source tokens, W width, H state width, P parts of a state, n layers.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from trivium.recurrent.attention import KINDS, attend
from trivium.recurrent.config import RecurrentConfig
from trivium.recurrent.pieces import Pieces
from trivium.recurrent.stack import Layer, run
from trivium.transformer.dropout import drop
from trivium.transformer.masks import additive


@dataclass(frozen=True)
class Source:
    """What each target document may look at: the encoder's output, and which of its columns are that document's."""

    memory: Tensor  # (N, S, W)
    seen: Tensor | None  # (N, S) bool; None: all

    @classmethod
    def of(cls, memory: Tensor, documents: Tensor | None, pieces: Pieces | None) -> "Source":
        """From rows (B, S, W) with their documents (B, S), for the targets' ``pieces`` (None: whole rows)."""
        if pieces is None:
            return cls(memory, None if documents is None else documents == 0)
        rows = pieces.rows
        if documents is None:
            documents = memory.new_zeros(memory.shape[:2], dtype=torch.long)
        return cls(memory[rows], documents[rows] == pieces.documents[:, None])

    @property
    def mask(self) -> Tensor | None:
        """(N, 1, S) to add to scores."""
        return None if self.seen is None else additive(self.seen, self.memory.dtype)[:, None]

    @property
    def ends(self) -> Tensor:
        """(N, W): the sum of the first and the last column, in which one direction each has read all."""
        if self.seen is None:
            return self.memory[:, 0] + self.memory[:, -1]
        numbers = torch.arange(self.seen.shape[1], device=self.seen.device)
        each = torch.arange(len(self.seen), device=self.seen.device)
        return self.memory[each, self.seen.long().argmax(1)] + self.memory[each, (numbers * self.seen).argmax(1)]


class AttentionDecoder(nn.Module):
    """Layers, the look at the source, and the readout tanh(C [context; state])."""

    def __init__(self, config: RecurrentConfig):
        super().__init__()
        self.config = config
        self.feeds_back = config.attention == "additive"
        inputs = config.width * (2 if self.feeds_back else 1)
        widths = [inputs] + [config.state] * (config.decoder_layers - 1)
        self.layers = nn.ModuleList(Layer(config, width, both_ways=False) for width in widths)
        self.attention = KINDS[config.attention](config.state, config.width)
        self.start = nn.Linear(config.width, config.decoder_layers * config.state)
        self.readout = nn.Linear(config.width + config.state, config.width, bias=False)

    def begin(self, source: Source) -> Tensor:
        """(P, n, N, H): hidden states of all layers from the source's two ends; cells are empty."""
        hidden = torch.tanh(self.start(source.ends))  # (N, n H)
        hidden = hidden.reshape(len(hidden), self.config.decoder_layers, -1).transpose(0, 1)  # (n, N, H)
        return torch.stack([hidden] + [torch.zeros_like(hidden)] * (self.config.parts - 1))

    def forward(
        self, x: Tensor, source: Source, pieces: Pieces | None, state: Tensor, exact: bool = False,
        hidden: list[Tensor] | None = None, looks: list[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """(B, T, W) target embeddings to (B, T, W), and the states (P, n, N, H) at the ends of the documents.

        ``looks`` is filled with the weights (B, 1, T, S), ``hidden`` with the embeddings and each layer's output.
        """
        rate = self.config.dropout
        if hidden is not None:
            hidden.append(x.detach())
        x = drop(x if pieces is None else pieces.cut(x), rate, self.training)
        keys, mask = self.attention.keys(source.memory), source.mask
        context = weights = None
        ends = []
        for number, each in enumerate(self.layers):
            layer = cast(Layer, each)
            if self.feeds_back and number == 0:
                lengths = pieces.lengths if exact and pieces is not None else None
                x, context, weights, end = self._step_by_step(layer, x, source.memory, keys, mask, state[:, 0], lengths)
            else:
                x, end = layer(x, state[:, number], pieces, exact)
            ends.append(end)
            if hidden is not None:
                hidden.append((x if pieces is None else pieces.join(x)).detach())
            x = drop(x, rate, self.training)
        if context is None:
            context, weights = attend(self.attention(x, keys), mask, source.memory)
        if looks is not None and weights is not None:
            looks.append((weights if pieces is None else pieces.join(weights)).detach()[:, None])
        y = drop(torch.tanh(self.readout(torch.cat([context, x], dim=-1))), rate, self.training)
        return y if pieces is None else pieces.join(y), torch.stack(ends, dim=1)

    def _step_by_step(
        self, layer: Layer, x: Tensor, memory: Tensor, keys: Tensor, mask: Tensor | None, state: Tensor,
        lengths: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """States (N, L, H), contexts (N, L, W), weights (N, L, S); the states (P, N, H) after ``lengths`` tokens."""
        outputs, contexts, looks = [], [], []
        for t in range(x.shape[1]):
            context, weights = attend(self.attention(state[0][:, None], keys), mask, memory)
            y, after = run(layer.cell, torch.cat([x[:, t : t + 1], context], dim=-1), state)
            state = after if lengths is None else torch.where((t < lengths)[:, None], after, state)
            outputs.append(y)
            contexts.append(context)
            looks.append(weights)
        return torch.cat(outputs, 1), torch.cat(contexts, 1), torch.cat(looks, 1), state
