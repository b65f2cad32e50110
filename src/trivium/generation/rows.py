"""Lists of token ids of different lengths, as the padded tensors the model takes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from trivium.errors import SettingsError
from trivium.transformer import Tokens


def right_padded(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> Tokens:
    """(B, T): padding after each row, in no document."""
    ids, lengths = _filled(rows, pad, left=False)
    width = ids.shape[1]
    if int(lengths.min()) == width:
        return Tokens(ids.to(device))
    real = torch.arange(width) < lengths[:, None]
    return Tokens(ids.to(device), documents=(real.long() - 1).to(device))


def left_padded(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> Tokens:
    """(B, T): padding before each row, so that all rows go on at the same column; positions count real tokens."""
    ids, lengths = _filled(rows, pad, left=True)
    width = ids.shape[1]
    if int(lengths.min()) == width:
        return Tokens(ids.to(device))
    positions = torch.arange(width) - (width - lengths[:, None])
    return Tokens(
        ids.to(device),
        documents=((positions >= 0).long() - 1).to(device),
        positions=positions.clamp(min=0).to(device),
    )


def read_both_ways(tokens: Tokens, known: Sequence[int]) -> Tokens:
    """The same, where the first columns of each row, as many as are ``known``, are seen from everywhere."""
    columns = torch.arange(tokens.ids.shape[1], device=tokens.ids.device)
    return replace(tokens, prefix=columns < torch.tensor(known, device=columns.device)[:, None])


def unread(tokens: Tokens, places: Sequence[Sequence[int]]) -> tuple[Tokens, Tensor]:
    """The same, where the ``places`` of each row are predicted from all others and seen by none of them, for two-stream
    networks; and the flat indices (N,) of the predictions."""
    device, most = tokens.ids.device, max(map(len, places))
    queries = torch.tensor([[*row, *[0] * (most - len(row))] for row in places], device=device)  # (B, R)
    asked = torch.arange(most, device=device) < torch.tensor([len(row) for row in places], device=device)[:, None]
    order = torch.zeros_like(tokens.ids)
    rows = asked.nonzero()[:, 0]
    order[rows, queries[asked]] = 1
    return replace(tokens, order=order, queries=queries), asked.flatten().nonzero()[:, 0]


def check_length(length: int, limit: int | None, what: str) -> None:
    """Refuses a sequence that does not fit, with the numbers; without a limit all do."""
    if limit is not None and length > limit:
        raise SettingsError(
            f"{what} has {length} tokens, and this model's context is {limit}: shorten it by {length - limit}"
        )


def _filled(rows: Sequence[Sequence[int]], pad: int, left: bool) -> tuple[Tensor, Tensor]:
    lengths = np.array([len(row) for row in rows], np.int64)
    places = np.arange(lengths.max())
    ids = np.full((len(rows), len(places)), pad, np.int64)
    real = places >= len(places) - lengths[:, None] if left else places < lengths[:, None]
    ids[real] = [number for row in rows for number in row]
    return torch.from_numpy(ids), torch.from_numpy(lengths)
