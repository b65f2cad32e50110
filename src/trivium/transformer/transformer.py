"""A stack of layers with its positions: the encoder, or the decoder with or without an encoder beside it."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.errors import SettingsError
from trivium.transformer.cache import Cache
from trivium.transformer.config import Learned, RelativeBias, Rotary, Sinusoidal, TransformerConfig
from trivium.transformer.dropout import drop
from trivium.transformer.inputs import Tokens
from trivium.transformer.layers import Layer, Surroundings, norm
from trivium.transformer.looks import Looks
from trivium.transformer.masks import Mask, cross_mask, self_mask
from trivium.transformer.positions import RelativePositions, rotations, sinusoids


@dataclass(frozen=True)
class Records:
    """Lists that a pass fills, or None where nothing is asked for."""

    hidden: list[Tensor] | None = None
    attention: Looks | None = None
    cross_attention: Looks | None = None
    last: int | None = None  # no layer after it is computed


class Stack(nn.Module):
    """Embeddings' additions (positions, segments, norm), the layers, and the final norm of pre-norm models."""

    def __init__(self, config: TransformerConfig, decoder: bool):
        super().__init__()
        self.config, self.decoder = config, decoder
        position, width = config.position, config.width
        self.positions: nn.Module | None = None
        if isinstance(position, Learned):
            self.positions = nn.Embedding(config.context + position.offset, width)
        elif isinstance(position, RelativeBias):
            self.positions = RelativePositions(position.buckets, position.distance, config.heads, both_ways=not decoder)
        self.segments = nn.Embedding(config.segments, width) if config.segments else None
        self.embedding_norm = norm(config) if config.embedding_norm else None
        cross = decoder and config.encoder_layers > 0
        count = config.decoder_layers if decoder else config.encoder_layers
        self.layers = nn.ModuleList(Layer(config, index, cross) for index in range(count))
        self.norm = norm(config) if config.norm_place == "pre" else None

    def forward(
        self, x: Tensor, side: Tokens, memory: Tensor | None = None, source: Tokens | None = None,
        cache: Cache | None = None, records: Records = Records(),  # noqa: B008 (frozen)
        only: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """``x``: (B, T, W) token embeddings of ``side``; ``memory``: (B, S, W), the encoder's output for ``source``.

        ``only``: (B,), the one place of each row whose last state is wanted; the result is then (B, 1, W). Of stacks
        that rotate nothing and have no memory.
        """
        B, T, _ = x.shape
        past = cache.length if cache is not None else 0
        known = cache.note(B, T, side.documents) if cache is not None else side.documents
        x = self.embed(x, side, past)
        mask = near = self._with_relative_bias(self_mask(x, side, past, self.decoder, known), T, past)
        if (band := self.config.band) is not None:
            near = self._with_relative_bias(self_mask(x, side, past, self.decoder, known, band.width), T, past)
        crossing = Mask()
        if self.decoder and self.config.encoder_layers:
            keys = source.documents if source is not None else None
            if cache is not None:
                if source is not None:
                    cache.source_documents = keys
                keys = cache.source_documents
            crossing = cross_mask(x, side.documents, keys, cache.branches if cache is not None else 1)
        rotation, attention, crossed = self._rotation(x, side, past), records.attention, records.cross_attention
        around = Surroundings(mask, rotation, memory, crossing, cache, attention, crossed, near)
        if records.hidden is not None:
            records.hidden.append(x)
        for index, layer in enumerate(self.layers, 1):
            if records.last is not None and index > records.last:
                break
            x = layer(x, around, only if index == len(self.layers) else None)
            if records.hidden is not None:
                records.hidden.append(x)
        if cache is not None:
            cache.advance(T)
        return x if self.norm is None else self.norm(x)

    def embed(self, x: Tensor, side: Tokens, past: int = 0) -> Tensor:
        """Add what says where, and in which segment, each token (B, T, W) stands; ``past`` tokens came before."""
        position, end = self.config.position, past + x.shape[1]
        if isinstance(position, Learned):
            assert isinstance(self.positions, nn.Embedding)
            if side.positions is None and end > self.config.context:
                raise SettingsError(
                    f"a sequence of {end} tokens is longer than model.context = {self.config.context}: "
                    "cut it, or train a model with a larger context"
                )
            if side.positions is None:
                x = x + self.positions.weight[position.offset + past : position.offset + end]
            else:
                x = x + self.positions(side.positions + position.offset if position.offset else side.positions)
        elif isinstance(position, Sinusoidal):
            table = sinusoids(max(end, self.config.context), self.config.width, x.device, x.dtype)
            shift = table[past:end] if side.positions is None else table[side.positions]
            x = x * self.config.width**0.5 + shift
        if self.segments is not None:
            x = x + (self.segments.weight[0] if side.segments is None else self.segments(side.segments))
        if self.embedding_norm is not None:
            x = self.embedding_norm(x)
        return drop(x, self.config.dropout, self.training)

    def _rotation(self, x: Tensor, side: Tokens, past: int) -> tuple[Tensor, Tensor] | None:
        position, end = self.config.position, past + x.shape[1]
        if not isinstance(position, Rotary):
            return None
        longest = max(end, self.config.context)
        width = self.config.per_head
        cosine, sine = rotations(longest, width, position.theta, x.device, x.dtype, position.scaling)
        if side.positions is None:
            return cosine[past:end], sine[past:end]
        return F.embedding(side.positions, cosine)[:, None], F.embedding(side.positions, sine)[:, None]

    def _with_relative_bias(self, mask: Mask, queries: int, past: int) -> Mask:
        """T5's bias and the mask in one tensor, made once for all layers."""
        if not isinstance(self.positions, RelativePositions):
            return mask
        bias = self.positions(queries, queries + past)
        seen = mask.explicit(queries, queries + past, bias.device, bias.dtype)
        return Mask(bias if seen is None else torch.add(bias, seen))
