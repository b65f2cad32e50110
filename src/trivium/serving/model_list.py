"""``/v1/models``: the models of this server, as OpenAI's API lists them, with what each can be asked."""

from typing import Any

from fastapi import APIRouter

from trivium.serving.house import ABILITIES, House, Served
from trivium.serving.tasks import fields_of, task_of
from trivium.transformer.inference_weights import parameter_count
from trivium.views.attention import stacks


def routes(house: House) -> APIRouter:
    """``GET /v1/models`` and ``GET /v1/models/{name}``."""
    router = APIRouter()

    @router.get("/v1/models", tags=["OpenAI"], summary="The models of this server")
    async def models() -> dict[str, Any]:
        """With what each can be asked, and what a fine-tuned one reads and says."""
        return {"object": "list", "data": [described(each) for each in house.models.values()]}

    @router.get("/v1/models/{name:path}", tags=["OpenAI"], summary="One of the models")
    async def model(name: str) -> dict[str, Any]:
        """As the list has it."""
        return described(house.served(name))

    return router


def described(served: Served) -> dict[str, Any]:
    """As the list has it."""
    model, config = served.model, served.model.config
    predictor = served.predictor
    about = {
        "kind": model.kind,
        "family": model.family.name,
        "parameters": parameter_count(model.model),
        "layers": {"encoder": config.encoder_layers, "decoder": config.decoder_layers},
        "stacks": list(stacks(model.model)),  # where it has attention
        "heads": getattr(config, "heads", None),
        "context": config.limit,
        "longest": served.longest,
        "abilities": [each for each in ABILITIES if each in served.abilities],
        "labels": list(getattr(getattr(predictor, "task", None), "labels", ())),
        "task": None if predictor is None else task_of(predictor),
        "fields": [] if predictor is None else list(fields_of(predictor)),
    }
    return {
        "id": served.name, "object": "model", "created": served.created, "owned_by": "trivium", "trivium": about,
    }  # fmt: skip
