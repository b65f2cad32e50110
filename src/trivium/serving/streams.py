"""Server-sent events, as OpenAI's clients read them: a JSON object each, the last one ``[DONE]``."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Protocol

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Send

from trivium.errors import TriviumError
from trivium.serving.refusals import Refusal, refusal_of

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
DONE = b"data: [DONE]\n\n"


class EventStream(StreamingResponse):
    """Sends what a generator gives, and closes it, however the sending ends."""

    def __init__(self, events: AsyncGenerator[dict[str, Any]]) -> None:
        self.events = _framed(events)
        super().__init__(self.events, media_type="text/event-stream", headers=HEADERS)

    async def stream_response(self, send: Send) -> None:
        async with aclosing(self.events):
            await super().stream_response(send)


class Work(Protocol):
    """A request that is answered whole, or in events."""

    async def answer(self) -> dict[str, Any]: ...

    def events(self) -> AsyncGenerator[dict[str, Any]]: ...


async def respond(work: Work, stream: bool) -> Response:
    """Its answer; what can be refused is refused before a stream begins."""
    if not stream:
        return JSONResponse(await work.answer())
    events = work.events()
    return EventStream(_after(await anext(events), events))


async def _after(first: dict[str, Any], rest: AsyncGenerator[dict[str, Any]]) -> AsyncGenerator[dict[str, Any]]:
    """A stream whose first event has been waited for."""
    async with aclosing(rest):
        yield first
        async for event in rest:
            yield event


async def _framed(events: AsyncGenerator[dict[str, Any]]) -> AsyncGenerator[bytes]:
    """What goes wrong after the first event is one more, for the status has been sent."""
    async with aclosing(events):
        try:
            async for event in events:
                yield event_bytes(event)
        except Refusal as problem:
            yield event_bytes(problem.body())
        except TriviumError as problem:
            yield event_bytes(refusal_of(problem).body())
    yield DONE


def event_bytes(content: dict[str, Any]) -> bytes:
    """One event."""
    return b"data: " + json.dumps(content, separators=(",", ":")).encode() + b"\n\n"
