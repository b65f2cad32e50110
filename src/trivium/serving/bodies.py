"""Strict JSON: what two readers of a text could understand differently is refused with 400.

RFC 8259 leaves to a reader what doubled keys, ``NaN``, ``1e999``, lone surrogates and numbers of a thousand digits
mean; a proxy and a server that differ in it can be played against each other. Here none of them is read. Depth and the
number of values are counted before anything is built, so that a body costs no more than a body of its size should.
"""

import json
import re
from collections import Counter
from functools import partial
from itertools import accumulate
from typing import Annotated, Any, TypeVar

from pydantic import Field

from trivium.errors import shown
from trivium.serving.refusals import Refusal
from trivium.serving.settings import Caps

T = TypeVar("T")
# A list in a body, of which only the first wrong value is told: to tell of a hundred thousand takes seconds, in which
# the event loop stands still.
Listed = Annotated[list[T], Field(fail_fast=True)]

_OTHERS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_BITS = 63


def strict(body: bytes, caps: Caps) -> dict[str, Any]:
    """The object that a body holds."""
    if not body.strip(b" \t\r\n"):
        raise _invalid("the body is empty: send a JSON object")
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise _invalid("the body begins with a byte order mark: send UTF-8 without one")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as problem:
        raise _invalid(f"the body is not UTF-8 at byte {problem.start}") from None
    _measure(body, caps)
    try:
        value = json.loads(
            text, object_pairs_hook=partial(_object, caps.fields), parse_constant=_constant, parse_float=_float,
            parse_int=_int,
        )  # fmt: skip
    except json.JSONDecodeError as problem:
        raise _invalid(f"the body is not JSON at character {problem.pos}: {problem.msg.lower()}") from None
    if not isinstance(value, dict):
        raise _invalid(f"the body is {_KINDS[type(value)]}: send a JSON object")
    if _SURROGATE.search(body):
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError:
            raise _invalid("the body has half a surrogate pair, which is no character") from None
    return value


_KINDS = {list: "an array", str: "a string", int: "a number", float: "a number", bool: "a truth value",
          type(None): "null"}  # fmt: skip


def _measure(body: bytes, caps: Caps) -> None:
    """Refuses depth and numbers of values without reading them. Whole-body passes in C only: none holds the
    interpreter for long, and the parts that Python walks through are bounded by ``caps.values``."""
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")  # no quotation mark is left that does not begin or end
    if plain.count(b'"') > 4 * caps.values:  # a value costs at most its own pair and its key's
        raise _too_many(caps)
    outside = b"".join(plain.split(b'"')[::2])
    if outside.count(b",") >= caps.values:
        raise _too_many(caps)
    brackets = outside.translate(None, _OTHERS)
    deepest = max(accumulate(map(_STEPS.__getitem__, brackets[: 2 * caps.containers])), default=0)
    if deepest > caps.depth:
        raise _invalid(f"the body is nested {deepest} deep: at most {caps.depth} are read")
    if brackets.count(b"[") + brackets.count(b"{") > caps.containers:
        raise Refusal(413, f"the body has more than {caps.containers:,} lists and objects", code="too_many_values")


def _object(fields: int, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > fields:
        raise _invalid(f"an object has {len(pairs):,} fields: at most {fields:,} are read")
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise _invalid(f"the field {shown(twice)} is given twice")
    return found


def _constant(word: str) -> float:
    raise _invalid(f"{word} is no number of JSON")


def _float(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _invalid(f"the number {shown(text)} is too large")
    return value


def _int(text: str) -> int:
    # Nothing here counts further than a tensor can, and a number of a million digits takes minutes to read.
    if len(text) > 20 or abs(value := int(text)) >= 1 << _BITS:
        raise _invalid(f"the number {shown(text)} is beyond {_BITS} bits")
    return value


def _invalid(message: str) -> Refusal:
    return Refusal(400, message, code="invalid_json")


def _too_many(caps: Caps) -> Refusal:
    return Refusal(413, f"the body has more than {caps.values:,} values", code="too_many_values")
