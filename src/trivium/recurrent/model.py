"""Recurrent language models, encoders and encoder-decoders: called as the Transformer is, and trained by the same code.

Mikolov et al. 2010 (recurrent language models), Zaremba et al. 2014 (LSTMs, with dropout), Press and Wolf 2017 (tied
embeddings), Bahdanau et al. 2015 and Luong et al. 2015 (attention). Left out: sampled softmax, peepholes.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.errors import SettingsError
from trivium.recurrent.config import RecurrentConfig
from trivium.recurrent.pieces import Pieces
from trivium.recurrent.sequence_to_sequence import AttentionDecoder, Source
from trivium.recurrent.stack import Stack
from trivium.recurrent.state import Carried, RecurrentCache
from trivium.transformer.heads import Pooler
from trivium.transformer.inputs import Inputs, Outputs, Record, Tokens
from trivium.transformer.network import Network, given, needs_pooler


class Projection(nn.Module):
    """From hidden states to a score for each token: the embeddings' own matrix where tied, and a bias a token."""

    def __init__(self, config: RecurrentConfig):
        super().__init__()
        self.projection = None if config.tied else nn.Linear(config.width, config.vocab_size, bias=False)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))

    def forward(self, hidden: Tensor, embeddings: Tensor) -> Tensor:
        """(..., W) and the (V, W) token embeddings -> (..., V)."""
        return F.linear(hidden, embeddings if self.projection is None else self.projection.weight, self.bias)


class RecurrentModel(Network):
    """Encoder, decoder or both, by the configuration's layer counts. Weights are torch's until ``initialise``."""

    config: RecurrentConfig

    def __init__(self, config: RecurrentConfig, heads: Mapping[str, nn.Module] | None = None):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        self.encoder = Stack(config, config.encoder_layers, both_ways=True) if config.encoder_layers else None
        self.decoder = None
        if config.decoder_layers:
            plain = not config.encoder_layers
            self.decoder = Stack(config, config.decoder_layers, False) if plain else AttentionDecoder(config)
        self.carried = Carried()
        self.vocabulary = Projection(config) if config.vocabulary_head != "none" else None
        self.pooler = Pooler(config.width) if needs_pooler(config, heads or {}) else None
        self.heads = nn.ModuleDict(dict(heads or {}))

    def forward(
        self, inputs: Inputs, *, at: Tensor | Literal["all"] | None = None, heads: Sequence[str] = (),
        cache: RecurrentCache | None = None, record: Record | None = None,
    ) -> Outputs:  # fmt: skip
        """``at``: flat indices (N,) into the last stack's (B, T) positions at which vocabulary scores are wanted.

        With a ``cache`` the target continues what the cache holds; the source is needed in the first call only. Rows
        with ``lanes`` go on where their lanes' last rows ended.
        """
        source = target = None
        if record is None and self.mixes(heads):
            record = Record.empty()
        if self.encoder is not None and (inputs.source is not None or self.decoder is None):
            side = given(inputs.source, "source")
            source = self._encode(side, record)
            if cache is not None:
                cache.memory, cache.source_documents = source, side.documents
        if self.decoder is not None:
            side = given(inputs.target, "target")
            if self.encoder is None:
                target = self._continue(side, cache, record)
            else:
                memory, documents = source, inputs.source.documents if inputs.source is not None else None
                if cache is not None:
                    memory, documents = cache.memory, cache.source_documents
                if memory is None:
                    raise SettingsError("an encoder-decoder needs inputs.source in the first call")
                target = self._answer(side, memory, documents, cache, record)
        elif cache is not None:
            raise SettingsError("a model without a decoder has nothing to cache: leave out the cache")
        hidden = source if target is None else target
        assert hidden is not None
        layers = (record.encoder_hidden if target is None else record.decoder_hidden) if record else None
        return self.outputs(hidden, side, source, at, heads, layers)

    def new_cache(self, rows: int, capacity: int, device: torch.device | str, dtype: torch.dtype) -> RecurrentCache:
        """Nothing is allocated for ``capacity`` tokens: a state has the same size however many were read."""
        return RecurrentCache(rows)

    def _encode(self, side: Tokens, record: Record | None) -> Tensor:
        pieces = None if side.documents is None else Pieces.of(side.documents)
        hidden = record.encoder_hidden if record else None
        return cast(Tensor, cast(Stack, self.encoder)(self.tokens(side.ids), pieces, hidden=hidden)[0])

    def _continue(self, side: Tokens, cache: RecurrentCache | None, record: Record | None) -> Tensor:
        """A language model's pass: from nothing, from what a cache has read, or from where the lanes were left."""
        x = self.tokens(side.ids)  # (B, T, W)
        pieces = None if side.documents is None else Pieces.of(side.documents)
        hidden = record.decoder_hidden if record else None
        stack = cast(Stack, self.decoder)
        empty = self._empty(x)
        if cache is None and side.lanes is None:
            return cast(Tensor, stack(x, pieces, hidden=hidden)[0])
        if cache is not None:
            before, goes_on = self._before(side, cache, empty.expand(-1, -1, len(x), -1))
        else:
            assert side.lanes is not None
            before, goes_on = self.carried.of(side.lanes, empty), torch.ones_like(side.lanes, dtype=torch.bool)
        state = before if pieces is None else pieces.begin(before, goes_on, empty)
        y, end = stack(x, pieces, state, exact=True, hidden=hidden)
        after = end if pieces is None else pieces.end(end, before)
        if cache is not None:
            cache.advance(x.shape[1], after, None if pieces is None else pieces.end_documents(cache.documents))
        elif side.lanes is not None:
            self.carried.keep(side.lanes, after)
        return cast(Tensor, y)

    def _answer(
        self, side: Tokens, memory: Tensor, documents: Tensor | None, cache: RecurrentCache | None,
        record: Record | None,
    ) -> Tensor:  # fmt: skip
        """The pass of a decoder beside an encoder: each document begins from its own source."""
        decoder = cast(AttentionDecoder, self.decoder)
        x = self.tokens(side.ids)
        pieces = None if side.documents is None else Pieces.of(side.documents)
        source = Source.of(memory, documents, pieces)
        fresh = decoder.begin(source)
        state = fresh
        before = self._empty(x).expand(-1, -1, len(x), -1)
        if cache is not None:
            before, goes_on = self._before(side, cache, before)
            if cache.state is not None:
                state = before if pieces is None else pieces.begin(before, goes_on, fresh)
        y, end = decoder(
            x, source, pieces, state, exact=cache is not None,
            hidden=record.decoder_hidden if record else None, looks=record.cross_attention if record else None,
        )  # fmt: skip
        if cache is not None:
            after = end if pieces is None else pieces.end(end, before)
            cache.advance(x.shape[1], after, None if pieces is None else pieces.end_documents(cache.documents))
        return cast(Tensor, y)

    def _empty(self, x: Tensor) -> Tensor:
        """(P, n, 1, H) zeros."""
        return x.new_zeros(self.config.parts, self.config.decoder_layers, 1, self.config.state)

    def _before(self, side: Tokens, cache: RecurrentCache, empty: Tensor) -> tuple[Tensor, Tensor]:
        """The rows' states (P, n, B, H) and which of them (B,) the first column goes on with: the same document."""
        cache.check(len(side.ids))
        last = torch.zeros_like(side.ids[:, 0]) if cache.documents is None else cache.documents
        first = torch.zeros_like(last) if side.documents is None else side.documents[:, 0]
        goes_on = (last == first) if cache.state is not None else torch.zeros_like(last, dtype=torch.bool)
        before = empty if cache.state is None else cache.state
        if side.documents is None and not bool(goes_on.all()):
            before = torch.where(goes_on[:, None], before, empty)
        return before, goes_on
