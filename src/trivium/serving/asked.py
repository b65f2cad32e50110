"""What route files share: bodies that refuse unknown fields, caps, jobs in steps, and answers of JSON."""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from trivium.serving.house import House
from trivium.serving.refusals import Refusal

T = TypeVar("T")

WAIT = 0.05  # seconds before a step that found no place asks again
ALIGNED_CHARACTERS = 1 << 16
"""Of a text whose tokens are told with their places. The ``tokenizers`` library hands the places over in one go, and
for a longer text the whole server would wait for it."""


def examples(*bodies: dict[str, JsonValue]) -> ConfigDict:
    """What a class of bodies tells ``/docs``."""
    return ConfigDict(json_schema_extra={"examples": list(bodies)})


class Asked(BaseModel):
    """A body: fields have exactly their types, and there are no others."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str | None, Field(description="A name of /v1/models. If not given, the first model that can.")] = (
        None
    )


def check_texts(house: House, texts: Sequence[str], field: str, most: int | None = None) -> None:
    """Refuses too many texts, and too many characters in all of them (``most``; None: the server's cap)."""
    caps = house.settings.caps
    if len(texts) > caps.texts:
        raise Refusal(400, f"{field} has {len(texts)} texts, and at most {caps.texts} are answered", param=field)
    most = caps.text_characters if most is None else min(most, caps.text_characters)
    characters = sum(map(len, texts))
    if characters > most:
        raise Refusal(400, f"{field} has {characters:,} characters, and at most {most:,} are read", param=field)


async def in_steps(house: House, request: Request, steps: Iterator[T]) -> list[T]:
    """What an iterator yields. Each step is a job of its own, so that other requests go on between two of them; all of
    them together have the time of one request. What has begun waits where the queue is full, and is not refused."""
    made: list[T] = []

    def step() -> bool:
        for each in steps:
            made.append(each)
            return True
        return False

    key, until = getattr(request.state, "key", ""), time.monotonic() + house.settings.deadline
    more = True
    while more:
        try:
            more = await house.scheduler.run(key, step)
        except Refusal as refusal:
            if refusal.status != 429 or not made:
                raise
            await asyncio.sleep(WAIT)
        if time.monotonic() > until:
            after = f"after {house.settings.deadline:g} seconds"
            raise Refusal(408, f"this was not done {after}: ask for less, or try later", code="deadline")
    return made


async def last_of(house: House, request: Request, steps: Iterator[T | None]) -> T:
    """What comes of steps: the last that an iterator yields."""
    *_, made = await in_steps(house, request, steps)
    assert made is not None
    return made


async def json_answer(content: Mapping[str, Any], parts: Iterable[Any] = (), name: str = "") -> Response:
    """An answer, made off the event loop. ``parts``: of the long list ``name``, which are written one by one: nothing
    else runs while the ``json`` library writes."""

    def write() -> bytes:
        if not name:
            return _json(content)
        listed = b",".join(map(_json, parts))
        rest = _json(content)[1:-1]
        return b'{"%s":[%s]%s%s}' % (name.encode(), listed, b"," if rest else b"", rest)

    return Response(await asyncio.to_thread(write), media_type="application/json")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
