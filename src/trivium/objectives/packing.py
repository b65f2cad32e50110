"""From numpy rows to the model's ``Tokens``, leaving out every mask that would change nothing."""

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
