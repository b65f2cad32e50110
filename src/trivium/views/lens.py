"""What a model would say after each of its layers: the logit lens (nostalgebraist 2020, "interpreting GPT").

The states after a layer go through what follows the last one: the final norm, where the model has one, and the
vocabulary projection with all that belongs to it (an encoder's masked-language-modelling head). Layer 0 are the
embeddings; at the last layer the lens is the model itself. A decoder's position i predicts token i + 1, an encoder's
token i itself. Left out: the tuned lens (Belrose et al. 2023), which trains a map for each layer.

Scores are computed for some rows and one layer at a time, and only the most probable tokens are kept.
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
from trivium.views.attention import Unwanted
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


@torch.inference_mode()
def lens(
    model: Network, tokenizer: Tokenizer, text: Passage, *, top: int = 5, layers: Sequence[int] | None = None,
    most: int | None = None,
) -> LensView:  # fmt: skip
    """``layers``: None for all, 0 the embeddings. ``most``: how many predictions there may be in all."""
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
    inputs = text.inputs(next(model.parameters()).device)
    if isinstance(model, TwoStream):  # the stream that predicts reads like a decoder
        inputs = Inputs(target=inputs.source)
    rows = scores(model, tokenizer, model(inputs).hidden[0])
    final = tuple(first for each in rows for (first,) in likely(tokenizer, each, 1))
    states = _States(model, tokenizer, wanted, top, torch.tensor([each.token for each in final]))
    nothing = Unwanted(), Unwanted(), Unwanted()
    if isinstance(model, TwoStream):
        model(inputs, record=Record([], states, *nothing, encoder_last=max(wanted)))
    elif model.decoder is not None:
        model(inputs, record=Record([], states, *nothing, decoder_last=max(wanted)))
    else:
        model(inputs, record=Record(states, [], *nothing, encoder_last=max(wanted)))
    return LensView(
        "decoder" if model.config.decoder_layers or isinstance(model, TwoStream) else "encoder", side.tokens, wanted,
        tuple(states.top), final, tuple(states.chances),
    )  # fmt: skip


class _States(list[Tensor]):
    """Takes the states (1, T, W) of each layer in turn, reads them and lets them go."""

    def __init__(self, model: Model | TwoStream, tokenizer: Tokenizer, layers: Sequence[int], top: int, final: Tensor):
        super().__init__()
        self.model, self.tokenizer, self.layers, self.most, self.final = model, tokenizer, layers, top, final
        self.top: list[tuple[tuple[Likely, ...], ...]] = []
        self.chances: list[tuple[float, ...]] = []
        self._passed = 0

    def append(self, state: Tensor) -> None:
        """The embeddings first, then after each layer."""
        if self._passed in self.layers:
            norm = None if isinstance(self.model, TwoStream) else final_norm(self.model)
            hidden = state[0] if norm is None else norm(state[0])
            top: list[tuple[Likely, ...]] = []
            chances: list[float] = []
            for rows in scores(self.model, self.tokenizer, hidden):
                own = self.final[len(top) : len(top) + len(rows), None].to(rows.device)
                chances += rows.gather(1, own)[:, 0].exp().tolist()
                top += likely(self.tokenizer, rows, self.most)
            self.top.append(tuple(top))
            self.chances.append(tuple(chances))
        self._passed += 1


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
