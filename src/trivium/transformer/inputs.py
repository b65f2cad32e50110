"""What goes into the Transformer and what comes out.

B batch, T query length, S source length, W width, V vocabulary, H heads.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from trivium.transformer.looks import Looks


@dataclass(frozen=True)
class SpanPlaces:
    """Which words the tokens of a batch are and which stretches of words are asked about, or which pairs of those.

    The n words of all rows are numbered through, a row's side by side; the N spans are in order of their width. Tokens
    are numbered flat, over (B, T).
    """

    starts: Tensor  # (n,) int64: the first token of each word
    stops: Tensor  # (n,) int64: the last one, inside
    pieces: Tensor  # (M,) int64: tokens that are words or pieces of words
    owners: Tensor  # (M,) int64: the words that they are of
    firsts: Tensor  # (N,) int64: the first word of each span
    widths: tuple[int, ...]  # how many spans have one word, two words ...
    pairs: Tensor | None = None  # (P, 2) int64: numbers of spans

    def to(self, device: torch.device | str) -> Self:
        def moved(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=True)

        return type(self)(
            moved(self.starts), moved(self.stops), moved(self.pieces), moved(self.owners), moved(self.firsts),
            self.widths, None if self.pairs is None else moved(self.pairs),
        )  # fmt: skip


@dataclass(frozen=True)
class Tokens:
    """One side of the input: the encoder's or the decoder's sequence.

    ``documents`` is at once the padding and the packing mask: positions attend to each other only where the numbers
    are equal; padding is -1. None: the row is one document without padding. ``prefix`` marks positions that a decoder
    may see from everywhere (prefix LM). ``lanes``: which of a training run's endless texts each row goes on with, for
    networks that carry their state from row to row. ``characters``: how words are spelt that the vocabulary does not
    hold, for networks that read characters; zeros where it does. ``order`` and ``queries``, for two-stream networks:
    when each position comes in the order of prediction, equal numbers see each other; and the positions to predict,
    each from those that come before it. ``spans``: what heads that label stretches of words are asked about.
    ``borders``: the tokens that a head predicts from those on both sides of their span. ``branches``: several endings
    of one beginning in one row: tokens of the beginning are 0 and seen by all, those of an ending by it alone.
    """

    ids: Tensor  # (B, T) int64
    documents: Tensor | None = None  # (B, T) int64, -1 on padding
    positions: Tensor | None = None  # (B, T) int64; None: 0..T-1 in each row (after the cache's length)
    segments: Tensor | None = None  # (B, T) int64
    prefix: Tensor | None = None  # (B, T) bool
    lanes: Tensor | None = None  # (B,) int64
    characters: Tensor | None = None  # (B, T, C) integers
    order: Tensor | None = None  # (B, T) int64
    queries: Tensor | None = None  # (B, R) int64
    spans: SpanPlaces | None = None
    borders: Tensor | None = None  # (M, 3) int64: flat places before and after the span, and which token of it, from 0
    branches: Tensor | None = None  # (B, T) int64, of a row that is read at once, with ``positions``

    def to(self, device: torch.device | str) -> Self:
        def moved(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=True)

        return type(self)(
            self.ids.to(device, non_blocking=True),
            moved(self.documents),
            moved(self.positions),
            moved(self.segments),
            moved(self.prefix),
            moved(self.lanes),
            moved(self.characters),
            moved(self.order),
            moved(self.queries),
            None if self.spans is None else self.spans.to(device),
            moved(self.borders),
            moved(self.branches),
        )


def moved_right(side: Tokens, start: int) -> Tokens:
    """The same row for a decoder that reads it: ``start`` first, and every token one place later; the last falls out.

    Its state at the row's last real place has seen all but that place's token: what BART and T5 sum up a text by.
    """
    ids = torch.cat((torch.full_like(side.ids[:, :1], start), side.ids[:, :-1]), 1)
    return Tokens(ids, side.documents)


@dataclass(frozen=True)
class Inputs:
    """``source`` feeds the encoder, ``target`` the decoder; an encoder or decoder alone has one of them."""

    source: Tokens | None = None
    target: Tokens | None = None

    def to(self, device: torch.device | str) -> Self:
        return type(self)(
            self.source.to(device) if self.source else None, self.target.to(device) if self.target else None
        )


@dataclass
class Record:
    """Filled by a forward pass that is given one: everything the views show, each in lists that take what they want.
    Hidden states are part of the graph where gradients are computed: look at a model under ``torch.no_grad()``.
    ``encoder_last``, ``decoder_last``: no layer of that stack after this one is computed, and what the pass gives back
    is none of the model's."""

    encoder_hidden: list[Tensor]  # (B, S, W) each: embeddings first, then after each layer
    decoder_hidden: list[Tensor]  # (B, T, W)
    encoder_attention: Looks  # (B, H, S, S)
    decoder_attention: Looks  # (B, H, T, T)
    cross_attention: Looks  # (B, H, T, S)
    encoder_last: int | None = None
    decoder_last: int | None = None

    @classmethod
    def empty(cls) -> Self:
        return cls([], [], Looks(), Looks(), Looks())


@dataclass(frozen=True)
class Outputs:
    """``hidden`` is the last stack's final states: the decoder's where there is one."""

    hidden: Tensor  # (B, T, W)
    source_hidden: Tensor | None = None  # (B, S, W): the encoder's, when there is an encoder
    logits: Tensor | None = None  # (N, V) at the positions asked for, or (B, T, V) for "all"
    heads: dict[str, Tensor] | None = None  # by the name of the head asked for
