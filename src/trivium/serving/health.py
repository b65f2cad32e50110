"""``/health``: whether the server answers. The one route that needs no key."""

from fastapi import APIRouter

from trivium.serving.house import House


def routes(house: House) -> APIRouter:
    """``GET /health``."""
    router = APIRouter(tags=["server"])

    @router.get("/health", summary="Whether the server answers")
    async def health() -> dict[str, str]:
        """The one route that needs no key. It answers while models compute: nothing waits for them here."""
        return {"status": "ok"}

    return router
