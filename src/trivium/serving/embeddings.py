"""``/v1/embeddings``: a vector for each text, in OpenAI's shape.

A text is a string or its token ids. Vectors are made as the model's folder says (``modules.json`` of
sentence-transformers), else as the mean over a text's tokens; ``pooling`` and ``normalize`` change that, and are fields
of our own. A text that is longer than what the model reads is refused and not cut. Left out: ``user`` is not looked at.
"""

import asyncio
import base64
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, PlainValidator
from pydantic_core import PydanticCustomError

from trivium.families.sentence_modules import SentenceModules, SentencePooling
from trivium.serving.asked import Asked, check_texts, examples, in_steps, json_answer
from trivium.serving.house import House, Served
from trivium.serving.refusals import Refusal
from trivium.tasks.batching import within_budget
from trivium.tasks.embeddings import TextRows, embed_rows, text_rows
from trivium.verbs.embed import as_read, way_of

STEP_TOKENS = 1024  # read at once, with padding: others wait so long

Text = Annotated[str, Field(min_length=1)]
Ids = Annotated[list[Annotated[int, Field(ge=0, lt=1 << 31)]], Field(min_length=1)]


def _listed(given: Any) -> list[str | list[int]]:
    """One text as a list of one; texts or ids, not both. Written by hand, so that one sentence says what is wrong."""
    ids = isinstance(given, list) and bool(given) and all(map(_is_id, given))
    texts = given if isinstance(given, list) and not ids else [given]
    if not texts:
        raise PydanticCustomError("empty", "is an empty list: give it a text")
    for number, each in enumerate(texts):
        whole = isinstance(each, str) or (isinstance(each, list) and all(map(_is_id, each)))
        if not whole or isinstance(each, str) != isinstance(texts[0], str):
            raise PydanticCustomError("text", "must be a text, a list of texts, or lists of token ids, whole numbers")
        if not each:
            place = f"holds an empty text, number {number + 1} of {len(texts)}"
            raise PydanticCustomError("empty", "{place}: leave it out", {"place": place})
    return texts


def _is_id(value: Any) -> bool:
    return type(value) is int and value >= 0


class EmbeddingsAsked(Asked):
    """Texts to be made vectors of."""

    model_config = examples(
        {"input": "A river has two banks."},
        {"input": ["A river has two banks.", "The bank lends money."], "encoding_format": "base64"},
    )

    input: Annotated[
        list[str | list[int]],
        PlainValidator(_listed, json_schema_input_type=Text | list[Text] | Ids | list[Ids]),
        Field(description="A text or several, or their token ids, without those that belong around a text."),
    ]
    dimensions: Annotated[int | None, Field(ge=1, description="How many numbers of each vector to keep.")] = None
    encoding_format: Annotated[
        Literal["float", "base64"], Field(description="base64: of float32, little-endian.")
    ] = "float"
    pooling: Annotated[
        SentencePooling | None,
        Field(description="The mean of a text's tokens, its first (cls) or its last. If not given, as the model says."),
    ] = None
    normalize: Annotated[
        bool | None, Field(description="Whether vectors are made 1 long. If not given, as the model says.")
    ] = None
    user: Annotated[str | None, Field(description="Not looked at.")] = None


class Embedding(BaseModel):
    """One vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """What was read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """The vectors of all texts, in their order."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


def routes(house: House) -> APIRouter:
    """``POST /v1/embeddings``."""
    router = APIRouter(tags=["embeddings"])

    @router.post("/v1/embeddings", response_model=EmbeddingList, summary="A vector for each text")
    async def embeddings(asked: EmbeddingsAsked, request: Request) -> Response:
        """Counts in `usage` include the tokens that belong around a text."""
        served = house.served(asked.model, "embed")
        width = served.model.config.width
        if asked.dimensions is not None and asked.dimensions > width:
            raise Refusal(
                400, f"dimensions is {asked.dimensions}, and {served.name} has {width}: ask for at most {width}",
                param="dimensions",
            )  # fmt: skip
        way = way_of(served.model, asked.pooling, asked.normalize)
        rows = await asyncio.to_thread(_rows, house, served, way, asked.input)
        vectors = np.zeros((len(rows.ids), width), np.float32)
        await in_steps(house, request, _computed(served, way, rows, vectors))
        if not np.isfinite(vectors).all():
            raise Refusal(500, f"{served.name} gives numbers that are not finite: its weights are damaged")
        vectors = _shortened(vectors, asked.dimensions, way.normalise)
        read = int(rows.lengths.sum())
        data = (
            {"object": "embedding", "index": number, "embedding": _written(vector, asked.encoding_format)}
            for number, vector in enumerate(vectors)
        )
        usage = {"prompt_tokens": read, "total_tokens": read}
        return await json_answer({"object": "list", "model": served.name, "usage": usage}, data, "data")

    return router


def _rows(house: House, served: Served, way: SentenceModules, given: list[str | list[int]]) -> TextRows:
    """The tokens of all texts; refuses what the model cannot read."""
    model, tokenizer = served.model, served.model.tokenizer
    texts = [each for each in given if isinstance(each, str)]
    if texts:
        check_texts(house, texts, "input")
        texts = as_read(way, texts)
        whole = tokenizer.encode_batch(texts)
    else:
        whole = [each for each in given if not isinstance(each, str)]
        _check_ids(house, served, whole)
    rows = text_rows(tokenizer, model.config, whole, way.length, texts)
    for number in np.flatnonzero(rows.truncated):
        raise Refusal(
            400,
            f"input[{number}] has {len(whole[number])} tokens, and {served.name} reads {len(rows.ids[number])} with "
            "those around a text: split it",
            param="input",
            code="context_length_exceeded",
        )
    return rows


def _check_ids(house: House, served: Served, rows: Sequence[Sequence[int]]) -> None:
    caps, size = house.settings.caps, served.model.tokenizer.vocab_size
    if served.model.config.characters:
        raise Refusal(400, f"{served.name} reads the characters of words: give texts, not tokens", param="input")
    if len(rows) > caps.texts:
        raise Refusal(400, f"input has {len(rows)} texts, and at most {caps.texts} are answered", param="input")
    for number, row in enumerate(rows):
        if (largest := max(row)) >= size:
            raise Refusal(
                400, f"input[{number}] holds the token {largest}, and {served.name} has {size}", param="input"
            )


def _computed(served: Served, way: SentenceModules, rows: TextRows, vectors: np.ndarray) -> Iterator[None]:
    """Puts the vectors where they belong, a batch of similar lengths at a time."""
    model, tokenizer = served.model.model, served.model.tokenizer
    for numbers in within_budget(rows.lengths, np.arange(len(rows.ids)), STEP_TOKENS):
        vectors[numbers] = embed_rows(model, tokenizer, rows.only(numbers), way.pooling, way.normalise)
        yield


def _shortened(vectors: np.ndarray, dimensions: int | None, normalised: bool) -> np.ndarray:
    """The first numbers of each; what was 1 long is so again (Kusupati et al. 2022 train models for this)."""
    if dimensions is None or dimensions == vectors.shape[1]:
        return vectors
    cut: np.ndarray = vectors[:, :dimensions]
    if not normalised:
        return cut
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    shortened: np.ndarray = cut / np.where(lengths > 0, lengths, 1)
    return shortened


def _written(vector: np.ndarray, form: str) -> Any:
    """The fewest digits that give the same float32 back, or its bytes."""
    if form == "float":
        return [float(str(number)) for number in vector]
    return base64.b64encode(vector.astype("<f4").tobytes()).decode()
