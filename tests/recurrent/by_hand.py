"""Recurrent cells and attention written out step by step, from the equations: what the fused ones are held to."""

import torch
from torch import Tensor, nn


def steps(cell: nn.RNNBase, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """(B, T, D) -> (B, T, H) and (P, B, H)."""
    w, u = cell.weight_ih_l0, cell.weight_hh_l0
    b, d = cell.bias_ih_l0, cell.bias_hh_l0
    h = x.new_zeros(len(x), u.shape[1]) if state is None else state[0]
    c = torch.zeros_like(h) if state is None or len(state) == 1 else state[1]
    out = []
    for t in range(x.shape[1]):
        up, across = x[:, t] @ w.T + b, h @ u.T + d
        if isinstance(cell, nn.LSTM):
            i, f, g, o = (up + across).chunk(4, dim=1)  # input, forget, candidate, output
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        elif isinstance(cell, nn.GRU):
            (r, z, n), (r_, z_, n_) = up.chunk(3, dim=1), across.chunk(3, dim=1)
            gate = torch.sigmoid(z + z_)
            h = (1 - gate) * torch.tanh(n + torch.sigmoid(r + r_) * n_) + gate * h
        else:
            h = torch.tanh(up + across)
        out.append(h)
    return torch.stack(out, 1), torch.stack([h, c] if isinstance(cell, nn.LSTM) else [h])


def language_model(model: nn.Module, ids: list[int]) -> Tensor:
    """(T, V) logits of a recurrent decoder for one text, without batch, padding or cache."""
    x = model.tokens.weight[torch.tensor([ids])]
    for layer in model.decoder.layers:
        x, _ = steps(layer.cell, x)
    if model.decoder.projection is not None:
        x = x @ model.decoder.projection.weight.T
    return (x @ model.tokens.weight.T + model.vocabulary.bias)[0]


def encoded(model: nn.Module, ids: list[int]) -> Tensor:
    """(S, W): the bidirectional encoder's output for one text."""
    x = model.tokens.weight[torch.tensor([ids])]
    for layer in model.encoder.layers:
        forwards, _ = steps(layer.cell, x)
        backwards, _ = steps(layer.reverse, x.flip(1))
        x = torch.cat([forwards, backwards.flip(1)], -1)
    return (x @ model.encoder.projection.weight.T)[0]


def answered(model: nn.Module, source: list[int], target: list[int]) -> tuple[Tensor, Tensor]:
    """(T, V) logits and (T, S) attention of an encoder-decoder, one step after another."""
    decoder, memory = model.decoder, encoded(model, source)
    attention = decoder.attention
    begin = torch.tanh(decoder.start.weight @ (memory[0] + memory[-1]) + decoder.start.bias)
    states = [
        torch.stack([h[None]] + [torch.zeros_like(h)[None]] * (model.config.parts - 1))
        for h in begin.chunk(len(decoder.layers))
    ]

    def look(h: Tensor) -> Tensor:
        if model.config.attention == "general":
            return (memory @ (attention.query.weight @ h)).softmax(0)
        inside = torch.tanh(attention.query.weight @ h + memory @ attention.key.weight.T)
        return (inside @ attention.score.weight[0]).softmax(0)

    logits, weights = [], []
    for token in target:
        x = model.tokens.weight[token]
        if model.config.attention == "additive":  # Bahdanau: what the last state looked at enters the step
            seen = look(states[0][0, 0])
            x = torch.cat([x, seen @ memory])
        for number, layer in enumerate(decoder.layers):
            y, states[number] = steps(layer.cell, x[None, None], states[number])
            x = y[0, 0]
        if model.config.attention == "general":  # Luong: the new state looks
            seen = look(x)
        read = torch.tanh(decoder.readout.weight @ torch.cat([seen @ memory, x]))
        logits.append(model.tokens.weight @ read + model.vocabulary.bias)
        weights.append(seen)
    return torch.stack(logits), torch.stack(weights)
