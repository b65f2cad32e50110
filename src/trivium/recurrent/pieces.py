"""Rows that hold several documents or padding, as sequences of their own: no state goes from one to another.

B rows of T tokens become N pieces of at most L tokens, padded on the right, where a state that runs on does no harm.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pieces:
    """Where each document of each row lies. Pieces are in the order of the rows, then of their places in them."""

    shape: tuple[int, int]  # (B, T)
    places: Tensor  # (N, L) int64: flat places in the rows; 0 on padding
    real: Tensor  # (N, L) bool
    rows: Tensor  # (N,) int64
    starts: Tensor  # (N,) int64: column of the first token
    lengths: Tensor  # (N,) int64
    documents: Tensor  # (N,) int64

    @classmethod
    def of(cls, documents: Tensor) -> Self:
        """From document numbers (B, T), -1 on padding."""
        B, T = documents.shape
        begins = torch.ones_like(documents, dtype=torch.bool)
        begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
        flat = documents.reshape(-1)
        first = begins.reshape(-1).nonzero()[:, 0]  # (M,) padding included
        ends = torch.cat([first[1:], first.new_tensor([B * T])])
        kept = flat[first] >= 0
        first, lengths = first[kept], (ends - first)[kept]
        longest = int(lengths.max()) if len(lengths) else 0
        step = torch.arange(longest, device=documents.device)
        real = step < lengths[:, None]
        places = torch.where(real, first[:, None] + step, 0)
        return cls((B, T), places, real, first // T, first % T, lengths, flat[first])

    @property
    def even(self) -> bool:
        """Whether no piece has padding."""
        return bool(self.real.all())

    @property
    def last(self) -> Tensor:
        """(N,) bool: the last piece of its row."""
        following = torch.cat([self.rows[1:], self.rows.new_tensor([-1])])
        return self.rows != following

    def cut(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (N, L, D)."""
        return x.reshape(-1, x.shape[-1])[self.places]

    def join(self, y: Tensor) -> Tensor:
        """(N, L, D) -> (B, T, D), zeros on padding."""
        B, T = self.shape
        rows = y.new_zeros(B * T, y.shape[-1])
        return rows.index_put((self.places[self.real],), y[self.real]).reshape(B, T, -1)

    def reverse(self, y: Tensor) -> Tensor:
        """(N, L, D) with each piece's own tokens in the opposite order; twice is the identity."""
        step = torch.arange(y.shape[1], device=y.device)
        order = torch.where(self.real, self.lengths[:, None] - 1 - step, step)
        return y.gather(1, order[:, :, None].expand(y.shape))

    def begin(self, state: Tensor, goes_on: Tensor, fresh: Tensor) -> Tensor:
        """(P, n, N, H): pieces that begin their row go on from its ``state`` (P, n, B, H) where ``goes_on`` (B,) is so,
        all others begin from ``fresh`` (P, n, N or 1, H)."""
        takes = (self.starts == 0) & goes_on[self.rows]  # (N,)
        return torch.where(takes[:, None], state[:, :, self.rows], fresh)

    def end(self, ends: Tensor, before: Tensor) -> Tensor:
        """(P, n, B, H): each row's state after its last piece, from those of the pieces; ``before`` without any."""
        last = self.last
        return before.index_copy(2, self.rows[last], ends[:, :, last])

    def end_documents(self, before: Tensor | None) -> Tensor:
        """(B,): the document of each row's last piece; ``before`` (or 0) without any."""
        last = self.last
        known = self.rows.new_zeros(self.shape[0]) if before is None else before
        return known.index_copy(0, self.rows[last], self.documents[last])
