"""Scores for spans of words, overlapping and nested ones too, and for pairs of spans.

``span = [s_first; e_last; g; width]`` and ``scores = W2 relu(W1 span + b)``: s and e are the states of the first and
the last token, each through a network of its own, or plain; g is the mean of all states inside, or their sum by weights
of a softmax inside the span (the head finding of Lee et al. 2017, section 4; its two hidden layers are one here). A
pair's scores come of ``[span; span]`` in the same way.

The cost is linear in the longest width. W1 is split by columns, ``W1 span = W_s s + W_e e + W_g g + W_w w``, so its
products are made once for each word and a span costs additions. Means grow by one word at a time: those of all spans of
w words are each ``g + share * (next word's mean - g)``, with the share of the new word's weight in that of all. So no
difference of large sums is taken and no exponent can vanish. Rows of a batch lie end to end, without padding; stretches
that cross from one row into the next are left out before anything is asked about them.
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from trivium.randomness import key
from trivium.transformer.dropout import drop
from trivium.transformer.head_config import EachSpan
from trivium.transformer.inputs import SpanPlaces, Tokens
from trivium.transformer.network import Config

WIDTH_UNITS = 20  # of a width's vector (Lee et al. 2017)
PRIOR = 0.99  # how probable it is at first that a span has no label


class SpanHead(nn.Module):
    """Scores for the spans that ``tokens.spans`` lists, or for the pairs of them; ``EachSpan`` describes it."""

    def __init__(self, config: Config, made: EachSpan):
        super().__init__()
        self.labels, self.made = made.labels, made
        self.dropout = config.dropout if made.dropout is None else made.dropout
        width, hidden = config.width, made.hidden
        networks = made.ends == "networks"
        self.start = nn.Linear(width, hidden) if networks else None
        self.end = nn.Linear(width, hidden) if networks else None
        self.attention = nn.Linear(width, 1, bias=False) if made.summary == "attention" else None
        self.widths = nn.Embedding(made.widths, WIDTH_UNITS) if made.widths else None
        end = hidden if networks else width
        self.parts = (end, end, width * (made.summary != "none"), WIDTH_UNITS * bool(made.widths))
        self.joined = nn.Linear(sum(self.parts) * (1 + made.pairs), hidden)
        self.classifier = nn.Linear(hidden, made.labels)

    @property
    def config(self) -> EachSpan:
        """What it was made of."""
        return replace(self.made, dropout=self.dropout)

    def forward(self, hidden: Tensor, tokens: Tokens, pooled: Tensor | None = None) -> Tensor:
        """(B, T, W) -> (N, labels) in the order of the spans, or (P, labels) of the pairs. Where no spans are listed,
        every token is one."""
        places = tokens.spans or each_token(hidden, self.made.pairs)
        found = self.vectors(drop(hidden, self.dropout, self.training).flatten(0, 1), places)
        if not self.made.pairs:
            return torch.cat([self._scores(part) for part in found])
        spans, units = torch.cat(list(found)), self.made.hidden  # (N, 2 units)
        assert places.pairs is not None
        first, second = places.pairs.unbind(1)
        return self._scores(spans[:, :units].index_select(0, first) + spans[:, units:].index_select(0, second))

    def vectors(self, states: Tensor, places: SpanPlaces) -> Iterator[Tensor]:
        """(B T, W) -> for each width the sums of the layer ``joined`` (count, hidden); of pairs for both places in one,
        (count, 2 hidden), of which the second lack the bias."""
        first, last, summary, width = self._split()
        starts, ends = states.index_select(0, places.starts), states.index_select(0, places.stops)
        starts = (starts if self.start is None else self.start(starts).relu()) @ first.T  # (n, hidden)
        ends = (ends if self.end is None else self.end(ends).relu()) @ last.T
        means = self._means(states, places, summary)
        begin = 0
        for more, count in enumerate(places.widths):
            mean = next(means)
            sums = starts[: len(starts) - more] + ends[more:]
            if mean is not None:
                sums = sums + mean.to(sums.dtype)
            chosen = places.firsts[begin : begin + count]
            yield sums.index_select(0, chosen) + self._offset(more, width)
            begin += count

    def _split(self) -> tuple[Tensor, ...]:
        """The columns of ``joined`` by what they multiply; of pairs those of both places, one below the other."""
        weight = self.joined.weight
        if self.made.pairs:
            weight = torch.cat(weight.chunk(2, 1))
        return weight.split(self.parts, 1)

    def _offset(self, more: int, weight: Tensor) -> Tensor:
        """(hidden,): what all spans of a width have in common."""
        bias: Tensor = self.joined.bias
        if self.made.pairs:
            bias = torch.cat((bias, torch.zeros_like(bias)))
        if self.widths is None:
            return bias
        return bias + weight @ self.widths.weight[min(more, self.made.widths - 1)]

    def _means(self, states: Tensor, places: SpanPlaces, weight: Tensor) -> Iterator[Tensor | None]:
        """Of spans of one word, of two ... (n, hidden), (n - 1, hidden) ..., already multiplied."""
        if self.made.summary == "none":
            yield from [None] * len(places.widths)
            return
        inside = states.index_select(0, places.pieces)
        scores = None if self.attention is None else self.attention(inside).float()[:, 0]
        values = (inside @ weight.T).float()
        yield from span_means(values, scores, places.owners, len(places.starts), len(places.widths))

    def _scores(self, sums: Tensor) -> Tensor:
        return self.classifier(drop(sums.relu(), self.dropout, self.training))


@torch.no_grad()
def initialise_spans(head: SpanHead, name: str, seed: int) -> None:
    """Its first weights, which the small ones of a pretrained body's table would keep from learning for long.

    | tensor                            |                                                                       |
    |-----------------------------------|-----------------------------------------------------------------------|
    | start, end, joined                | N(0, (2 / inputs)^1/2), for layers with ReLU (He et al. 2015)         |
    | attention, classifier             | N(0, inputs^-1/2)                                                     |
    | widths                            | N(0, 1)                                                               |
    | classifier's bias                 | of the first label, which is no label: with PRIOR; of the others 0    |

    Nearly all spans have no label: at first the bias alone says so (Lin et al. 2017, 4.1), and no step is spent on it.
    """
    for own, parameter in head.named_parameters():
        if own.endswith("bias"):
            parameter.zero_()
            continue
        generator = torch.Generator().manual_seed(key(seed, "initialise", f"{name}.{own}") % 2**63)
        gain = 1 if own.startswith(("attention", "classifier")) else 2
        std = 1.0 if own.startswith("widths") else (gain / parameter.shape[1]) ** 0.5
        parameter.copy_(torch.empty(parameter.shape, dtype=torch.float32).normal_(0.0, std, generator=generator))
    head.classifier.bias[0] = math.log(PRIOR / (1 - PRIOR) * max(head.labels - 1, 1))


def span_means(values: Tensor, scores: Tensor | None, owners: Tensor, words: int, widths: int) -> Iterator[Tensor]:
    """Means of (M, F) values over the pieces of each word, of each two words side by side, and so on: (words, F),
    (words - 1, F) ... ``widths`` times. ``scores``: (M,) of a softmax inside each stretch; None: all pieces count
    alike. ``owners``: (M,) the word that a piece is of."""
    if scores is None:
        scores = values.new_zeros(len(values))
    peak = scores.new_full((words,), -torch.inf).scatter_reduce(0, owners, scores.detach(), "amax")
    weights = (scores - peak[owners]).exp()
    total = weights.new_zeros(words).index_add(0, owners, weights)
    each = values.new_zeros(words, values.shape[1]).index_add(0, owners, (weights / total[owners])[:, None] * values)
    logs = peak + total.log()  # (words,) of each word's weight
    mean, whole = each, logs
    yield mean
    for more in range(1, widths):
        whole = torch.logaddexp(whole[:-1], logs[more:])
        mean = torch.lerp(mean[:-1], each[more:], (logs[more:] - whole).exp()[:, None])
        yield mean


def each_token(hidden: Tensor, pairs: bool) -> SpanPlaces:
    """Every token of (B, T, W) as a span, and as a pair with itself."""
    every = torch.arange(hidden.shape[0] * hidden.shape[1], device=hidden.device)
    both = every[:, None].expand(-1, 2) if pairs else None
    return SpanPlaces(every, every, every, every, every, (len(every),), both)
