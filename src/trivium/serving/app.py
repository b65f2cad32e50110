"""The application: the routes of all files, errors in one shape, the scheduler's life."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from trivium import __version__
from trivium.errors import TriviumError
from trivium.serving import health, metrics_page, pages, reference
from trivium.serving.guard import SECURITY, Guard
from trivium.serving.house import House
from trivium.serving.refusals import Refusal, refusal_of

ROUTES = (health, pages, metrics_page, reference)  # a file of routes each, in the order of /docs


def application(house: House) -> FastAPI:
    """What uvicorn runs."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        house.scheduler.start()
        yield
        house.scheduler.stop()

    # The pages of documentation that FastAPI brings load scripts from elsewhere; reference.py makes one that does not.
    app = FastAPI(
        title="Trivium", version=__version__, lifespan=life, docs_url=None, redoc_url=None, redirect_slashes=False
    )  # fmt: skip
    app.state.house = house
    app.add_middleware(Guard, house=house)
    for file in ROUTES:
        app.include_router(file.routes(house))

    @app.exception_handler(Refusal)
    async def refused(_: Request, problem: Refusal) -> JSONResponse:
        return JSONResponse(problem.body(), problem.status, problem.headers)

    @app.exception_handler(TriviumError)
    async def unusable(_: Request, problem: TriviumError) -> JSONResponse:
        refusal = refusal_of(problem)
        return JSONResponse(refusal.body(), refusal.status)

    @app.exception_handler(HTTPException)
    async def unroutable(request: Request, problem: HTTPException) -> JSONResponse:
        place = f"{request.method} {request.url.path}"
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
        first = problem.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        if first["type"] == "extra_forbidden":
            problem_text = f"{where} is not supported here: leave it out"
            refusal = Refusal(400, problem_text, param=where, code="unknown_parameter")
        else:
            refusal = Refusal(400, f"{where or 'the body'}: {first['msg']}", param=where or None)
        return JSONResponse(refusal.body(), 400)

    return app
