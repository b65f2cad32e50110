"""Recurrent layers on top of each other, in one direction or both; the cells are torch's fused ones.

Simple recurrent unit (Elman 1990), LSTM (Hochreiter and Schmidhuber 1997, with Gers' forget gate) and GRU (Cho et al.
2014). B rows, T tokens, D input width, H state width, P parts of a state, n layers.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from trivium.recurrent.config import RecurrentConfig
from trivium.recurrent.pieces import Pieces
from trivium.transformer.dropout import drop

CELLS: dict[str, type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]] = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class Layer(nn.Module):
    """One layer: its cell, and for both directions a second one that reads backwards."""

    def __init__(self, config: RecurrentConfig, inputs: int, both_ways: bool):
        super().__init__()
        kind = CELLS[config.cell]
        self.cell = kind(inputs, config.state, batch_first=True)
        self.reverse = kind(inputs, config.state, batch_first=True) if both_ways else None

    def forward(
        self, x: Tensor, state: Tensor | None, pieces: Pieces | None, exact: bool = False
    ) -> tuple[Tensor, Tensor]:
        """(B, T, D) to (B, T, H or 2 H), and the state (P, B, H) after the last token of the forward direction.

        ``exact``: that state is wanted where pieces end, not after their padding (slower).
        """
        if exact and pieces is not None and not pieces.even:
            y, end = run_packed(self.cell, x, state, pieces.lengths)
        else:
            y, end = run(self.cell, x, state)
        if self.reverse is None:
            return y, end
        turned = x.flip(1) if pieces is None else pieces.reverse(x)
        back, _ = run(self.reverse, turned, None)
        back = back.flip(1) if pieces is None else pieces.reverse(back)
        return torch.cat([y, back], dim=-1), end


class Stack(nn.Module):
    """The layers and, where their width differs from the model's, a projection to it."""

    def __init__(self, config: RecurrentConfig, layers: int, both_ways: bool, inputs: int | None = None):
        super().__init__()
        self.config = config
        out = config.state * (2 if both_ways else 1)
        widths = [inputs or config.width] + [out] * (layers - 1)
        self.layers = nn.ModuleList(Layer(config, width, both_ways) for width in widths)
        self.projection = nn.Linear(out, config.width, bias=False) if out != config.width else None

    def forward(
        self, x: Tensor, pieces: Pieces | None = None, state: Tensor | None = None, exact: bool = False,
        hidden: list[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """(B, T, W) embeddings to (B, T, W), and the states (P, n, N, H) of the forward direction at the ends.

        With ``pieces`` ``x`` has rows and the states, given and returned, are the pieces' (N in place of B). A list
        for ``hidden`` is filled with the embeddings and each layer's output.
        """
        y, end = self.states(x, pieces, state, exact, hidden)
        return self.project(y), end

    def states(
        self, x: Tensor, pieces: Pieces | None = None, state: Tensor | None = None, exact: bool = False,
        hidden: list[Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """The same before the projection."""
        rate = self.config.dropout
        if hidden is not None:
            hidden.append(x)
        x = drop(x, rate, self.training)
        if pieces is not None:
            x = pieces.cut(x)
        ends = []
        for number, layer in enumerate(self.layers):
            x, end = layer(x, None if state is None else state[:, number], pieces, exact)
            ends.append(end)
            if hidden is not None:
                hidden.append(x if pieces is None else pieces.join(x))
            x = drop(x, rate, self.training)
        return x if pieces is None else pieces.join(x), torch.stack(ends, dim=1)

    def project(self, y: Tensor) -> Tensor:
        """(..., H or 2 H) -> (..., W)."""
        return y if self.projection is None else cast(Tensor, self.projection(y))


def run(cell: nn.RNNBase, x: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
    """(B, T, D) and (P, B, H) to (B, T, H) and (P, B, H)."""
    y, end = cell(x, _begin(cell, state))
    return y, torch.cat(end) if isinstance(end, tuple) else end


def run_packed(cell: nn.RNNBase, x: Tensor, state: Tensor | None, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """The same for right-padded sequences; the states are those after each one's own last token."""
    packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
    y, end = cell(packed, _begin(cell, state))
    padded, _ = pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])
    return padded, torch.cat(end) if isinstance(end, tuple) else end


def _begin(cell: nn.RNNBase, state: Tensor | None) -> Tensor | tuple[Tensor, Tensor] | None:
    if state is None:
        return None
    if isinstance(cell, nn.LSTM):
        return state[0:1].contiguous(), state[1:2].contiguous()
    return state.contiguous()
