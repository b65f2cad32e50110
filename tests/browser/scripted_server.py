"""A server whose models say what a test wrote down, in the shapes of the API: for pages that must meet every answer.

What it was asked is in ``asked``: (path, body) pairs. ``refuse`` makes the next question an error; ``tokens`` are what
every model writes; ``pause`` is between them; ``cut`` ends a stream after so many, without its end.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from tests.serving.live_server import live

from trivium.serving import pages
from trivium.serving.guard import Guard
from trivium.serving.house import House
from trivium.serving.refusals import Refusal
from trivium.serving.scheduler import Scheduler
from trivium.serving.settings import ServeSettings

WORDS = ("Paris", " is", " a", " large", " city", ".")
OTHERS = {"Paris": " Lyon", " is": " was", " a": " the", " large": " small", " city": " town", ".": "!"}


def listed(name: str, *abilities: str, kind: str = "decoder") -> dict[str, Any]:
    """A row of /v1/models."""
    about = {
        "kind": kind, "family": "llama", "parameters": 134515008, "layers": {"encoder": 0, "decoder": 30}, "heads": 9,
        "context": 2048, "longest": 2048, "stacks": ["decoder"], "abilities": list(abilities),
        "labels": [], "task": None, "fields": [],
    }  # fmt: skip
    return {"id": name, "object": "model", "created": 1, "owned_by": "trivium", "trivium": about}


@dataclass
class Script:
    """What happens."""

    models: list[dict[str, Any]] = field(default_factory=lambda: [listed("large", "chat", "complete", "attention"),
                                                                  listed("small", "complete", "attention")])
    tokens: tuple[str, ...] = WORDS
    pause: float = 0.0
    cut: int | None = None
    refuse: str | None = None
    fail: str | None = None  # an error in the middle of a stream
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    left: int = 0  # streams that a client left

    def likely(self, token: str) -> dict[str, float]:
        """A token with its log-probability, and another."""
        return {token: math.log(0.75), OTHERS.get(token, " other"): math.log(0.125)}


def application(script: Script) -> FastAPI:
    """The playground's files and the answers of the script."""
    house = House({}, Scheduler(), ServeSettings())
    app = FastAPI()
    app.state.house = house
    app.add_middleware(Guard, house=house)  # its policy is what a page must work under
    app.add_exception_handler(Refusal, lambda _, problem: JSONResponse(problem.body(), problem.status))  # type: ignore[attr-defined]
    app.include_router(pages.routes(house))

    async def answer(request: Request, chunk: Any) -> Response:
        body = await request.json()
        script.asked.append((request.url.path, body))
        if script.refuse is not None:
            error = {"message": script.refuse, "type": "invalid_request_error", "param": None, "code": None}
            return JSONResponse({"error": error}, 400)
        return StreamingResponse(events(body.get("n", 1), chunk), media_type="text/event-stream")

    async def events(texts: int, chunk: Any) -> AsyncIterator[str]:
        ended = False
        try:
            for at, token in enumerate(script.tokens):
                if at == script.cut:
                    ended = True
                    return
                if script.fail is not None and at == 1:
                    yield f"data: {json.dumps({'error': {'message': script.fail, 'param': None}})}\n\n"
                    ended = True
                    return
                for index in range(texts):
                    yield f"data: {json.dumps(chunk(index, token, None))}\n\n"
                await asyncio.sleep(script.pause)
            for index in range(texts):
                yield f"data: {json.dumps(chunk(index, None, 'length'))}\n\n"
            yield "data: [DONE]\n\n"
            ended = True
        finally:
            script.left += not ended

    def completion(index: int, token: str | None, ended: str | None) -> dict[str, Any]:
        log = None
        if token is not None:
            likely = script.likely(token)
            log = {"tokens": [token], "token_logprobs": [likely[token]], "top_logprobs": [likely], "text_offset": [0]}
        choice = {"index": index, "text": token or "", "logprobs": log, "finish_reason": ended}
        return {"object": "text_completion", "choices": [choice]}

    def chat(index: int, token: str | None, ended: str | None) -> dict[str, Any]:
        log = None
        if token is not None:
            entries = [{"token": each, "logprob": value, "bytes": list(each.encode("utf-8", "replace"))}
                       for each, value in script.likely(token).items()]
            log = {"content": [{**entries[0], "top_logprobs": entries}], "refusal": None}
        delta = {} if token is None else {"content": token}
        return {"object": "chat.completion.chunk",
                "choices": [{"index": index, "delta": delta, "logprobs": log, "finish_reason": ended}]}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "data": script.models}

    @app.post("/v1/completions")
    async def completions(request: Request) -> Response:
        return await answer(request, completion)

    @app.post("/v1/chat/completions")
    async def chats(request: Request) -> Response:
        return await answer(request, chat)

    @app.post("/views/steps")
    async def steps(request: Request) -> dict[str, Any]:
        body = await request.json()
        script.asked.append((request.url.path, body))
        prompt, found = body["prompt"].split(" "), []
        for at, token in enumerate(script.tokens[: body["max_tokens"]]):
            top = [{"text": each, "probability": math.exp(value)} for each, value in script.likely(token).items()]
            seen = len(prompt) + at
            found.append({"text": token, "probability": 0.75, "top": top, "attention": [1 / seen] * seen})
        return {"prompt": prompt, "steps": found}

    return app


@contextmanager
def serving(script: Script) -> Iterator[str]:
    """The address of a server that follows the script."""
    with live(application(script)) as port:
        yield f"http://127.0.0.1:{port}"
