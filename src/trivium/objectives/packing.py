"""From numpy rows to the model's ``Tokens``, leaving out every mask that would change nothing."""

from typing import Literal, overload

import numpy as np
import torch

from trivium.transformer import Tokens


def pack(
    ids: np.ndarray, documents: np.ndarray, positions: np.ndarray | None = None, segments: np.ndarray | None = None
) -> Tokens:
    """(B, T) arrays to ``Tokens``. Rows that are one document without padding get no mask, which is the fast path of
    attention; positions are passed on only where a row holds several documents."""
    several = positions is not None and bool((documents > 0).any())
    masked = bool(documents.any())
    return Tokens(
        ids=torch.from_numpy(np.ascontiguousarray(ids, dtype=np.int64)),
        documents=torch.from_numpy(np.ascontiguousarray(documents, dtype=np.int64)) if masked else None,
        positions=torch.from_numpy(np.ascontiguousarray(positions, dtype=np.int64)) if several else None,
        segments=torch.from_numpy(np.ascontiguousarray(segments, dtype=np.int64)) if segments is not None else None,
    )


def places(chosen: np.ndarray) -> torch.Tensor | None:
    """Flat indices of a (B, T) bool array, (N,) int64, for ``model(..., at=...)``; None when all are chosen."""
    return None if chosen.all() else torch.from_numpy(np.flatnonzero(chosen))


@overload
def steady(at: torch.Tensor) -> torch.Tensor: ...
@overload
def steady(at: torch.Tensor | None) -> torch.Tensor | Literal["all"]: ...
def steady(at: torch.Tensor | None) -> torch.Tensor | Literal["all"]:
    """``at`` (N,) with its last place repeated until its length is a multiple of a thirty-second to a sixteenth of N,
    on a CPU; "all" for None.

    The number of targets differs a little from step to step, and with it the size of the logits, the largest tensors of
    a small model's step. The C library then finds no freed block that fits: the process of an encoder grew within ten
    steps to 1.3 times of what it takes with blocks of equal sizes (measured), at equal speed. ``cross_entropy`` and
    ``divergence`` pass over what is behind the targets.
    """
    if at is None:
        return "all"
    if at.device.type != "cpu" or not len(at):
        return at
    missing = -len(at) % max(1, 1 << max(0, len(at).bit_length() - 5))
    return torch.cat([at, at[-1:].expand(missing)]) if missing else at
