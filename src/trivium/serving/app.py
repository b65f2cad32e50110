"""The application: the routes of all files, errors in one shape, the scheduler's life."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from trivium import __version__
from trivium.errors import TriviumError
from trivium.serving import health, pages, runs
from trivium.serving.house import House
from trivium.serving.refusals import Refusal, refusal_of

ROUTES = (health, pages, runs)  # a file of routes each, in the order of /docs


def application(house: House) -> FastAPI:
    """What uvicorn runs."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        house.scheduler.start()
        yield
        house.scheduler.stop()

    app = FastAPI(title="Trivium", version=__version__, lifespan=life)
    app.state.house = house
    for file in ROUTES:
        app.include_router(file.routes(house))

    @app.exception_handler(Refusal)
    async def refused(_: Request, problem: Refusal) -> JSONResponse:
        return JSONResponse(problem.body(), problem.status, problem.headers)

    @app.exception_handler(TriviumError)
    async def unusable(_: Request, problem: TriviumError) -> JSONResponse:
        refusal = refusal_of(problem)
        return JSONResponse(refusal.body(), refusal.status)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, problem: RequestValidationError) -> JSONResponse:
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        if first["type"] == "extra_forbidden":
            problem_text = f"{where} is not supported here: leave it out"
            refusal = Refusal(400, problem_text, param=where, code="unknown_parameter")
        else:
            refusal = Refusal(400, f"{where or 'the body'}: {first['msg']}", param=where or None)
        return JSONResponse(refusal.body(), 400)

    return app
