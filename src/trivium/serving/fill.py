"""``/fill``: blanks in a text, with candidates and their probabilities; by encoders and encoder-decoders."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, BeforeValidator, Field

from trivium.generation.fill import Blank, Filling
from trivium.generation.spans import fill_in_steps
from trivium.serving.asked import ALIGNED_CHARACTERS, Asked, check_texts, examples, json_answer, last_of
from trivium.serving.bodies import Listed
from trivium.serving.house import House, Served
from trivium.serving.refusals import Refusal

Size = Annotated[int, Field(ge=1, le=64)]


def _listed(size: Any) -> Any:
    return [size] if isinstance(size, int) else size


class FillAsked(Asked):
    """A text with blanks."""

    model_config = examples(
        {"text": "The capital of France is ___.", "top": 3},
        {"text": "The river rose and ___ the meadow.", "size": 2},
    )

    text: Annotated[str, Field(description="Blanks are written ___, <mask>, [MASK] or <extra_id_0>.")]
    top: Annotated[int, Field(ge=1, description="Candidates for each blank.")] = 5
    size: Annotated[
        Listed[Size] | None,
        BeforeValidator(_listed, json_schema_input_type=Size | list[Size] | None),
        Field(description="Tokens of a blank, one number for all or one for each; for encoder-decoders alone."),
    ] = None


class FilledWith(BaseModel):
    """One way to fill a blank. ``text`` keeps the space that a token begins with."""

    text: str
    ids: list[int]
    probability: float


class FilledBlank(BaseModel):
    """The most probable candidates, falling, and the probability of all the rest."""

    candidates: list[FilledWith]
    rest: float


class Filled(BaseModel):
    """The text with the first candidate in each blank."""

    model: str
    text: str
    blanks: list[FilledBlank]


def routes(house: House) -> APIRouter:
    """``POST /fill``."""
    router = APIRouter(tags=["tasks"])

    @router.post("/fill", response_model=Filled, summary="Fill the blanks of a text")
    async def fill(asked: FillAsked, request: Request) -> Response:
        """An encoder fills each blank with one token, all at once; an encoder-decoder that was trained by span
        corruption with a span of any length, or of `size` tokens, one blank after another. The probabilities of a
        blank's candidates and `rest` add up to 1."""
        served = house.served(asked.model, "fill")
        most = house.settings.caps.log_probabilities
        if asked.top > most:
            raise Refusal(400, f"top is {asked.top}, and at most {most} candidates are told", param="top")
        check_texts(house, [asked.text], "text", ALIGNED_CHARACTERS)
        filling = await last_of(house, request, _filled(served, asked))
        return await json_answer(
            {"model": served.name, "text": filling.text, "blanks": [_shown(blank) for blank in filling.blanks]}
        )

    return router


def _filled(served: Served, asked: FillAsked) -> Iterator[Filling | None]:
    model = served.model
    if model.kind == "encoder-decoder":
        yield from fill_in_steps(model.model, model.tokenizer, asked.text, asked.top, size=asked.size or ())
    else:
        yield model.fill(asked.text, asked.top, asked.size)  # which refuses a size


def _shown(blank: Blank) -> dict[str, Any]:
    return {
        "candidates": [
            {"text": each.text, "ids": list(each.tokens), "probability": _digits(each.probability)}
            for each in blank.candidates
        ],
        "rest": _digits(blank.other),
    }


def _digits(probability: float) -> float:
    return float(f"{probability:.6g}")
