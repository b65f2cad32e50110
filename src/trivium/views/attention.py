"""Attention weights of one text, as numbers.

Rows are the positions that look (queries), columns those looked at (keys); each row sums to 1 (Vaswani et al. 2017,
section 3.2.1). The summaries of a head follow Clark et al. 2019, "What Does BERT Look At?", section 3: entropy and the
share given to the previous, the next and the same token. Rollout is that of Abnar and Zuidema 2020, "Quantifying
Attention Flow in Transformers", section 3: the mean over heads of each layer, half of it the residual connection, and
the product over all layers up to one. Weights say where a head reads, not why the model decided.

What is not asked for is not kept, and layers after the last one asked for are not computed; weights are computed some
rows at a time, so that a text may fill the context.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from trivium.errors import RefusedError, SettingsError
from trivium.recurrent import RecurrentConfig
from trivium.transformer import Network, Record, TransformerConfig, TwoStreamConfig
from trivium.transformer.looks import Looking, Looks
from trivium.vectors.room import physical_memory
from trivium.views.passage import Passage

StackName = Literal["encoder", "decoder", "cross"]
Summary = Literal["none", "mean", "rollout"]


@dataclass(frozen=True)
class HeadSummary:
    """One head in five numbers, means over the positions that look; layers and heads count from 1."""

    layer: int
    head: int
    entropy: float  # bits; 0: one token gets all, log2(S): spread evenly
    previous: float  # share given to the token before
    same: float
    next: float
    first: float  # share given to the first token: where heads with nothing to say often look


@dataclass(frozen=True)
class AttentionView:
    """Attention of some layers and heads on one text, numbered from 1. ``summary``: weights are the mean over the
    heads of each layer, or the rollout up to each; then H is 1 and ``heads`` is empty."""

    stack: StackName
    queries: tuple[str, ...]  # T tokens that look
    keys: tuple[str, ...]  # S tokens looked at
    weights: np.ndarray  # (L, H, T, S) float32, rows sum to 1
    layers: tuple[int, ...]
    heads: tuple[int, ...]
    summary: Summary
    summaries: tuple[HeadSummary, ...]  # of each head that was looked at

    def to_json(self, digits: int = 6, *, weights: bool = True) -> dict[str, Any]:
        """Plain lists, for ``--json`` and for other programs."""
        numbers = {"weights": np.round(self.weights.astype(np.float64), digits).tolist()} if weights else {}
        return {
            "stack": self.stack,
            "queries": list(self.queries),
            "keys": list(self.keys),
            "layers": list(self.layers),
            "heads": list(self.heads),
            "summary": self.summary,
            **numbers,
            "summaries": [
                {name: round(value, digits) for name, value in asdict(each).items()} for each in self.summaries
            ],
        }


def stacks(model: Network) -> dict[StackName, tuple[int, int]]:
    """Where a model has attention: how many layers and heads each stack has."""
    config = model.config
    if isinstance(config, TwoStreamConfig):
        return {"encoder": (config.encoder_layers, config.heads)}
    if isinstance(config, TransformerConfig):
        found: dict[StackName, tuple[int, int]] = {}
        if config.encoder_layers:
            found["encoder"] = (config.encoder_layers, config.heads)
        if config.decoder_layers:
            found["decoder"] = (config.decoder_layers, config.heads)
        if config.encoder_layers and config.decoder_layers:
            found["cross"] = (config.decoder_layers, config.heads)
        return found
    if isinstance(config, RecurrentConfig) and config.encoder_layers and config.decoder_layers:
        return {"cross": (1, 1)}
    return {}


@torch.inference_mode()
def attention(
    model: Network, text: Passage, *, stack: StackName | None = None, layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None, summary: Summary = "none", most: int | None = None,
) -> AttentionView:  # fmt: skip
    """The weights of ``layers`` and ``heads`` (None: of all, of a rollout the last layer). ``stack``: if not given, the
    one that reads the text.
    ``most``: how many numbers there may be; if not given, as many as memory holds."""
    if summary not in get_args(Summary):
        raise SettingsError(f"summary is {summary!r}: choose {', '.join(get_args(Summary))}")
    there = stacks(model)
    if not there:
        raise SettingsError(
            "this model has no attention to show: look at a word in its contexts with --word, or at its weights with "
            "trivium inspect model"
        )
    name = stack or next(iter(there))
    if name not in there:
        raise SettingsError(f"stack is {name!r}: this model has {' and '.join(there)} attention")
    if summary == "rollout" and name == "cross":
        raise SettingsError("rollout follows a text through layers of self-attention: choose another stack")
    count, width = there[name]
    of_layers = (count,) if summary == "rollout" and layers is None else _numbers("layers", layers, count)
    of_heads = _numbers("heads", heads, width)
    asking, asked = (text.source, text.source) if name == "encoder" else (text.target, text.target)
    if name == "cross":
        asked = text.source
    assert asking is not None and asked is not None
    T, S = len(asking.ids), len(asked.ids)
    _check_room(len(of_layers) * (len(of_heads) if summary == "none" else 1), T, S, most)
    last = of_layers[-1]
    looks = _Chosen(of_layers, of_heads, summary)
    record = Record(Dropped(), Dropped(), Unwanted(), Unwanted(), Unwanted())
    if name == "encoder":
        record.encoder_attention, record.encoder_last = looks, last
    else:
        record.decoder_last = last
        if name == "decoder":
            record.decoder_attention = looks
        else:
            record.cross_attention = looks
    model(text.inputs(next(model.parameters()).device), record=record)
    own = of_heads if summary == "none" else ()
    return AttentionView(
        name, asking.tokens, asked.tokens, looks.weights(), of_layers, own, summary, tuple(looks.summaries)
    )


def _numbers(what: str, asked: Sequence[int] | None, count: int) -> tuple[int, ...]:
    """In rising order, each once."""
    if asked is None:
        return tuple(range(1, count + 1))
    if not asked:
        raise SettingsError(f"{what} is empty: leave it out for all, or name some of 1 to {count}")
    for number in asked:
        if not 1 <= number <= count:
            raise SettingsError(f"{what} has {number}: this model has {what} 1 to {count}")
    return tuple(sorted({*asked}))


def _check_room(kept: int, T: int, S: int, most: int | None) -> None:
    numbers, present = kept * T * S, physical_memory()
    if most is not None and numbers > most:
        raise RefusedError(
            f"{kept} x {T} x {S} weights are {numbers:,} numbers, and {most:,} may be asked for at once: name fewer "
            "layers or heads, or give a shorter text"
        )
    if present is not None and 4 * numbers > present / 2:
        raise RefusedError(
            f"{kept} x {T} x {S} weights take {4 * numbers / 1e9:,.1f} GB, more than half of this machine's memory: "
            "name fewer layers or heads"
        )


class Dropped(list[Tensor]):
    """Of hidden states nothing is kept."""

    def append(self, state: Tensor) -> None:
        """It is let go of."""


class Unwanted(Looks):
    """Of another stack no weights are computed."""

    def take(self, layer: Looking) -> None:
        """It is let go of."""

    def append(self, weights: Tensor) -> None:
        """It is let go of."""


class _Chosen(Looks):
    """Some layers' weights of some heads, each numbered from 1, of a batch of one row."""

    def __init__(self, layers: Sequence[int], heads: Sequence[int], summary: Summary):
        super().__init__()
        self.layers, self.heads, self.summary = frozenset(layers), heads, summary
        self.summaries: list[HeadSummary] = []
        self._passed = 0
        self._kept: list[Tensor] = []  # (H, T, S) each
        self._rolled: Tensor | None = None  # (1, T, T), through the layers so far

    def take(self, layer: Looking) -> None:
        """A layer that says how its weights are computed."""
        self._note(layer.queries, layer.keys, layer.blocks(), lambda head, rows: layer.block(head, rows)[0])

    def append(self, weights: Tensor) -> None:
        """A layer whose weights (1, H, T, S) are there already: a recurrent model's."""
        T, S = weights.shape[2:]
        self._note(T, S, [slice(0, T)], lambda head, rows: weights[0, head, rows])

    def weights(self) -> np.ndarray:
        """(L, H, T, S) float32."""
        return np.stack([each.cpu().numpy() for each in self._kept])

    def _note(self, T: int, S: int, blocks: Sequence[slice], weigh: Callable[[int, slice], Tensor]) -> None:
        self._passed += 1
        if self._passed not in self.layers and self.summary != "rollout":
            return
        alone = self.summary == "none"
        found = torch.zeros(len(self.heads) if alone else 1, T, S)
        for place, head in enumerate(self.heads):
            figures = _Figures(S)
            for rows in blocks:
                weights = weigh(head - 1, rows).float().cpu()
                figures.add(weights, rows.start)
                found[place if alone else 0, rows] += weights
            self.summaries.append(figures.summary(self._passed, head))
        if not alone:
            found /= len(self.heads)
        if self.summary == "rollout":
            found = found / 2 + torch.eye(T) / 2
            found = self._rolled = found if self._rolled is None else torch.bmm(found, self._rolled)
        if self._passed in self.layers:
            self._kept.append(found)


class _Figures:
    """Sums over the rows of one head."""

    def __init__(self, keys: int) -> None:
        self.keys, self.rows, self.entropy, self.first = keys, 0, 0.0, 0.0
        self.diagonals = {offset: [0.0, 0] for offset in (-1, 0, 1)}

    def add(self, weights: Tensor, start: int) -> None:
        """(rows, S) weights, the first row numbered ``start``."""
        self.rows += len(weights)
        self.entropy -= float(torch.xlogy(weights, weights).double().sum()) / math.log(2)
        self.first += float(weights[:, 0].double().sum())
        for offset, (total, count) in self.diagonals.items():
            if start + offset < self.keys:
                along = weights.diagonal(start + offset)
                self.diagonals[offset] = [total + float(along.double().sum()), count + len(along)]

    def summary(self, layer: int, head: int) -> HeadSummary:
        """The means."""
        previous, same, following = (total / count if count else 0.0 for total, count in self.diagonals.values())
        return HeadSummary(
            layer, head, max(0.0, self.entropy / self.rows), previous, same, following, self.first / self.rows
        )
