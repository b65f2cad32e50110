"""``/estimate``: how many tokens a request has before it is made, and what it costs by prices of the user's own."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from trivium.generation.prompts import source_ids
from trivium.serving.asked import Asked, check_texts, examples, json_answer
from trivium.serving.bodies import Listed
from trivium.serving.house import House, Served
from trivium.serving.refusals import Refusal
from trivium.text.chats import Message
from trivium.tokenizers.chats import ChatRenderer
from trivium.transformer.network import answers
from trivium.verbs.token_costs import Prices

Price = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]


class Said(BaseModel):
    """One message."""

    model_config = ConfigDict(extra="forbid", strict=True)

    role: Literal["system", "user", "assistant"]
    content: str


class EstimateAsked(Asked):
    """A text or a conversation, and the prices."""

    model_config = examples(
        {"text": "The river rose in the night.", "max_tokens": 100, "price_in": 0.5, "price_out": 1.5},
        {"messages": [{"role": "user", "content": "Name a river."}], "max_tokens": 50, "n": 2},
    )

    text: Annotated[str | None, Field(description="A prompt, or a text to embed or to label.")] = None
    messages: Annotated[
        Listed[Said] | None,
        Field(min_length=1, max_length=1 << 12, description="A conversation, by the chat template."),
    ] = None
    max_tokens: Annotated[int, Field(ge=0, le=1 << 31, description="Of each answer; 0 for none.")] = 0
    n: Annotated[int, Field(ge=1, description="Answers.")] = 1
    price_in: Annotated[Price, Field(description="Of the tokens that are read.")] = 0.0
    price_out: Annotated[Price, Field(description="Of the tokens that are written.")] = 0.0
    per: Annotated[float, Field(ge=1, le=1e12, description="How many tokens the prices are for.")] = 1e6


class Costs(BaseModel):
    """In the currency of the prices."""

    prompt: float
    completion: float
    total: float


class Estimate(BaseModel):
    """``completion_tokens``: at most so many. ``fits``: whether the model's ``context`` has room for all of them."""

    model: str
    prompt_tokens: int
    completion_tokens: int
    context: int | None
    fits: bool
    cost: Costs


def routes(house: House) -> APIRouter:
    """``POST /estimate``."""
    router = APIRouter(tags=["tokens"])

    @router.post("/estimate", response_model=Estimate, summary="Tokens and cost of a request before it is made")
    async def estimate(asked: EstimateAsked) -> Response:
        """Nothing is computed by the model: a text is counted as it reads it."""
        if (asked.text is None) == (asked.messages is None):
            raise Refusal(400, "text and messages: give one of the two", param="messages")
        served = house.served(asked.model, None if asked.messages is None else "chat")
        caps, config = house.settings.caps, served.model.config
        if asked.n > caps.choices:
            raise Refusal(400, f"n is {asked.n}, and at most {caps.choices} answers are written", param="n")
        read = await asyncio.to_thread(_read, house, served, asked)
        written = asked.max_tokens * asked.n
        cost = Prices(asked.price_in, asked.price_out, asked.per).cost(read, written)
        limit = config.limit
        beside = asked.max_tokens if not answers(config) else 0  # an encoder-decoder reads and writes apart
        return await json_answer(
            {
                "model": served.name,
                "prompt_tokens": read,
                "completion_tokens": written,
                "context": limit,
                "fits": limit is None or max(read + beside, asked.max_tokens) <= limit,
                "cost": {
                    name: float(f"{part:.12g}")
                    for name, part in (("prompt", cost.read), ("completion", cost.written), ("total", cost.total))
                },
            }
        )

    return router


def _read(house: House, served: Served, asked: EstimateAsked) -> int:
    """How many tokens the model reads."""
    model, tokenizer = served.model, served.model.tokenizer
    both = answers(model.config)
    if asked.messages is None:
        check_texts(house, [asked.text or ""], "text")
        (ids,) = tokenizer.encode_batch([asked.text or ""])
        if both:
            return len(source_ids(tokenizer, ids))
        layout = tokenizer.layout()
        return len(layout.before) + len(ids) + len(layout.after)
    if len(asked.messages) > (most := house.settings.caps.messages):
        raise Refusal(400, f"messages has {len(asked.messages)}, and at most {most} are read", param="messages")
    check_texts(house, ["".join(each.content for each in asked.messages)], "messages")
    assert served.template is not None
    renderer = ChatRenderer(tokenizer, served.template, framed=not both)
    ids = renderer.ids([Message(each.role, each.content) for each in asked.messages])
    return len(source_ids(tokenizer, ids)) if both else len(ids)
