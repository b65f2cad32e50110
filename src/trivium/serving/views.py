"""``/views``: what goes on inside a model while it reads a text, as numbers. The pages of the playground draw them."""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import Field

from trivium.serving.asked import ALIGNED_CHARACTERS, Asked, check_texts, examples, json_answer, last_of
from trivium.serving.bodies import Listed
from trivium.serving.house import House, Served
from trivium.serving.refusals import Refusal

if TYPE_CHECKING:
    import numpy as np

    from trivium.views.lens import LensView
    from trivium.views.occurrences import WordView

STEPS = 64  # tokens that are written to be looked at
_PREDICTION = 20  # numbers of a view that one prediction counts for: it is a small object

Text = Annotated[str, Field(description="What the model reads.")]
Answer = Annotated[
    str | None,
    Field(description="What an encoder-decoder writes; its own if not given. Of an encoder, a second text."),
]
Layers = Annotated[Listed[int] | None, Field(description="Numbers from 1; all if not given.")]
Top = Annotated[int, Field(ge=1, description="Tokens that are told at each place.")]


class AttentionAsked(Asked):
    """A text, and which weights are wanted."""

    model_config = examples(
        {"text": "The animal did not cross the street because it was tired.", "layers": [5], "heads": [6]}
    )

    text: Text
    answer: Answer = None
    stack: Annotated[
        Literal["encoder", "decoder", "cross"] | None, Field(description="If not given, the one that reads the text.")
    ] = None
    layers: Layers = None
    heads: Layers = None
    summary: Annotated[
        Literal["none", "mean", "rollout"],
        Field(description="`mean` over the heads of a layer; `rollout` up to each layer, by itself up to the last."),
    ] = "none"


class LensAsked(Asked):
    """A text, and the layers that are read."""

    model_config = examples({"text": "The capital of France is", "top": 3})

    text: Text
    answer: Answer = None
    top: Top = 5
    layers: Annotated[Listed[int] | None, Field(description="0 is the embeddings; all if not given.")] = None


class WordsAsked(Asked):
    """A word, and texts that have it."""

    model_config = examples({"word": "bank", "texts": ["She sat on the river bank.", "The bank lends money."]})

    word: Annotated[str, Field(max_length=200)]
    texts: Annotated[Listed[str], Field(min_length=1)]
    layer: Annotated[int | None, Field(description="0 is the embeddings; the last if not given.")] = None
    neighbours: Annotated[int, Field(ge=0, le=50, description="Words that are told beside each occurrence.")] = 5


class SurpriseAsked(Asked):
    """A text whose tokens are weighed."""

    model_config = examples({"text": "The cat sat on the carburettor."})

    text: Text
    answer: Annotated[
        str | None, Field(description="Its tokens are weighed, after the text; an encoder-decoder needs one.")
    ] = None
    top: Annotated[int, Field(ge=0, description="Tokens that are told at each place.")] = 5


class StepsAsked(Asked):
    """A prompt that is written on from."""

    model_config = examples({"prompt": "Once upon a time", "max_tokens": 8})

    prompt: Annotated[str, Field(description="What the model goes on from, or answers.")]
    max_tokens: Annotated[int, Field(ge=1, le=STEPS)] = 16
    top: Top = 5
    layer: Annotated[int | None, Field(description="Whose attention is told, from 1; the last if not given.")] = None


def routes(house: House) -> APIRouter:
    """The five views."""
    from trivium.verbs.inspect import inspect_text
    from trivium.verbs.occurrences import layers_of, word_in_steps
    from trivium.views.steps import write
    from trivium.views.surprise import read

    router = APIRouter(prefix="/views", tags=["inside"])
    caps = house.settings.caps

    @router.post("/attention", summary="Where the heads of a model look")
    async def attention(asked: AttentionAsked, request: Request) -> Response:
        """`weights[layer][head][query][key]`, of the `layers` and `heads` that the answer names; each row sums to 1. A
        mean has one head, a rollout (Abnar and Zuidema 2020) one layer and head. `summaries` say of each head its
        entropy in bits and how much of its attention goes to the token before, itself, the next and the first."""
        served = house.served(asked.model, "attention")
        _check(house, text=asked.text, answer=asked.answer)
        view = await house.scheduler.run(
            _key(request),
            lambda: inspect_text(
                served.model, asked.text, asked.answer, stack=asked.stack, layers=asked.layers, heads=asked.heads,
                summary=asked.summary, most=caps.view_numbers,
            ).attention,
        )  # fmt: skip
        rest = await json_answer({"model": served.name, **view.to_json(4, weights=False)})
        weights = await asyncio.to_thread(_weights, view.weights)
        return Response(b'{"weights":%s,%s' % (weights.encode(), bytes(rest.body)[1:]), media_type="application/json")

    @router.post("/lens", summary="What a model would say after each of its layers")
    async def lens(asked: LensAsked, request: Request) -> Response:
        """The logit lens: `top[layer][position]` are the most probable tokens, were that layer the last one. A
        decoder's position predicts the token after it, an encoder's the token itself. `final` is what the whole model
        holds most probable, and `final_by_layer` how probable each layer holds that."""
        served = house.served(asked.model, "lens")
        _check(house, asked.top, text=asked.text, answer=asked.answer)
        most = caps.view_numbers // _PREDICTION
        return await _shown(house, request, served, _lens(served, asked, most), "top")

    @router.post("/words", summary="One word in several texts")
    async def words(asked: WordsAsked, request: Request) -> Response:
        """How alike the vectors of a word are in its contexts (`cosines`), where they lie in the two directions in
        which they differ most (`x`, `y`), and which other words are near each (`neighbours`). `text` and `text_number`
        count the texts from 0; `static` are the cosines before any context, of the embeddings of the word's tokens."""
        served = house.served(asked.model, "words")
        check_texts(house, asked.texts, "texts", ALIGNED_CHARACTERS)
        parts = word_in_steps(served.model, asked.word, asked.texts, asked.layer, asked.neighbours, ignore_case=True)
        view = await last_of(house, request, parts)
        return await json_answer({"model": served.name, "layers": layers_of(served.model), **_words(view)})

    @router.post("/surprise", summary="What each token of a text costs a model")
    async def surprise(asked: SurpriseAsked, request: Request) -> Response:
        """In bits: minus the logarithm of its probability after what comes before it, and of an encoder with the token
        masked and all else in sight."""
        served = _weighing(house, asked.model)
        _check(house, asked.top, text=asked.text, answer=asked.answer)
        model = served.model
        parts = read(model.model, model.tokenizer, asked.text, asked.answer, asked.top)
        return await _shown(house, request, served, parts, "tokens")

    @router.post("/steps", summary="A text as it is written")
    async def steps(asked: StepsAsked, request: Request) -> Response:
        """The most probable token at each step, what else was likely, and where the model looked: the mean over one
        layer's heads, to each token before; in an encoder-decoder to each token of the prompt."""
        served = house.served(asked.model, "complete")
        _check(house, asked.top, prompt=asked.prompt)
        model = served.model
        parts = write(
            model.model, model.tokenizer, asked.prompt, max_tokens=asked.max_tokens, top=asked.top, layer=asked.layer,
            files=model.generation,
        )  # fmt: skip
        return await _shown(house, request, served, parts, "steps")

    return router


class _View(Protocol):
    def to_json(self) -> dict[str, Any]: ...


async def _shown(
    house: House, request: Request, served: Served, steps: "Iterator[_View | None]", long: str
) -> Response:
    """The view that comes of steps, its list ``long`` written part by part."""
    said = (await last_of(house, request, steps)).to_json()
    parts = said.pop(long)
    return await json_answer({"model": served.name, **said}, parts, long)


def _key(request: Request) -> str:
    key: str = getattr(request.state, "key", "")
    return key


def _lens(served: Served, asked: LensAsked, most: int) -> "Iterator[LensView | None]":
    from trivium.verbs.inspect import as_read
    from trivium.views.lens import lens_in_steps

    model = served.model
    text = as_read(model, asked.text, asked.answer, writes=True)
    yield None
    yield from lens_in_steps(model.model, model.tokenizer, text, top=asked.top, layers=asked.layers, most=most)


def _weighing(house: House, name: str | None) -> Served:
    """The model of that name, or the first that predicts words."""
    if name is not None:
        return house.served(name)
    able = [each for each in house.models.values() if each.abilities & {"complete", "fill", "lens"}]
    return able[0] if able else house.served(None, "complete")


def _check(house: House, top: int = 0, **texts: str | None) -> None:
    most = house.settings.caps.log_probabilities
    if top > most:
        raise Refusal(400, f"top is {top}, and at most {most} tokens are told", param="top")
    for field, text in texts.items():
        check_texts(house, [text or ""], field, ALIGNED_CHARACTERS)


_DIGITS = tuple(f"{number / 10_000:.4f}".rstrip("0").rstrip(".") for number in range(10_001))


def _weights(weights: "np.ndarray") -> str:
    """Numbers from 0 to 1 in four digits, as nested lists. A table is ten times as fast as the general encoder."""
    if weights.ndim > 1:
        return f"[{','.join(map(_weights, weights))}]"
    places = (weights * 10_000 + 0.5).clip(0, 10_000).astype(int).tolist()
    return f"[{','.join([_DIGITS[place] for place in places])}]"


def _words(view: "WordView") -> dict[str, Any]:
    """A word's occurrences; texts and occurrences are numbered from 0."""
    return {
        "layer": view.layer,
        "occurrences": [
            {
                "text": one.document,
                "start": one.span[0],
                "end": one.span[1],
                "x": one.point[0],
                "y": one.point[1],
                "static_cosine": one.static,
                "nearest": [{"number": number - 1, "cosine": cosine} for number, cosine in one.nearest],
            }
            for one in view.occurrences
        ],
        "more": view.more,
        "cosines": view.cosines.round(6).tolist(),
        "static": None if view.static_cosines is None else view.static_cosines.round(6).tolist(),
        "mean_cosine": view.mean_cosine,
        "background": view.background,
        "shares": list(view.shares),
        "neighbours": [
            [{"word": each.word, "text_number": each.document, "cosine": each.cosine} for each in one.words]
            for one in view.occurrences
        ],
    }
