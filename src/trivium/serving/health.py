"""``/health``: whether the server answers. The one route that needs no key."""

from fastapi import APIRouter

from trivium.serving.house import House


def routes(house: House) -> APIRouter:
    """``GET /health``."""
    router = APIRouter()

    @router.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    return router
