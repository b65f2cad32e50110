"""``trivium inspect``: what a model is made of, and where it looks when it reads a text."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trivium.generation.sampling import Sampling
from trivium.transformer.network import answers
from trivium.verbs.load import LanguageModel, load
from trivium.views.attention import AttentionView, StackName, Summary, attention
from trivium.views.lens import LensView, lens
from trivium.views.passage import Passage, passage
from trivium.views.steps import StepsView, decoding
from trivium.views.surprise import SurpriseView, surprises

_ANSWER = 48  # tokens that an encoder-decoder writes where it is given no answer


@dataclass(frozen=True)
class Part:
    """One weight: its name, shape and how many numbers it holds."""

    name: str
    shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True)
class ModelView:
    """A model in figures. Weights that are shared (tied) are counted once."""

    family: str
    kind: str
    parameters: int
    embedding_parameters: int
    config: dict[str, Any]
    parts: list[Part]


@dataclass(frozen=True)
class TextView:
    """One text in a model: its tokens, and the attention of every layer and head."""

    tokens: list[str]
    ids: list[int]
    attention: AttentionView

    def to_json(self) -> dict[str, Any]:
        """Plain lists, for ``--json``."""
        return {"tokens": self.tokens, "ids": self.ids, "attention": self.attention.to_json()}


def inspect_model(model: str | Path | LanguageModel) -> ModelView:
    """Every weight with its shape, and the configuration."""
    loaded = load(model)
    parts = [Part(name, tuple(weight.shape), weight.numel()) for name, weight in loaded.model.named_parameters()]
    return ModelView(
        family=loaded.family.name,
        kind=loaded.kind,
        parameters=sum(part.parameters for part in parts),
        embedding_parameters=sum(weight.numel() for weight in loaded.model.tokens.parameters()),
        config=asdict(loaded.config),
        parts=parts,
    )


def inspect_text(
    model: str | Path | LanguageModel,
    text: str,
    answer: str | None = None,
    *,
    stack: StackName | None = None,
    layers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    summary: Summary = "none",
    most: int | None = None,
) -> TextView:
    """The attention inside a model while it reads ``text``, of ``layers`` and ``heads``, both from 1 (None: all).

    ``answer``: what an encoder-decoder writes (if not given, what it would write), or an encoder's second text.
    ``stack``: ``encoder``, ``decoder`` or ``cross``; if not given, the one that reads. ``summary``: ``mean``
    over the heads, or ``rollout`` up to each layer. ``most``: more numbers than these are refused.
    """
    loaded = load(model)
    read = as_read(loaded, text, answer, writes=stack in ("decoder", "cross"))
    view = attention(loaded.model, read, stack=stack, layers=layers, heads=heads, summary=summary, most=most)
    side = read.source or read.target
    assert side is not None
    return TextView(list(side.tokens), list(side.ids), view)


def inspect_lens(
    model: str | Path | LanguageModel,
    text: str,
    answer: str | None = None,
    *,
    top: int = 5,
    layers: Sequence[int] | None = None,
    most: int | None = None,
) -> LensView:
    """What the model would say after each of ``layers`` (None: all; 0: the embeddings), by the logit lens.

    An encoder says what stands at each place (``___`` is one that it must not see), a decoder what comes next, and an
    encoder-decoder what comes next in ``answer``; if not given, in what it would write.
    """
    loaded = load(model)
    read = as_read(loaded, text, answer, writes=True)
    return lens(loaded.model, loaded.tokenizer, read, top=top, layers=layers, most=most)


def inspect_surprise(
    model: str | Path | LanguageModel, text: str, answer: str | None = None, *, top: int = 5
) -> SurpriseView:
    """What each token of ``text`` costs the model, or each of ``answer`` after it, and what else was likely there."""
    loaded = load(model)
    return surprises(loaded.model, loaded.tokenizer, text, answer, top)


def inspect_steps(
    model: str | Path | LanguageModel, prompt: str, *, max_tokens: int = 16, top: int = 5, layer: int | None = None
) -> StepsView:
    """What the model writes after ``prompt``, token by token: what was likely at each step, and where ``layer`` (None:
    the last) looked, as a mean over its heads."""
    loaded = load(model)
    return decoding(
        loaded.model, loaded.tokenizer, prompt, max_tokens=max_tokens, top=top, layer=layer, files=loaded.generation
    )


def as_read(loaded: LanguageModel, text: str, answer: str | None, *, writes: bool) -> Passage:
    """What the views look at. ``writes``: an encoder-decoder's answer is wanted, its own where none is given."""
    said: str | tuple[int, ...] | None = answer
    if answers(loaded.config) and answer is None and writes:
        said = loaded.generate(text, Sampling(max_tokens=_ANSWER, temperature=0)).tokens
    return passage(loaded.model, loaded.tokenizer, text, said)
