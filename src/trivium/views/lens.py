"""What a model would say after each of its layers: the logit lens (nostalgebraist 2020, "interpreting GPT").

The states after a layer go through what follows the last one: the final norm, where the model has one, and the
vocabulary projection with all that belongs to it (an encoder's masked-language-modelling head). Layer 0 are the
embeddings; at the last layer the lens is the model itself. A decoder's position i predicts token i + 1, an encoder's
token i itself. Left out: the tuned lens (Belrose et al. 2023), which trains a map for each layer.

The states of the layers asked for are kept, scores are computed for some rows of one layer at a time, and of these only
the most probable tokens are kept.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

import torch
from torch import Tensor, nn

from trivium.errors import RefusedError, SettingsError
from trivium.generation.completion import Likely
from trivium.tokenizers import Tokenizer
from trivium.transformer import Model, Network, Record, TwoStream
from trivium.transformer.inputs import Inputs
from trivium.transformer.transformer import Stack
from trivium.views.attention import Dropped, Unwanted
from trivium.views.passage import Passage, names

_AT_ONCE = 1 << 24  # logits that are computed at once: 64 MB in float32


@dataclass(frozen=True)
class LensView:
    """``top`` by layer and position the most probable tokens, falling; ``final``, by position, what the whole model
    holds most probable, and ``chances``, by layer and position, the probability that a layer gives to it."""

    stack: str  # "encoder" | "decoder"
    tokens: tuple[str, ...]
    layers: tuple[int, ...]  # 0: the embeddings
    top: tuple[tuple[tuple[Likely, ...], ...], ...]
    final: tuple[Likely, ...]
    chances: tuple[tuple[float, ...], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain lists."""
        return {
            "stack": self.stack,
            "tokens": list(self.tokens),
            "layers": list(self.layers),
            "top": [[[_plain(each) for each in place] for place in layer] for layer in self.top],
            "final": [_plain(each) for each in self.final],
            "final_by_layer": [[round(each, 4) for each in layer] for layer in self.chances],
        }


def _plain(likely: Likely) -> dict[str, Any]:
    return {"text": likely.text, "id": likely.token, "probability": round(exp(likely.log_probability), 4)}


def has_lens(model: Network) -> bool:
    """Whether what is between the layers can be read as words."""
    return isinstance(model, Model | TwoStream) and model.vocabulary is not None


def lens(
    model: Network, tokenizer: Tokenizer, text: Passage, *, top: int = 5, layers: Sequence[int] | None = None,
    most: int | None = None,
) -> LensView:  # fmt: skip
    """``layers``: None for all, 0 the embeddings. ``most``: how many predictions there may be in all."""
    *_, view = lens_in_steps(model, tokenizer, text, top=top, layers=layers, most=most)
    assert view is not None
    return view


def lens_in_steps(
    model: Network, tokenizer: Tokenizer, text: Passage, *, top: int, layers: Sequence[int] | None, most: int | None
) -> Iterator[LensView | None]:
    """The same in parts of bounded work, each None but the last: the pass through the model, then layer by layer."""
    if model.vocabulary is None:
        raise SettingsError("this model has no vocabulary projection, so that its layers predict no words")
    if not isinstance(model, Model | TwoStream):
        raise SettingsError("the layers of a recurrent model share no vocabulary: the lens reads Transformers alone")
    if not 1 <= top <= tokenizer.vocab_size:
        raise SettingsError(f"top is {top}: it must be between 1 and {tokenizer.vocab_size}, the vocabulary")
    count = model.config.decoder_layers or model.config.encoder_layers
    wanted = tuple(range(count + 1)) if layers is None else tuple(sorted({*layers}))
    for number in wanted or (-1,):
        if not 0 <= number <= count:
            raise SettingsError(f"layers has {number}: this model has layers 0 (embeddings) to {count}")
    side = text.target or text.source
    assert side is not None
    if most is not None and (needed := len(wanted) * len(side.ids) * top) > most:
        raise RefusedError(
            f"{len(wanted)} layers x {len(side.ids)} tokens x top {top} are {needed:,} predictions, and {most:,} may "
            "be asked for at once: name fewer layers, lower top or give a shorter text"
        )
    last, states = _passed(model, text, wanted)
    yield None
    final = _firsts(model, tokenizer, last)
    chosen = torch.tensor([each.token for each in final])
    tops: list[tuple[tuple[Likely, ...], ...]] = []
    chances: list[tuple[float, ...]] = []
    while states:
        yield None
        found = _read(model, tokenizer, states.pop(0), top, chosen)
        tops.append(tuple(each for each, _ in found))
        chances.append(tuple(chance for _, chance in found))
    kind = "decoder" if model.config.decoder_layers or isinstance(model, TwoStream) else "encoder"
    yield LensView(kind, side.tokens, wanted, tuple(tops), tuple(final), tuple(chances))


class _Some(list[Tensor]):
    """The states of some layers, 0 the embeddings."""

    def __init__(self, layers: Sequence[int]):
        super().__init__()
        self.layers, self.passed = layers, 0

    def append(self, state: Tensor) -> None:
        """The next layer's, of a batch of one row."""
        if self.passed in self.layers:
            super().append(state[0])
        self.passed += 1


@torch.inference_mode()
def _passed(model: Model | TwoStream, text: Passage, layers: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
    """(T, W) the model's own states at the end, and those of some layers."""
    inputs, states = text.inputs(next(model.parameters()).device), _Some(layers)
    record = Record(Dropped(), states, Unwanted(), Unwanted(), Unwanted())
    if isinstance(model, TwoStream):  # the stream that predicts reads like a decoder
        inputs = Inputs(target=inputs.source)
    elif model.decoder is None:
        record.encoder_hidden = states
    return model(inputs, record=record).hidden[0], list(states)


@torch.inference_mode()
def _firsts(model: Network, tokenizer: Tokenizer, last: Tensor) -> list[Likely]:
    """Of each of (T, W) final states the most probable token."""
    return [first for rows in scores(model, tokenizer, last) for (first,) in likely(tokenizer, rows, 1)]


@torch.inference_mode()
def _read(
    model: Model | TwoStream, tokenizer: Tokenizer, state: Tensor, top: int, chosen: Tensor
) -> list[tuple[tuple[Likely, ...], float]]:
    """Of each place what a layer's (T, W) states hold most probable, and the probability of what was ``chosen``."""
    norm = None if isinstance(model, TwoStream) else final_norm(model)
    found: list[tuple[tuple[Likely, ...], float]] = []
    for rows in scores(model, tokenizer, state if norm is None else norm(state)):
        own = rows.gather(1, chosen[len(found) : len(found) + len(rows), None].to(rows.device))[:, 0].exp().tolist()
        found += zip(likely(tokenizer, rows, top), own, strict=True)
    return found


def final_norm(model: Model) -> nn.Module | None:
    """What follows the last layer; of post-norm models, whose layers' outputs are normed already, nothing."""
    stack = model.encoder if model.decoder is None else model.decoder
    assert isinstance(stack, Stack)
    return stack.norm


def scores(model: Network, tokenizer: Tokenizer, hidden: Tensor) -> Iterator[Tensor]:
    """(rows, V) log-probabilities of some rows of (T, W) final states at a time. A model may have more rows of
    embeddings than its tokenizer has tokens; these are never predicted."""
    size = max(1, _AT_ONCE // model.config.vocab_size)
    for rows in hidden.split(size):
        yield model.logits(rows, "all").float().log_softmax(-1)[:, : tokenizer.vocab_size]


def likely(tokenizer: Tokenizer, chances: Tensor, count: int) -> list[tuple[Likely, ...]]:
    """Of each row of (rows, V) log-probabilities the most probable tokens, falling."""
    best = chances.topk(min(count, chances.shape[1]), dim=-1)
    tokens = best.indices.unique().tolist()
    text = dict(zip(tokens, names(tokenizer, tokens), strict=True))
    return [
        tuple(Likely(number, text[number], value) for number, value in zip(ids, values, strict=True))
        for ids, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
