"""One field of a row, checked: a text, a label, lists of texts or objects. Errors name place and field."""

import math
from collections.abc import Mapping
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache

from trivium.errors import DataError

Columns = Mapping[str, str]
"""What a task calls a field to what the user's file calls it, where that differs."""


class NoColumnError(DataError):
    """A row without a column that it needs; ``near``: the one that is perhaps meant."""

    def __init__(self, text: str, column: str, near: str | None) -> None:
        super().__init__(text)
        self.column, self.near = column, near


class EmptyTextError(DataError):
    """Of a text with no words in it."""


def text_of(place: str, row: Mapping[str, object], field: str) -> str:
    """A text that is not empty."""
    value = _value(place, row, field)
    if not isinstance(value, str):
        raise DataError(f"{place}: the text in {field!r} is {_kind(value)}, not a string")
    if not value.strip():
        raise EmptyTextError(f"{place}: the text in {field!r} is empty: remove this row")
    return _encodable(place, value, field)


def label_of(place: str, row: Mapping[str, object], field: str) -> str:
    """A label; integers and truth values of JSON become strings."""
    value = _value(place, row, field)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        raise DataError(f"{place}: the label in {field!r} is {_kind(value)}, not a string or an integer")
    if not value.strip():
        raise DataError(f"{place}: the label in {field!r} is empty")
    return value.strip()


def texts_of(place: str, row: Mapping[str, object], field: str) -> tuple[str, ...]:
    """A list of texts, none of them empty."""
    value = _value(place, row, field)
    if not isinstance(value, list):
        raise DataError(f"{place}: {field!r} is {_kind(value)}, not a list of strings")
    for each in value:
        if not isinstance(each, str) or not each.strip():
            raise DataError(f"{place}: {field!r} holds {each!r}, which is not a string with text in it")
    return tuple(_encodable(place, each, field) for each in value)


def number_of(place: str, row: Mapping[str, object], field: str) -> float:
    """A finite number; a table's text that spells one, too."""
    value = _value(place, row, field)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise DataError(f"{place}: the number in {field!r} is {_kind(value)}")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise DataError(f"{place}: the number in {field!r} is {value!r:.60}: a number is wanted") from None
    if not math.isfinite(number):
        raise DataError(f"{place}: the number in {field!r} is {number}: correct or remove this row")
    return number


def labels_of(place: str, row: Mapping[str, object], field: str) -> tuple[str, ...]:
    """A list of labels, sorted, perhaps empty; in a table they stand in one text between commas."""
    value = _value(place, row, field)
    if isinstance(value, str):
        value = [part for part in value.split(",") if part.strip()]
    if not isinstance(value, list):
        raise DataError(f"{place}: {field!r} is {_kind(value)}, not a list of labels")
    return tuple(sorted({label_of(place, {field: each}, field) for each in value}))


def objects_of(place: str, row: Mapping[str, object], field: str) -> list[Mapping[str, object]]:
    """A list of objects of JSON, which may be empty."""
    value = _value(place, row, field)
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise DataError(f"{place}: {field!r} is {_kind(value)}, not a list of objects")
    return value


def integer_of(place: str, row: Mapping[str, object], field: str) -> int:
    """An integer, which a truth value is not."""
    value = _value(place, row, field)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{place}: {field!r} is {value!r}, not an integer")
    return value


def refuse_near_miss(place: str, row: Mapping[str, object], wanted: str, known: frozenset[str], why: str) -> None:
    """A field that may be left out, but stands there nearly spelt, would be ignored without a word."""
    if wanted not in row and (near := _near_miss(tuple(row), wanted, known)):
        raise DataError(f"{place}: column {near!r} would be ignored: call it {wanted!r} {why}")


@lru_cache(maxsize=64)
def _near_miss(names: tuple[str, ...], wanted: str, known: frozenset[str]) -> str | None:
    close = (n for n in names if n not in known and SequenceMatcher(None, n.lower(), wanted).ratio() > 0.8)
    return next(close, None)


def _value(place: str, row: Mapping[str, object], field: str) -> object:
    if field not in row:
        names = list(row)
        near = next(iter(get_close_matches(field, names, 1)), None)
        hint = f"; did you mean {near!r}?" if near else ""
        text = f"{place}: no column {field!r} among {', '.join(map(repr, names[:12]))}{hint}"
        raise NoColumnError(text, field, near)
    return row[field]


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


def _encodable(place: str, value: str, field: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: half a surrogate pair in {field!r} at character {error.start}") from error
    return value
