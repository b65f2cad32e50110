"""A text as it is written, token by token: what was held likely at each step, and where the model looked to say so.

The tokens are written by the engine, each the most probable one. One pass over the whole then shows where each step
looked: with the tokens given, a model looks as it did when it wrote them (teacher forcing).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any

from trivium.errors import SettingsError
from trivium.families.generation_config import GenerationConfig
from trivium.generation.completion import Likely, Piece, stream
from trivium.generation.prompts import prompt_of
from trivium.generation.sampling import Sampling
from trivium.tokenizers import Tokenizer
from trivium.transformer import Network
from trivium.transformer.network import writes
from trivium.views.attention import StackName, attention, stacks
from trivium.views.passage import Passage, Side, names


@dataclass(frozen=True)
class Step:
    """One token. ``attention``: the mean over the heads of one layer, to each token of the prompt and, in a decoder,
    to each that was written before; ``written``: in an encoder-decoder, to the start token and what was written."""

    text: str
    token: int
    log_probability: float
    top: tuple[Likely, ...]
    attention: tuple[float, ...] = ()
    written: tuple[float, ...] = ()


@dataclass(frozen=True)
class StepsView:
    """``prompt``: the tokens that were read; ``layer``: the one that was looked at, None without attention."""

    prompt: tuple[str, ...]
    steps: tuple[Step, ...]
    layer: int | None
    finish: str

    def to_json(self) -> dict[str, Any]:
        """Plain lists."""
        return {
            "prompt": list(self.prompt),
            "layer": self.layer,
            "finish": self.finish,
            "steps": [
                {
                    "text": step.text,
                    "id": step.token,
                    "probability": exp(step.log_probability),
                    "top": [
                        {"text": one.text, "id": one.token, "probability": exp(one.log_probability)} for one in step.top
                    ],
                    "attention": [round(weight, 4) for weight in step.attention],
                    "written": [round(weight, 4) for weight in step.written],
                }
                for step in self.steps
            ],
        }


def decoding(
    model: Network, tokenizer: Tokenizer, prompt: str, *, max_tokens: int = 16, top: int = 5, layer: int | None = None,
    files: GenerationConfig = GenerationConfig(),  # noqa: B008 (frozen)
) -> StepsView:  # fmt: skip
    """``layer``: from 1; None for the last. ``files``: what the model's makers say about writing."""
    *_, view = write(model, tokenizer, prompt, max_tokens=max_tokens, top=top, layer=layer, files=files)
    assert view is not None
    return view


def write(
    model: Network, tokenizer: Tokenizer, prompt: str, *, max_tokens: int, top: int, layer: int | None,
    files: GenerationConfig,
) -> Iterator[StepsView | None]:  # fmt: skip
    """The same step by step, each None but the last."""
    if not writes(model.config):
        raise SettingsError("this model is an encoder, which does not write: ask a decoder or an encoder-decoder")
    if top < 1:
        raise SettingsError(f"top is {top}: it must be at least 1")
    there = stacks(model)
    of: StackName | None = "cross" if "cross" in there else "decoder" if "decoder" in there else None
    count = there[of][0] if of is not None else 0
    if layer is not None and not 1 <= layer <= count:
        there_are = f"this model has layers 1 to {count}" if count else "this model has no attention, so leave it out"
        raise SettingsError(f"layer is {layer}: {there_are}")
    number = count if layer is None else layer
    sampling = Sampling(max_tokens=max_tokens, temperature=0, top_log_probabilities=top)
    pieces: list[Piece] = []
    for piece in stream(model, tokenizer, [prompt], sampling, files=files):
        pieces.append(piece)
        yield None
    row = prompt_of(model, tokenizer, prompt)
    said = [piece.top[0].token if piece.token is None else piece.token for piece in pieces]  # a text that ends: its end
    looked: Sequence[tuple[tuple[float, ...], tuple[float, ...]]] = [((), ())] * len(pieces)
    ids = (*row.ids, *said[:-1])
    if of == "decoder":
        known = len(row.ids) if model.config.bidirectional_prompt else 0
        side = Side(ids, names(tokenizer, ids), known=known)
        weights = attention(model, Passage(None, side), stack="decoder", layers=[number], summary="mean").weights[0, 0]
        before = len(row.ids)
        looked = [(tuple(weights[before - 1 + n, : before + n].tolist()), ()) for n in range(len(pieces))]
    elif of == "cross":
        source = row.source or ()
        read = Passage(Side(source, names(tokenizer, source)), Side(ids, names(tokenizer, ids)))
        across = attention(model, read, stack="cross", layers=[number], summary="mean").weights[0, 0].tolist()
        own = [[0.0] * len(ids)] * len(ids)
        if "decoder" in there:
            own = attention(model, read, stack="decoder", layers=[number], summary="mean").weights[0, 0].tolist()
        looked = [(tuple(across[n]), tuple(own[n][: n + 1]) if "decoder" in there else ()) for n in range(len(pieces))]
    told = zip(pieces, said, names(tokenizer, said), looked, strict=True)
    steps = tuple(Step(text, token, piece.log_probability, piece.top, *places) for piece, token, text, places in told)
    shown = names(tokenizer, row.ids if row.source is None else row.source)
    yield StepsView(shown, steps, number or None, pieces[-1].finish or "length")
