"""``POST /v1/chat/completions``: replies to conversations, by the model's own chat template.

What a user types never becomes a control token (``text/templates.py``). A reply ends where the model's files say, or at
the end of a turn as the template writes it. ``continue_final_message`` goes on with a reply that is begun. Left out:
tools, pictures and sound, which are refused by name.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, model_validator

from trivium.errors import DataError
from trivium.generation.completion import Piece
from trivium.generation.constraints import Guide
from trivium.generation.prompts import Prompt, source_ids, start_token
from trivium.generation.sampling import Sampling
from trivium.serving.bodies import Listed
from trivium.serving.choices import chat_log, reason
from trivium.serving.house import House, Served
from trivium.serving.refusals import Refusal
from trivium.serving.sampling_fields import SamplingFields, Strict
from trivium.serving.streams import respond
from trivium.text.chats import Message


class TextPart(BaseModel):
    """A part of a message."""

    model_config = Strict
    type: Literal["text"]
    text: str


class MessageFields(BaseModel):
    """What somebody says. ``developer`` is another word for ``system``."""

    model_config = Strict
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Listed[TextPart]

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return {name: value for name, value in data.items() if value is not None} if isinstance(data, dict) else data

    @property
    def message(self) -> Message:
        """As templates read it."""
        content = self.content if isinstance(self.content, str) else "\n".join(part.text for part in self.content)
        return Message("system" if self.role == "developer" else self.role, content)


class ChatFields(SamplingFields):
    """The body of a request."""

    messages: Listed[MessageFields] = Field(min_length=1, max_length=1 << 12)
    max_tokens: int | None = Field(None, ge=1, description="The most tokens of a reply; if not given, all that fit.")
    max_completion_tokens: int | None = Field(None, ge=1, description="The same under its newer name.")
    logprobs: bool = Field(False, description="Log-probabilities of the reply's tokens.")
    top_logprobs: int | None = Field(None, ge=0, description="How many alternatives to each token; needs logprobs.")
    continue_final_message: bool = Field(
        False, description="The last message is the beginning of a reply, and is continued."
    )


def routes(house: House) -> APIRouter:
    """``POST /v1/chat/completions``."""
    router = APIRouter()

    @router.post("/v1/chat/completions", tags=["OpenAI"], summary="A reply to a conversation")
    async def chat(request: Request, body: ChatFields) -> Response:
        """By the model's own chat template, whole or as a stream of server-sent events."""
        served = house.served(body.model, "chat")
        _check(body, house)
        ids = await asyncio.to_thread(_ids, body, served)
        sampling = _sampling(body, served, house, ids)
        guide = await asyncio.to_thread(served.guide, sampling, served.turn_ends)
        work = _Work(house, request.state.key, served, body, ids, sampling, guide)
        return await respond(work, body.stream)

    return router


def _check(body: ChatFields, house: House) -> None:
    if len(body.messages) > house.settings.caps.messages:
        most = house.settings.caps.messages
        raise Refusal(400, f"there are {len(body.messages)} messages: at most {most} are read", param="messages")
    characters = sum(len(each.message.content) for each in body.messages)
    if characters > house.settings.caps.text_characters:
        most = house.settings.caps.text_characters
        raise Refusal(400, f"the messages have {characters:,} characters: at most {most:,} are read", param="messages")
    if body.top_logprobs is not None and not body.logprobs:
        raise Refusal(400, "top_logprobs needs logprobs: true", param="top_logprobs")
    if None not in (body.max_tokens, body.max_completion_tokens) and body.max_tokens != body.max_completion_tokens:
        raise Refusal(400, "max_tokens and max_completion_tokens differ: give one of them", param="max_tokens")
    if body.continue_final_message and body.messages[-1].role != "assistant":
        raise Refusal(
            400, f"the last message is of the {body.messages[-1].role}: continue_final_message needs one of the "
            "assistant", param="continue_final_message",
        )  # fmt: skip


def _ids(body: ChatFields, served: Served) -> list[int]:
    """The conversation as the model reads it. Not on the event loop."""
    messages = [each.message for each in body.messages]
    begun = messages.pop().content if body.continue_final_message else ""
    try:
        ids = served.renderer.ids(messages)
    except DataError as problem:
        raise Refusal(400, str(problem), param="messages") from None
    return [*ids, *served.model.tokenizer.encode(begun).ids] if begun else ids


def _sampling(body: ChatFields, served: Served, house: House, ids: list[int]) -> Sampling:
    limit, reading = served.model.config.limit, served.model.kind == "encoder-decoder"
    room = None if served.longest is None else served.longest - (1 if reading else len(ids))
    if limit is not None and (len(ids) >= limit or (room is not None and room < 1)):
        longest = limit if served.longest is None else served.longest
        raise Refusal(
            400, f"the conversation has {len(ids)} tokens, and the context of {served.name} is {longest}: leave out "
            "its beginning", param="messages", code="context_length_exceeded",
        )  # fmt: skip
    wanted = body.max_completion_tokens or body.max_tokens
    if limit is not None and wanted is not None and wanted > limit:
        raise Refusal(
            400, f"max_tokens is {wanted}, and the context of {served.name} is {limit}: lower it", param="max_tokens"
        )
    most = wanted or (house.settings.caps.reply if room is None else room)
    assert served.template is not None
    sampling = body.sampling(most, body.top_logprobs or 0, house.settings.caps)
    return replace(sampling, stop=(*sampling.stop, *served.template.stop))


@dataclass
class _Work:
    """One request on its way."""

    house: House
    key: str
    served: Served
    body: ChatFields
    ids: list[int]
    sampling: Sampling
    guide: Guide | None

    def __post_init__(self) -> None:
        self.id, self.created, self.tokens = f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), 0

    async def answer(self) -> dict[str, Any]:
        """The whole answer."""
        pieces: list[list[Piece]] = [[] for _ in range(self.body.n)]
        async with aclosing(self._written()) as steps:
            async for step in steps:
                for piece in step:
                    pieces[piece.sample].append(piece)
        choices = []
        for index, each in enumerate(pieces):
            log = await asyncio.to_thread(self._log, each) if self.body.logprobs else None
            message = {"role": "assistant", "content": "".join(piece.text for piece in each), "refusal": None}
            choices.append({"index": index, "message": message, "logprobs": log, "finish_reason": reason(each[-1])})
        return {**self._head("chat.completion"), "choices": choices, "usage": self._usage()}

    async def events(self) -> AsyncGenerator[dict[str, Any]]:
        """The answer chunk by chunk."""
        usage = self.body.stream_options is not None and self.body.stream_options.include_usage
        head = {**self._head("chat.completion.chunk"), **({"usage": None} if usage else {})}
        begun = [False] * self.body.n
        async with aclosing(self._written()) as steps:
            async for step in steps:
                for piece in step:
                    index, ended = piece.sample, reason(piece)
                    if not begun[index]:
                        begun[index] = True
                        yield {**head, "choices": [_chunk(index, {"role": "assistant", "content": ""}, None, None)]}
                    if piece.text or (self.body.logprobs and piece.token is not None):
                        log = self._log([piece]) if self.body.logprobs else None
                        yield {**head, "choices": [_chunk(index, {"content": piece.text}, log, None)]}
                    if ended:
                        yield {**head, "choices": [_chunk(index, {}, None, ended)]}
        if usage:
            yield {**head, "choices": [], "usage": self._usage()}

    async def _written(self) -> AsyncGenerator[list[Piece]]:
        if self.served.model.kind == "encoder-decoder":
            tokenizer, model = self.served.model.tokenizer, self.served.model.model
            prompt = Prompt((start_token(model),), source_ids(tokenizer, self.ids))
        else:
            prompt = Prompt(tuple(self.ids))
        steps = self.house.scheduler.write(
            self.key, self.served, [prompt], self.sampling, self.body.n, self.served.turn_ends, self.guide
        )
        async with aclosing(steps):
            async for step in steps:
                self.tokens += sum(piece.token is not None or piece.end is not None for piece in step)
                yield step

    def _log(self, pieces: list[Piece]) -> dict[str, Any]:
        return {"content": chat_log(pieces, self.served.model.tokenizer), "refusal": None}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.served.name}

    def _usage(self) -> dict[str, int]:
        prompt = len(self.ids)
        return {"prompt_tokens": prompt, "completion_tokens": self.tokens, "total_tokens": prompt + self.tokens}


def _chunk(index: int, delta: dict[str, Any], log: dict[str, Any] | None, ended: str | None) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": log, "finish_reason": ended}
