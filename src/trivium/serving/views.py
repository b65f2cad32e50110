"""``/views``: what goes on inside a model while it reads a text, as numbers. The pages of the playground draw them.

Work is given to the scheduler in parts where a view takes many passes, so that others get their turns between them; an
answer is made into JSON a piece at a time, off the event loop.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from trivium.serving.house import House, Served
from trivium.serving.refusals import Refusal

if TYPE_CHECKING:
    import numpy as np

View = TypeVar("View")
_STEPS = 64  # tokens that are written to be looked at
_PREDICTION = 20  # numbers of a view's cap that one prediction counts for: it is a small object


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | None = Field(None, description="A name of `/v1/models`; the first model that can do it if missing.")


class Attention(_Body):
    """``POST /views/attention``."""

    text: str = Field(examples=["The animal did not cross the street because it was too tired."])
    answer: str | None = Field(
        None, description="What an encoder-decoder writes (its own if missing), or an encoder's second text."
    )
    stack: Literal["encoder", "decoder", "cross"] | None = Field(
        None, description="If missing, the stack that reads the text."
    )
    layers: list[int] | None = Field(None, description="From 1; all if missing.", examples=[[5]])
    heads: list[int] | None = Field(None, description="From 1; all if missing.", examples=[[6]])
    summary: Literal["none", "mean", "rollout"] = Field(
        "none", description="`mean` over the heads of each layer; `rollout` up to the last of the layers."
    )


class Lens(_Body):
    """``POST /views/lens``."""

    text: str = Field(examples=["The capital of France is"])
    answer: str | None = Field(None, description="What an encoder-decoder writes; its own if missing.")
    top: int = Field(5, ge=1)
    layers: list[int] | None = Field(None, description="0 is the embeddings; all if missing.")


class Words(_Body):
    """``POST /views/words``."""

    word: str = Field(examples=["bank"])
    texts: list[str] = Field(
        min_length=1, examples=[["She sat on the river bank.", "The bank lends money.", "A bank is closed today."]]
    )
    layer: int | None = Field(None, description="0 is the embeddings; the last if missing.")
    neighbours: int = Field(5, ge=0, le=50)


class Surprise(_Body):
    """``POST /views/surprise``."""

    text: str = Field(examples=["The cat sat on the carburettor."])
    answer: str | None = Field(
        None, description="Its tokens are looked at, after the text; an encoder-decoder needs one."
    )
    top: int = Field(5, ge=0)


class Steps(_Body):
    """``POST /views/steps``."""

    prompt: str = Field(examples=["Once upon a time"])
    max_tokens: int = Field(16, ge=1, le=_STEPS)
    top: int = Field(5, ge=1)
    layer: int | None = Field(None, description="From 1; the last if missing.")


def routes(house: House) -> APIRouter:
    """The five views."""
    from trivium.verbs import inspect  # noqa: F401  (opens torch while the server starts, not at the first request)

    router = APIRouter(prefix="/views", tags=["Inside"])
    caps = house.settings.caps

    @router.post("/attention", summary="Where the heads of a model look")
    async def attention(body: Attention, request: Request) -> Response:
        served = house.served(body.model, "attention")
        await _fits(house, served, text=body.text, answer=body.answer)
        view = await house.scheduler.run(
            _key(request),
            lambda: inspect.inspect_text(
                served.model, body.text, body.answer, stack=body.stack, layers=body.layers, heads=body.heads,
                summary=body.summary, most=caps.view_numbers,
            ).attention,
        )  # fmt: skip
        return await _answer(
            served, lambda: view.to_json(4, weights=False), lambda: {"weights": _weights(view.weights)}
        )

    @router.post("/lens", summary="What a model would say after each of its layers (the logit lens)")
    async def lens(body: Lens, request: Request) -> Response:
        served = house.served(body.model, "lens")
        _check_top(house, body.top)
        await _fits(house, served, text=body.text, answer=body.answer)
        view = await house.scheduler.run(
            _key(request),
            lambda: inspect.inspect_lens(
                served.model, body.text, body.answer, top=body.top, layers=body.layers,
                most=caps.view_numbers // _PREDICTION,
            ),
        )  # fmt: skip
        return await _answer(served, view.to_json)

    @router.post("/words", summary="One word in several texts: how alike its vectors are, and what is near each")
    async def words(body: Words, request: Request) -> Response:
        from trivium.verbs.occurrences import inspect_word, layers_of

        served = house.served(body.model, "words")
        if len(body.texts) > caps.texts:
            raise Refusal(400, f"texts has {len(body.texts)} texts and may have {caps.texts}", param="texts")
        for text in (body.word, *body.texts):
            _check_characters(house, "texts", text)
        view = await house.scheduler.run(
            _key(request),
            lambda: inspect_word(
                served.model, body.word, body.texts, layer=body.layer, neighbours=body.neighbours, ignore_case=True
            ),
        )
        return await _answer(served, lambda: {"layers": layers_of(served.model), **_words(view, body.texts)})

    @router.post("/surprise", summary="What each token of a text costs a model, in bits")
    async def surprise(body: Surprise, request: Request) -> Response:
        from trivium.views.surprise import read

        served = _first(house, body.model, "complete", "fill")
        _check_top(house, body.top)
        for text in (body.text, body.answer or ""):
            _check_characters(house, "text", text)
        model = served.model
        parts = read(model.model, model.tokenizer, body.text, body.answer, body.top)
        return await _answer(served, (await _finished(house, _key(request), parts)).to_json)

    @router.post("/steps", summary="A text as it is written: what was likely at each step, and where the model looked")
    async def steps(body: Steps, request: Request) -> Response:
        from trivium.views.steps import write

        served = house.served(body.model, "complete")
        _check_top(house, body.top)
        await _fits(house, served, prompt=body.prompt)
        model = served.model
        parts = write(
            model.model, model.tokenizer, body.prompt, max_tokens=body.max_tokens, top=body.top, layer=body.layer,
            files=model.generation,
        )  # fmt: skip
        return await _answer(served, (await _finished(house, _key(request), parts)).to_json)

    return router


def _key(request: Request) -> str:
    key: str = getattr(request.state, "key", "")
    return key


def _first(house: House, name: str | None, *abilities: str) -> Served:
    """The model of that name, or the first that has one of the abilities."""
    if name is None:
        for served in house.models.values():
            if served.abilities.intersection(abilities):
                return served
    return house.served(name, None if name is not None else abilities[0])


async def _finished(house: House, key: str, parts: "Iterator[View | None]") -> View:
    """The last of a view's parts; each is the work of one turn."""
    while True:
        found = await house.scheduler.run(key, lambda: next(parts))
        if found is not None:
            return found


def _check_top(house: House, top: int) -> None:
    most = house.settings.caps.log_probabilities
    if top > most:
        raise Refusal(400, f"top is {top} and may be at most {most}", param="top")


def _check_characters(house: House, field: str, text: str) -> None:
    most = house.settings.caps.text_characters
    if len(text) > most:
        raise Refusal(400, f"{field} has {len(text):,} characters and may have {most:,}", param=field)


async def _fits(house: House, served: Served, **texts: str | None) -> None:
    """Refuses what is longer than the context before it waits for its turn; tokenised off the event loop."""
    limit = served.model.config.limit
    for field, text in texts.items():
        _check_characters(house, field, text or "")
        if text is None or limit is None or len(text) <= limit:
            continue
        count = len((await asyncio.to_thread(served.model.tokenizer.encode, text)).ids)
        if count > limit:
            raise Refusal(
                400, f"{field} has {count:,} tokens, and the context of this model is {limit:,}: shorten it",
                param=field, code="context_length_exceeded",
            )  # fmt: skip


async def _answer(served: Served, view: Any, raw: Any = dict) -> Response:
    """``view()`` as JSON, with the parts of ``raw()``, which are JSON already; both made in a thread."""
    text = await asyncio.to_thread(lambda: _encoded(served.name, view(), raw()))
    return Response(text, media_type="application/json")


def _encoded(name: str, view: dict[str, Any], raw: dict[str, str]) -> str:
    """A list is encoded member by member: the encoder lets no other thread run before it is done."""
    parts = [f'"model":{json.dumps(name)}']
    for key, value in view.items():
        text = f"[{','.join(map(json.dumps, value))}]" if isinstance(value, list) else json.dumps(value)
        parts.append(f'"{key}":{text}')
    parts += [f'"{key}":{text}' for key, text in raw.items()]
    return f"{{{','.join(parts)}}}"


_DIGITS = tuple(f"{number / 10_000:.4f}".rstrip("0").rstrip(".") for number in range(10_001))


def _weights(weights: "np.ndarray") -> str:
    """Numbers from 0 to 1 in four digits, as nested lists. A table is ten times as fast as the general encoder."""
    if weights.ndim > 1:
        return f"[{','.join(map(_weights, weights))}]"
    places = (weights * 10_000 + 0.5).clip(0, 10_000).astype(int).tolist()
    return f"[{','.join([_DIGITS[place] for place in places])}]"


def _words(view: Any, texts: list[str]) -> dict[str, Any]:
    """A word's occurrences, as the contract of the pages has them."""
    return {
        "layer": view.layer,
        "occurrences": [
            {
                "text": texts[one.document],
                "text_number": one.document,
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
