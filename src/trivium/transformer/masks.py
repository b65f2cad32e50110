"""Who may see whom: small boolean functions, joined by and/or, made additive once per forward pass.

A boolean mask is True where a query (row) may attend to a key (column); the additive form holds 0 there and the
lowest finite number elsewhere, so that a row without any visible key gives a mean instead of NaN.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from trivium.transformer.inputs import Tokens
from trivium.transformer.positions import remembered


@dataclass(frozen=True)
class Mask:
    """What attention adds to its scores. ``causal``: the plain lower triangle, which kernels know by themselves."""

    bias: Tensor | None = None  # (1 or B, 1 or H, T, S), in the dtype of the scores; None: everything is visible
    causal: bool = False

    def explicit(self, queries: int, keys: int, device: torch.device, dtype: torch.dtype) -> Tensor | None:
        """The bias, also for the plain lower triangle."""
        return triangle_bias(queries, keys, device, dtype) if self.causal else self.bias

    def of_rows(self, rows: slice, queries: int, keys: int, device: torch.device, dtype: torch.dtype) -> Tensor | None:
        """The bias of some queries, ``rows`` of all; of the plain lower triangle no more than these are made."""
        if self.causal:
            start, stop, _ = rows.indices(queries)
            return additive(causal(stop - start, keys - queries + stop, device), dtype)[None, None]
        return None if self.bias is None else self.bias[:, :, rows]

    def at_places(self, places: Tensor, tokens: Tensor) -> "Mask":
        """Of one query in each row, at ``places`` (B,); ``tokens``: (B, T, W), which are asked."""
        bias = self.explicit(tokens.shape[1], tokens.shape[1], tokens.device, tokens.dtype)
        if bias is None:
            return self
        rows = bias.expand(len(places), -1, -1, -1)
        return Mask(rows[torch.arange(len(places), device=places.device), :, places][:, :, None])


def causal(queries: int, keys: int, device: torch.device) -> Tensor:
    """(T, S): nothing after the query. The queries are the last of the keys' positions."""
    return torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)


def nearby(queries: int, keys: int, band: int, device: torch.device) -> Tensor:
    """(T, S): fewer than ``band`` positions away. The queries are the last of the keys' positions."""
    seen = torch.ones(queries, keys, dtype=torch.bool, device=device)
    return seen.tril(keys - queries + band - 1).triu(keys - queries - band + 1)


def same_document(queries: Tensor, keys: Tensor) -> Tensor:
    """(B, 1, T, S) from document numbers (B, T) and (B, S): padding and packing in one."""
    return (queries[:, :, None] == keys[:, None, :])[:, None]


def same_branch(branches: Tensor) -> Tensor:
    """(B, 1, T, T) from branch numbers (B, T): a branch sees itself and the beginning, 0, that all go on from."""
    keys, queries = branches[:, None, :], branches[:, :, None]
    return ((keys == 0) | (keys == queries))[:, None]


def in_prefix(prefix: Tensor, keys: int) -> Tensor:
    """(B, 1, 1, S) from the queries' prefix marks (B, T): keys seen from everywhere. Cached keys need no mark."""
    return torch.nn.functional.pad(prefix, (keys - prefix.shape[1], 0))[:, None, None, :]


def in_order(asking: Tensor, keys: Tensor, past: int, strictly: bool = False) -> Tensor:
    """(B, 1, R, past + T) from places in an order, (B, R) and (B, T): what comes before the asking position or with
    it, ``strictly``: before it alone. The ``past`` keys of earlier passes come before all."""
    earlier = keys[:, None, None, :] < asking[:, None, :, None]
    if not strictly:
        earlier = earlier | (keys[:, None, None, :] == asking[:, None, :, None])
    return torch.nn.functional.pad(earlier, (past, 0), value=True)


def additive(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where visible, the lowest finite number elsewhere."""
    return torch.zeros(visible.shape, dtype=dtype, device=visible.device).masked_fill_(~visible, torch.finfo(dtype).min)


@remembered
def triangle_bias(queries: int, keys: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(1, 1, T, S): the additive causal mask; no batch needs its own."""
    return additive(causal(queries, keys, device), dtype)[None, None]


def self_mask(
    tokens: Tensor, side: Tokens, past: int, causally: bool, known: Tensor | None, band: int | None = None
) -> Mask:
    """The mask of a stack's self-attention.

    ``tokens``: (B, T, W) embeddings, for device and dtype; ``past``: how many keys a cache holds; ``known``: the
    document numbers (B, S) of all keys where any were given, else None; ``band``: how near a key has to be.
    """
    queries, keys = tokens.shape[1], tokens.shape[1] + past
    narrow = band is not None and keys > band  # otherwise all are near
    if known is None and not narrow and side.branches is None and (not causally or side.prefix is None):
        if not causally or queries == 1:
            return Mask()
        if past == 0:
            return Mask(causal=True)
        return Mask(triangle_bias(queries, keys, tokens.device, tokens.dtype))
    visible = torch.ones(1, 1, 1, keys, dtype=torch.bool, device=tokens.device)
    if causally and queries > 1:
        visible = causal(queries, keys, tokens.device)[None, None]
        if side.prefix is not None:
            visible = visible | in_prefix(side.prefix, keys)
    if band is not None and narrow:
        visible = visible & nearby(queries, keys, band, tokens.device)
    if known is not None:
        visible = visible & same_document(known[:, past:], known)
    if side.branches is not None:
        visible = visible & same_branch(side.branches)
    return Mask(additive(visible, tokens.dtype))


def cross_mask(tokens: Tensor, queries: Tensor | None, keys: Tensor | None, branches: int = 1) -> Mask:
    """The mask of cross-attention, from document numbers (B, T) and (B, S); a missing side is document 0 throughout.
    ``branches``: so many rows of queries in turn share one row of keys, and are stacked along T."""
    if keys is None and queries is None:
        return Mask()
    if keys is None:
        return Mask()  # without source padding or packing a target's padding cannot be told what to see: it sees all
    if queries is None:
        queries = keys.new_zeros(tokens.shape[:2])
    if branches > 1:
        queries = queries.reshape(keys.shape[0], branches * queries.shape[1])
    return Mask(additive(same_document(queries, keys), tokens.dtype))
