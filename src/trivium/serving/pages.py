"""The playground's files: one page, its style and its modules, read from the package once and served from memory.
``base.css``, what it has alike with reports, lies with them in ``lab/``.

What may be asked for is a table of names made from the folder when the server starts. A path of a request is looked up
in it as a whole and never joined to a folder, so no spelling of ``..`` reaches a file. The modules are sent as they
were written: there is no build step, and nothing comes from another host. Under the policy that the guard puts on every
answer only these files run: text that a model writes can become neither script nor style.
"""

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from trivium.serving.house import House
from trivium.serving.refusals import Refusal

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True)
class Page:
    """A file as it is sent."""

    body: bytes
    kind: str
    tag: str


def playground() -> dict[str, Page]:
    """Every file of the playground by its name."""
    pages, own = {}, files("trivium.serving").joinpath("playground").iterdir()
    for file in sorted([*own, files("trivium.lab").joinpath("base.css")], key=lambda file: file.name):
        kind = KINDS.get("." + file.name.rpartition(".")[2])
        if kind is not None and file.is_file():
            body = file.read_bytes()
            pages[file.name] = Page(body, kind, f'"{hashlib.sha256(body).hexdigest()[:32]}"')
    return pages


def routes(house: House) -> APIRouter:
    """``GET /`` and ``GET /playground/NAME``."""
    router, pages = APIRouter(include_in_schema=False), playground()

    def answer(request: Request, name: str) -> Response:
        if name not in pages:
            raise Refusal(404, f"there is no page {name[:80]!r} here: the playground is at /", code="not_found")
        page = pages[name]
        headers = {
            "ETag": page.tag,
            "Cache-Control": "no-cache",  # asked for each time, sent again only where it has changed
        }
        known = {tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")}
        if page.tag in known:
            return Response(status_code=304, headers=headers)
        return Response(page.body, media_type=page.kind, headers=headers)

    @router.api_route("/", methods=["GET", "HEAD"])
    async def index(request: Request) -> Response:
        return answer(request, "index.html")

    @router.api_route("/playground/{name}", methods=["GET", "HEAD"])
    async def file(request: Request, name: str) -> Response:
        return answer(request, name)

    return router
