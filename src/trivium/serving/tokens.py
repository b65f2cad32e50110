"""``/tokenize`` and ``/detokenize``: what a model reads of a text, token by token, and back."""

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from trivium.serving.asked import ALIGNED_CHARACTERS, Asked, check_texts, examples, json_answer
from trivium.serving.bodies import Listed
from trivium.serving.house import House
from trivium.serving.refusals import Refusal
from trivium.tokenizers import Tokenizer
from trivium.verbs.tokenizer import text_pieces

Id = Annotated[int, Field(ge=0, lt=1 << 31)]


class TokenizeAsked(Asked):
    """A text, or a pair of texts."""

    model_config = examples({"text": "Hug the pug."}, {"text": "Is it raining?", "pair": "No.", "specials": False})

    text: str
    pair: Annotated[str | None, Field(description="A second text, as models of pairs read it.")] = None
    specials: Annotated[bool, Field(description="With the control tokens that belong around a text.")] = True


class Token(BaseModel):
    """One token. ``text``: the characters of its text from ``start`` up to, not with, ``end``; of a control token, its
    name. ``piece``: the vocabulary's own spelling. ``kind``: a ``byte`` is a part of a character. ``word``: the number
    of its word, -1 for none. ``of``: 0 for the first text, 1 for the second, -1 for a control token."""

    id: int
    text: str
    start: int
    end: int
    control: bool
    piece: str
    kind: Literal["piece", "byte", "unknown", "control"]
    word: int
    of: int


class Tokens(BaseModel):
    """All tokens, in the order in which the model reads them."""

    model: str
    tokens: list[Token]
    count: int


class DetokenizeAsked(Asked):
    """Token ids."""

    model_config = examples({"ids": [5, 17, 42]})

    ids: Listed[Id]
    specials: Annotated[bool, Field(description="Write control tokens by their names; else they are left out.")] = False


class Detokenized(BaseModel):
    """The text of ids; bytes that are no UTF-8 are U+FFFD."""

    model: str
    text: str


def routes(house: House) -> APIRouter:
    """``POST /tokenize`` and ``POST /detokenize``."""
    router = APIRouter(tags=["tokens"])

    @router.post("/tokenize", response_model=Tokens, summary="A text as the tokens that a model reads")
    async def tokenize(asked: TokenizeAsked) -> Response:
        """A control token's name in the text is text, and never the control token. Texts of more than 65,536
        characters are counted by `/estimate`."""
        served = house.served(asked.model)
        check_texts(house, [asked.text, asked.pair or ""], "text", ALIGNED_CHARACTERS)
        tokens = await asyncio.to_thread(_tokens, served.model.tokenizer, asked)
        return await json_answer({"model": served.name, "count": len(tokens)}, tokens, "tokens")

    @router.post("/detokenize", response_model=Detokenized, summary="The text of token ids")
    async def detokenize(asked: DetokenizeAsked) -> Response:
        """The way back; where a tokenizer drops something, such as upper case, it stays dropped."""
        served = house.served(asked.model)
        tokenizer = served.model.tokenizer
        if len(asked.ids) > ALIGNED_CHARACTERS:
            most = f"at most {ALIGNED_CHARACTERS:,} are read"
            raise Refusal(400, f"ids has {len(asked.ids):,} tokens, and {most}", param="ids")
        size = tokenizer.vocab_size
        if asked.ids and (largest := max(asked.ids)) >= size:
            raise Refusal(400, f"ids holds the token {largest}, and {served.name} has {size}", param="ids")
        text = await asyncio.to_thread(tokenizer.decode, asked.ids, not asked.specials)
        return await json_answer({"model": served.name, "text": text})

    return router


def _tokens(tokenizer: Tokenizer, asked: TokenizeAsked) -> list[dict[str, Any]]:
    return [
        {
            "id": each.id,
            "text": each.piece if each.kind == "control" else each.text,
            "start": each.start,
            "end": each.end,
            "control": each.kind == "control",
            "piece": each.piece,
            "kind": each.kind,
            "word": each.word,
            "of": each.of,
        }
        for each in text_pieces(tokenizer, asked.text, asked.pair, asked.specials)
    ]
