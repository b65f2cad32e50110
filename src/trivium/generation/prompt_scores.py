"""How probable a decoder finds each token of a prompt, and what it would have written in its place.

N positions, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trivium.errors import SettingsError
from trivium.generation.rows import check_length, right_padded
from trivium.transformer import Inputs, Network, Tokens

_LOGITS = 2**25  # at most this many at a time: 128 MB in float32


@dataclass(frozen=True)
class Told:
    """Of one token: its log-probability after those before it, and the most probable ones, falling. A text's first has
    neither, for nothing was read before it."""

    log_probability: float | None
    top: tuple[tuple[int, float], ...] = ()


@torch.inference_mode()
def prompt_scores(model: Network, rows: Sequence[Sequence[int]], top: int, vocabulary: int) -> list[list[Told]]:
    """One ``Told`` for each token of each row, with the ``top`` most probable. Short rows are read side by side, those
    of more logits than memory should hold in stretches, each after what has been read."""
    config = model.config
    if config.encoder_layers or config.two_stream or not config.decoder_layers:
        raise SettingsError("the log-probabilities of a prompt are those of a decoder, which this model is not")
    for row in rows:
        check_length(len(row), config.limit, "the prompt")
    most = max(1, _LOGITS // config.vocab_size)
    told: list[list[Told]] = [[Told(None)] for _ in rows]
    short = [number for number, row in enumerate(rows) if len(row) <= most]
    while short:
        taken: list[int] = []
        while short and sum(len(rows[number]) for number in (*taken, short[0])) <= most:
            taken.append(short.pop(0))
        for number, found in zip(taken, _side_by_side(model, [rows[n] for n in taken], top, vocabulary), strict=True):
            told[number] += found
    for number, row in enumerate(rows):
        if len(row) > most:
            told[number] += _in_stretches(model, row, most, top, vocabulary)
    return told


def _side_by_side(
    model: Network, rows: Sequence[Sequence[int]], top: int, vocabulary: int
) -> list[list[Told]]:
    device = next(model.parameters()).device
    tokens = right_padded(rows, model.config.pad_token, device)
    width = tokens.ids.shape[1]
    places = [number * width + at for number, row in enumerate(rows) for at in range(len(row) - 1)]
    if not places:
        return [[] for _ in rows]
    logits = model(Inputs(target=tokens), at=torch.tensor(places, device=device)).logits
    found = iter(_told(logits, [token for row in rows for token in row[1:]], top, vocabulary))
    return [[next(found) for _ in row[1:]] for row in rows]


def _in_stretches(model: Network, row: Sequence[int], most: int, top: int, vocabulary: int) -> list[Told]:
    weight = next(model.parameters())
    cache = model.new_cache(1, len(row), weight.device, weight.dtype)
    found = []
    for start in range(0, len(row) - 1, most):
        ids = torch.tensor([row[start : min(start + most, len(row) - 1)]], device=weight.device)
        at = torch.arange(ids.shape[1], device=weight.device)
        logits = model(Inputs(target=Tokens(ids)), at=at, cache=cache).logits
        found += _told(logits, row[start + 1 : start + 1 + ids.shape[1]], top, vocabulary)
    return found


def _told(logits: Tensor | None, targets: Sequence[int], top: int, vocabulary: int) -> list[Told]:
    assert logits is not None
    said = logits[:, :vocabulary].float().log_softmax(dim=-1)  # (N, V)
    own = said.gather(1, torch.tensor(targets, device=said.device)[:, None])[:, 0].tolist()
    best = said.topk(min(top, vocabulary), dim=-1)
    tops = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [Told(value, tuple(zip(*each, strict=True))) for value, each in zip(own, tops, strict=True)]
