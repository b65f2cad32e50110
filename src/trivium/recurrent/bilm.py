"""A two-way language model's body: stacked LSTMs with projection, one set reading forward, one backward (Peters et al.
2018, section 3.1; bilm-tf).

An LSTM with projection keeps a wide cell (C) but hands on and feeds back a narrow state (P), as in Sak et al. 2014:

    i, f, g, o = W_x x_t + W_h h_{t-1} + b          (4C each step; torch's order of gates)
    c_t = clip(sigmoid(f) * c_{t-1} + sigmoid(i) * tanh(g))
    h_t = clip(W_p (sigmoid(o) * tanh(c_t)))        (P)

One bias vector, where torch has two; the reference adds 1 to f, which here is the bias's first value. A clip keeps the
gradient where a value is inside its bounds. The layers above the first add their input to their output.

The passage through time is a loop with its own gradient, on a CPU 2 to 4 times as fast as autograd's, and from 9%
faster to 40% slower than torch's projected LSTM, which cannot clip or forget; on a GPU, where no value is clipped and
no state has to be forgotten within a row (``keep``), torch's fused LSTM computes the same. Documents in a row never see
each other in either direction, and neither sees padding.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trivium.transformer.dropout import drop


class Passage(torch.autograd.Function):
    """The loop over time, without autograd's bookkeeping of every step: the gradients of the weights are one matrix
    product each at the end. T steps, B rows."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, recurrent: Tensor, projection: Tensor, keep: Tensor | None, clips: tuple[float, float]
    ) -> Tensor:
        """``x``: (T, B, 4C), the inputs' part of the gates; ``recurrent`` (4C, P); ``projection`` (P, C); ``keep``
        (T, B, 1): 0 where a step starts anew. States (T, B, P)."""
        T, B, _ = x.shape
        P, C = projection.shape
        at_cell, at_state = clips
        gates = x.new_empty(T, B, 4 * C)
        cells, states = x.new_zeros(T + 1, B, C), x.new_zeros(T + 1, B, P)
        squashed = x.new_empty(T, B, C)
        for t in range(T):
            cell, state = cells[t], states[t]
            if keep is not None:
                cell, state = cell * keep[t], state * keep[t]
            gate = torch.addmm(x[t], state, recurrent.t(), out=gates[t])
            gate[:, : 2 * C].sigmoid_()
            gate[:, 2 * C : 3 * C].tanh_()
            gate[:, 3 * C :].sigmoid_()
            i, f, g, o = gate.chunk(4, -1)
            new = torch.addcmul(f * cell, i, g, out=cells[t + 1])
            if at_cell:
                new.clamp_(-at_cell, at_cell)
            torch.tanh(new, out=squashed[t])
            out = torch.mm(o * squashed[t], projection.t(), out=states[t + 1])
            if at_state:
                out.clamp_(-at_state, at_state)
        ctx.save_for_backward(recurrent, projection, keep, gates, cells, states, squashed)
        ctx.clips = clips
        return states[1:].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """From the last step to the first. A value on a bound was clipped, or as good as: no gradient passes."""
        recurrent, projection, keep, gates, cells, states, squashed = ctx.saved_tensors
        at_cell, at_state = ctx.clips
        T, B, P = gradient.shape
        C = projection.shape[1]
        # In the gradient's own type: a product with a bool takes ten times as long.
        inside_state = (states[1:].abs() < at_state).to(gradient.dtype) if at_state else None
        inside_cell = (cells[1:].abs() < at_cell).to(gradient.dtype) if at_cell else None
        d_gates, d_outs = torch.empty_like(gates), torch.empty_like(gradient)
        d_state, d_cell = gradient.new_zeros(B, P), gradient.new_zeros(B, C)
        for t in range(T - 1, -1, -1):
            i, f, g, o = gates[t].chunk(4, -1)
            d_out = torch.add(gradient[t], d_state, out=d_outs[t])
            if inside_state is not None:
                d_out.mul_(inside_state[t])
            d_hidden = d_out @ projection  # (B, C)
            d_cell = torch.addcmul(d_cell, d_hidden * o, 1 - squashed[t].square())
            if inside_cell is not None:
                d_cell.mul_(inside_cell[t])
            before = cells[t] if keep is None else cells[t] * keep[t]
            d_i, d_f, d_g, d_o = d_gates[t].chunk(4, -1)
            torch.mul(d_cell * g, i * (1 - i), out=d_i)
            torch.mul(d_cell * before, f * (1 - f), out=d_f)
            torch.mul(d_cell * i, 1 - g.square(), out=d_g)
            torch.mul(d_hidden * squashed[t], o * (1 - o), out=d_o)
            d_state, d_cell = d_gates[t] @ recurrent, d_cell * f
            if keep is not None:
                d_state, d_cell = d_state * keep[t], d_cell * keep[t]
        previous = states[:-1] if keep is None else states[:-1] * keep
        d_recurrent = d_gates.reshape(T * B, -1).t() @ previous.reshape(T * B, -1)
        hidden = gates[..., 3 * C :] * squashed
        d_projection = d_outs.reshape(T * B, -1).t() @ hidden.reshape(T * B, -1)
        return d_gates, d_recurrent, d_projection, None, None


class ProjectedLSTM(nn.Module):
    """One layer in one direction: (T, B, P) to (T, B, P)."""

    def __init__(self, width: int, cells: int, cell_clip: float, state_clip: float):
        super().__init__()
        self.cells, self.clips = cells, (cell_clip, state_clip)
        self.inputs = nn.Linear(width, 4 * cells)
        self.recurrent = nn.Linear(width, 4 * cells, bias=False)
        self.projection = nn.Linear(cells, width, bias=False)

    def forward(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        """``keep``: (T, B, 1), 0 where a state before must be forgotten; None: one text a row."""
        if keep is None and self.clips == (0.0, 0.0) and x.is_cuda:
            return self.fused(x)
        out: Tensor = Passage.apply(self.inputs(x), self.recurrent.weight, self.projection.weight, keep, self.clips)
        return out

    def fused(self, x: Tensor) -> Tensor:
        """torch's kernel, which neither clips nor forgets; its second bias is 0."""
        assert self.inputs.bias is not None
        start = (
            x.new_zeros(1, x.shape[1], x.shape[2]),
            x.new_zeros(1, x.shape[1], self.cells),
        )
        second = torch.zeros_like(self.inputs.bias)
        weights = [self.inputs.weight, self.recurrent.weight, self.inputs.bias, second, self.projection.weight]
        out: Tensor = torch._VF.lstm(x, start, weights, True, 1, 0.0, self.training, False, False)[0]
        return out


class TwoWay(nn.Module):
    """One layer of both directions; they share nothing."""

    def __init__(self, width: int, cells: int, cell_clip: float, state_clip: float):
        super().__init__()
        self.ahead = ProjectedLSTM(width, cells, cell_clip, state_clip)
        self.back = ProjectedLSTM(width, cells, cell_clip, state_clip)


class TwoWayStack(nn.Module):
    """The layers. Each position's forward state has read the text up to and with it, its backward state from it on."""

    def __init__(
        self, width: int, cells: int, layers: int, cell_clip: float, state_clip: float, dropout: float
    ):
        super().__init__()
        self.layers = nn.ModuleList(TwoWay(width, cells, cell_clip, state_clip) for _ in range(layers))
        self.dropout = dropout

    def forward(self, x: Tensor, documents: Tensor | None = None) -> list[Tensor]:
        """``x``: (B, T, P) word vectors; ``documents``: (B, T) numbers, -1 on padding. (B, T, 2P) of each layer,
        forward states first; dropout falls on what every layer reads and on what the last one gives."""
        forward = x.transpose(0, 1)  # (T, B, P)
        backward = forward.flip(0)
        keep = keep_back = None
        if documents is not None:
            order = documents.t()
            keep, keep_back = _continues(order, x.dtype), _continues(order.flip(0), x.dtype)
        found = []
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, TwoWay)
            forward, backward = drop(forward, self.dropout, self.training), drop(backward, self.dropout, self.training)
            ahead, back = layer.ahead(forward, keep), layer.back(backward, keep_back)
            if number:
                ahead, back = ahead + forward, back + backward
            forward, backward = ahead, back
            found.append(torch.cat([forward, backward.flip(0)], -1).transpose(0, 1))
        if found and self.dropout and self.training:
            found[-1] = drop(found[-1], self.dropout)
        return found


def _continues(documents: Tensor, dtype: torch.dtype) -> Tensor:
    """(T, B) document numbers in reading order to (T, B, 1): 1 where a step is in the document of the step before."""
    same = torch.zeros(documents.shape, dtype=dtype, device=documents.device)
    same[1:] = (documents[1:] == documents[:-1]).to(dtype)
    return same[..., None]
