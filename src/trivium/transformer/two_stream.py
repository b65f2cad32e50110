"""XLNet (Yang et al. 2019, "XLNet: Generalized Autoregressive Pretraining for Language Understanding", section 2): a
text is predicted in any order of its positions, each from those before it in that order.

Two streams of states share all weights. The content stream reads: a position sees itself and what comes before it in
the order, or, without an order, everything. The query stream predicts: a position sees what comes before it, but not
its own token. Fine-tuning reads the content stream alone.

The network has two doors. ``inputs.source`` is read like an encoder's; ``Tokens.order`` gives an order to its positions
and ``Tokens.queries`` says which are to be predicted. ``inputs.target`` is read from left to right like a decoder's:
the states at a position are those of the query that stands one further, so that its logits predict the next token;
``Tokens.prefix`` marks what is seen from everywhere. So all that scores and writes with a decoder does so with this.

Positions are offsets in the row, whatever ``Tokens.positions`` says: only distances count, and padding on either side
or packing changes none. Left out: ``bi_data`` (rows read backward), ``same_length``, dropout inside the feed-forward.

B batch, T content positions, R queries, S keys (what was read before, and T), W width.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.errors import SettingsError
from trivium.randomness import key
from trivium.transformer.dropout import drop
from trivium.transformer.heads import Pooler
from trivium.transformer.inputs import Inputs, Outputs, Record, Tokens
from trivium.transformer.layers import FeedForward, norm
from trivium.transformer.masks import additive, causal, in_order, in_prefix, same_document
from trivium.transformer.network import Network, given, needs_pooler
from trivium.transformer.relative_attention import RelativeAttention, View, distance_vectors
from trivium.transformer.segment_memory import Memory, TwoStreamCache
from trivium.transformer.two_stream_config import TwoStreamConfig
from trivium.transformer.vocabulary import Vocabulary

Read = Memory | TwoStreamCache


class TwoStreamLayer(nn.Module):
    """Attention and feed-forward of both streams, each with its residual and, after it, its norm."""

    def __init__(self, config: TwoStreamConfig, index: int):
        super().__init__()
        self.index, self.dropout = index, config.dropout
        self.attention = RelativeAttention(config)
        self.attention_norm = norm(config.plain)
        self.feed_forward = FeedForward(config.plain)
        self.feed_forward_norm = norm(config.plain)

    def forward(
        self, content: Tensor, queries: Tensor | None, views: tuple[View, View | None], distances: Tensor,
        read: Read | None, record: Record | None,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """(B, T, W) and (B, R, W) or None -> the same."""
        earlier = read.of(self.index) if isinstance(read, Memory) else None
        keys, values = self.attention.keys_and_values(content, earlier)
        if isinstance(read, TwoStreamCache):
            keys, values = read.extend(self.index, keys, values)
        elif read is not None:
            read.keep(self.index, content)
        looks = (record.encoder_attention, record.decoder_attention) if record else (None, None)
        heard = self.attention(content, keys, values, distances, views[0], looks[0])
        if queries is not None and views[1] is not None:
            told = self.attention(queries, keys, values, distances, views[1], looks[1])
            queries = self._after(queries, told)
        return self._after(content, heard), queries

    def _after(self, x: Tensor, update: Tensor) -> Tensor:
        x = self.attention_norm(x + drop(update, self.dropout, self.training))
        return self.feed_forward_norm(x + drop(self.feed_forward(x), self.dropout, self.training))


class TwoStreamStack(nn.Module):
    """The layers, and what every query begins with."""

    def __init__(self, config: TwoStreamConfig):
        super().__init__()
        self.config = config
        self.start = nn.Parameter(torch.zeros(1, 1, config.width))
        self.layers = nn.ModuleList(TwoStreamLayer(config, index) for index in range(config.encoder_layers))

    def forward(
        self, content: Tensor, rows: int, views: tuple[View, View | None], keys: int, read: Read | None,
        record: Record | None,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        """``content``: (B, T, W) embeddings; ``rows``: how many queries, R; ``keys``: S."""
        content = drop(content, self.config.dropout, self.training)
        queries = None
        if views[1] is not None:
            queries = drop(self.start.expand(len(content), rows, -1), self.config.dropout, self.training)
        last = record.encoder_last if record else None
        for index, layer in enumerate(self.layers):
            if last is not None and index >= last:
                break
            _note(record, content, queries)
            distances = self._distances(index, keys, content, read)
            content, queries = layer(content, queries, views, distances, read, record)
        _note(record, content, queries)
        content = drop(content, self.config.dropout, self.training)
        return content, None if queries is None else drop(queries, self.config.dropout, self.training)

    def _distances(self, index: int, keys: int, content: Tensor, read: Read | None) -> Tensor:
        """(H, S + T + 1, D): a layer's keys of the distances S + 1 to 1 - T. A cache keeps them, for all its steps."""
        attention, rows = self.layers[index].attention, content.shape[1]
        assert isinstance(attention, RelativeAttention)
        width, clamp, count = self.config.width, self.config.clamp, keys + rows + 1
        if not isinstance(read, TwoStreamCache):
            vectors = distance_vectors(keys + 1, 1 - rows, width, clamp, content.device, content.dtype)
            return attention.of_distances(vectors)
        if index not in read.distances or read.distances[index].shape[1] < read.farthest + rows:
            read.farthest = read.capacity + 1
            vectors = distance_vectors(read.farthest, 1 - rows, width, clamp, content.device, content.dtype)
            read.distances[index] = attention.of_distances(vectors)
        first = read.farthest - (keys + 1)
        return read.distances[index][:, first : first + count]


def _note(record: Record | None, content: Tensor, queries: Tensor | None) -> None:
    if record is not None:
        record.encoder_hidden.append(content)
        if queries is not None:
            record.decoder_hidden.append(queries)


class TwoStream(Network):
    """Called as every network is. ``Outputs.hidden`` are the query stream's states where something is predicted, and
    ``source_hidden`` the content stream's; heads read the content stream."""

    config: TwoStreamConfig
    encoder: TwoStreamStack

    def __init__(self, config: TwoStreamConfig, heads: Mapping[str, nn.Module] | None = None):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        self.encoder = TwoStreamStack(config)
        self.decoder = None
        self.vocabulary = Vocabulary(config.plain) if config.vocabulary_head != "none" else None
        self.pooler = Pooler(config.width) if needs_pooler(config, heads or {}) else None
        self.heads = nn.ModuleDict(dict(heads or {}))

    def forward(
        self, inputs: Inputs, *, at: Tensor | Literal["all"] | None = None, heads: Sequence[str] = (),
        cache: Read | None = None, record: Record | None = None,
    ) -> Outputs:  # fmt: skip
        """``at``: flat indices (N,) into (B, T), or, where ``Tokens.queries`` says what is predicted, into its (B, R).

        ``cache``: from ``new_cache``, or a ``Memory`` of earlier segments, which gradients do not enter.
        """
        writes = inputs.source is None and inputs.target is not None
        side = given(inputs.target, "target") if writes else given(inputs.source, "source")
        _check(side, writes)
        B, T = side.ids.shape
        past = cache.length if cache is not None else 0
        known = cache.note(B, T, side.documents) if isinstance(cache, TwoStreamCache) else side.documents
        content = self.tokens(side.ids)
        views = self._views(side, past, known, writes, content.dtype)
        rows = T if side.queries is None else side.queries.shape[1]
        if record is None and self.mixes(heads):
            record = Record.empty()
        states, predicted = self.encoder(content, rows, views, past + T, cache, record)
        if isinstance(cache, TwoStreamCache):
            cache.advance(T)
            cache.latest = side.ids[:, -1]
        read = self.outputs(states, side, states, at if predicted is None else None, heads,
                            record.encoder_hidden if record else None)  # fmt: skip
        if predicted is None:
            return read
        return Outputs(predicted, states, self._logits(predicted, at), read.heads)

    def new_cache(self, rows: int, capacity: int, device: torch.device | str, dtype: torch.dtype) -> TwoStreamCache:
        """Keys and values of ``rows`` sequences, with room for ``capacity`` tokens each."""
        return TwoStreamCache.sized(self.config, rows, capacity, device, dtype)

    def _views(
        self, side: Tokens, past: int, known: Tensor | None, writes: bool, dtype: torch.dtype
    ) -> tuple[View, View | None]:
        """What the content sees and, where something is predicted, what the queries see."""
        T, ids = side.ids.shape[1], side.ids
        both = []  # (1 or B, 1, T, S) each
        if self.config.causal or writes:
            forward = causal(T, past + T, ids.device)[None, None]
            both.append(forward if side.prefix is None else forward | in_prefix(side.prefix, past + T))
        if known is not None:
            alike = same_document(known[:, -T:], known)
            both.append(F.pad(alike, (past + T - alike.shape[3], 0), value=True))  # a memory knows no documents
        differs = None
        if side.segments is not None:  # all that was read before counts as segment 0
            differs = ~same_document(side.segments, F.pad(side.segments, (past, 0)))
        ordered = [] if side.order is None else [in_order(side.order, side.order, past)]
        content = View(_mask([*both, *ordered], dtype), differs)
        if writes:
            return content, View(content.mask, differs, ahead=1)
        if side.queries is None or side.order is None:
            return content, None
        of = side.queries  # (B, R)
        seen = [each.expand(len(ids), -1, -1, -1).take_along_dim(of[:, None, :, None], 2) for each in both]
        seen.append(in_order(side.order.gather(1, of), side.order, past, strictly=True))
        columns = T - of[:, :, None] + torch.arange(past + T, device=ids.device)  # (B, R, S)
        blind = ~_all(seen)[:, 0].any(-1, keepdim=True)  # (B, R, 1)
        other = None if differs is None else differs.take_along_dim(of[:, None, :, None], 2)
        return content, View(_mask(seen, dtype), other, columns=columns[:, None], blind=blind)


def _check(side: Tokens, writes: bool) -> None:
    if writes and (side.order is not None or side.queries is not None):
        raise SettingsError("inputs.target is read from left to right: give an order and queries with inputs.source")
    if side.queries is not None and side.order is None:
        raise SettingsError("queries are predicted from what comes before them: give an order with them")


def _all(visible: Sequence[Tensor]) -> Tensor:
    found = visible[0]
    for each in visible[1:]:
        found = found & each
    return found


def _mask(visible: Sequence[Tensor], dtype: torch.dtype) -> Tensor | None:
    return additive(_all(visible), dtype) if visible else None


@torch.no_grad()
def initialise_two_stream(model: TwoStream, seed: int, known: Collection[str] = ()) -> TwoStream:
    """First values of weights that are not ``known``; a tensor depends on the seed and its own name and shape alone.

    | tensor                                                                        |               |
    |-------------------------------------------------------------------------------|---------------|
    | matrices, embeddings, the queries' start, the three biases of scores, heads   | N(0, std)     |
    | every other bias 0, every norm's weight 1; of a layer mix: scores 0, scale 1                  |
    """
    norms = tuple(f"{name}." for name, module in model.named_modules() if isinstance(module, nn.LayerNorm))
    for name, parameter in model.named_parameters():
        if name in known:
            continue
        if (name.startswith(norms) and name.endswith("weight")) or name.endswith("mix.scale"):
            parameter.fill_(1.0)
        elif name.endswith((".bias", "mix.scores")):
            parameter.zero_()
        else:
            generator = torch.Generator().manual_seed(key(seed, "initialise", name) % 2**63)
            values = torch.empty(parameter.shape, dtype=torch.float32)
            parameter.copy_(values.normal_(0.0, model.config.init_std, generator=generator))
    return model
