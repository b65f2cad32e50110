"""The application: the routes of all files, errors in one shape, the scheduler's life."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from trivium import __version__
from trivium.errors import TriviumError
from trivium.serving import (
    chat,
    completions,
    costs,
    embeddings,
    fill,
    health,
    metrics_page,
    model_list,
    pages,
    reference,
    runs,
    tasks,
    tokens,
    views,
)
from trivium.serving.guard import SECURITY, Guard
from trivium.serving.house import House
from trivium.serving.leaving import Leaving
from trivium.serving.refusals import Refusal, refusal_of

# A file of routes each, in the order of /docs.
ROUTES = (
    health,
    model_list,
    completions,
    chat,
    embeddings,
    tokens,
    costs,
    fill,
    tasks,
    views,
    runs,
    metrics_page,
    reference,
    pages,
)


def application(house: House) -> FastAPI:
    """What uvicorn runs."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        house.scheduler.start()
        yield
        await asyncio.to_thread(house.scheduler.stop)

    # The pages of documentation that FastAPI brings load scripts from elsewhere; reference.py makes one that does not.
    app = FastAPI(
        title="Trivium", version=__version__, lifespan=life, docs_url=None, redoc_url=None, redirect_slashes=False
    )  # fmt: skip
    app.state.house = house
    for file in ROUTES:
        app.include_router(file.routes(house))

    app.add_middleware(Leaving)
    app.add_middleware(Guard, house=house)  # added last, so it is first

    @app.exception_handler(Refusal)
    async def refused(_: Request, problem: Refusal) -> JSONResponse:
        return JSONResponse(problem.body(), problem.status, problem.headers)

    @app.exception_handler(TriviumError)
    async def unusable(_: Request, problem: TriviumError) -> JSONResponse:
        refusal = refusal_of(problem)
        return JSONResponse(refusal.body(), refusal.status)

    @app.exception_handler(HTTPException)
    async def unroutable(request: Request, problem: HTTPException) -> JSONResponse:
        place = f"{request.method} {request.url.path[:200]}"
        texts = {404: f"there is no {place} here: /docs lists what there is", 405: f"{place} is not a way to ask here"}
        refusal = Refusal(problem.status_code, texts.get(problem.status_code, str(problem.detail)))
        return JSONResponse(refusal.body(), problem.status_code, problem.headers)

    @app.exception_handler(Exception)
    async def broken(_: Request, __: Exception) -> JSONResponse:
        # Outside of the guard, which therefore cannot add its headers; the traceback goes to the operator's log.
        refusal = Refusal(500, "the server failed at this request; its log says where")
        return JSONResponse(refusal.body(), 500, {**SECURITY, "cache-control": "no-store"})

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, problem: RequestValidationError) -> JSONResponse:
        return JSONResponse(refusal_of_fields(problem.errors()).body(), 400)

    return app


def refusal_of_fields(problems: Sequence[Mapping[str, Any]]) -> Refusal:
    """The first field that cannot be used, by its name; of a field that may be several kinds of thing, the first one
    that got further than its kind."""
    first = max(problems, key=lambda each: (len(each["loc"]), each["type"] == "extra_forbidden"))
    where = ".".join(str(part) for part in first["loc"] if part != "body" and _is_name(part))
    if first["type"] == "extra_forbidden":
        return Refusal(400, f"{where} is not supported here: leave it out", param=where, code="unknown_parameter")
    if first["type"] == "missing":
        return Refusal(400, f"{where or 'the body'} is missing: give it", param=where or None)
    said = str(first["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return Refusal(400, f"{where or 'the body'} {said[:1].lower()}{said[1:]}", param=where or None)


def _is_name(part: object) -> bool:
    """Not what the checker calls a kind of thing, as in ``prompt.list[int].0``."""
    return isinstance(part, int) or (str(part).isidentifier() and part not in ("str", "int", "float", "bool"))
