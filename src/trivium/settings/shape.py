"""What a settings dataclass holds: its fields, their types, and the dataclasses that a field may be."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from trivium.errors import SettingsError, shown

MISSING = dataclasses.MISSING


def hints(kind: type) -> Mapping[str, Any]:
    """The types of a class's fields, names resolved."""
    return typing.get_type_hints(kind)


def members(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, or the type itself."""
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)


def name_of(field: dataclasses.Field) -> str:
    """How files and overrides spell a field: one that would be a word of Python ends in an underscore here."""
    return field.name.removesuffix("_")


def default_of(field: dataclasses.Field) -> Any:
    """A field's default value, ``MISSING`` when it has none."""
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


def _class(entry: Any) -> type:
    """A table's entry: a class, or "module:name" for one that is loaded on use."""
    if isinstance(entry, str):
        module, _, name = entry.partition(":")
        return getattr(import_module(module), name)
    return entry


def kinds_of(field: dataclasses.Field, annotation: Any) -> dict[str, type]:
    """The dataclasses that a field may hold, by ``kind``; a field of one plain dataclass has the kind ``""``."""
    if _listed(annotation):
        return {}
    if "kinds" in field.metadata:
        return _named(field)
    classes: list[Any] = [arm for arm in members(annotation) if dataclasses.is_dataclass(arm)]
    if len(classes) == 1 and "kind" not in hints(classes[0]):
        return {"": classes[0]}
    return {str(next(f.default for f in dataclasses.fields(c) if f.name == "kind")): c for c in classes}


def items_of(field: dataclasses.Field, annotation: Any) -> dict[str, type]:
    """The dataclasses that the items of a ``tuple[..., ...]`` may be, as :func:`kinds_of` has them; else none."""
    listed = _listed(annotation)
    if not listed:
        return {}
    if "kinds" in field.metadata:
        return _named(field)
    return {"": listed[0]} if isinstance(listed[0], type) and dataclasses.is_dataclass(listed[0]) else {}


def _listed(annotation: Any) -> list[Any]:
    """What the lists of an annotation are of."""
    return [typing.get_args(arm)[0] for arm in members(annotation) if typing.get_origin(arm) is tuple]


def _named(field: dataclasses.Field) -> dict[str, type]:
    """The table in a field's metadata, or the one that a function in it gives, for tables that are not made yet."""
    table = field.metadata["kinds"]
    return {name: _class(entry) for name, entry in (table() if callable(table) else table).items()}


LONGEST_NAME = 80
"""Characters of a name that errors quote whole."""


def unknown(path: str, name: str, known: Iterable[str], elsewhere: Iterable[str] = ()) -> SettingsError:
    """The error for a name that is not there: the nearest valid one, here or by its full path in another table."""
    known = sorted(known)
    dotted = f"{path}.{name}" if path else name
    if len(name) > LONGEST_NAME or not name.isprintable():  # no slip of the hand
        return SettingsError(f"there is no setting {shown(dotted)}")
    near = [f"{path}.{each}" if path else each for each in difflib.get_close_matches(name, known, n=1)]
    other = sorted({each for each in elsewhere if each.rpartition(".")[2] == name})
    if other or near:
        return SettingsError(f"there is no setting {dotted}: did you mean {' or '.join(other or near)}?")
    return SettingsError(f"there is no setting {dotted}: choose one of {', '.join(known)}")


def kind_of(kinds: Mapping[str, type], value: Any) -> str | None:
    """Under which name a table of classes has the class of a value."""
    return next((name for name, kind in kinds.items() if type(value) is kind), None)


def paths(kind: type, path: str = "") -> Iterator[str]:
    """The dotted names of every field below a dataclass, of every kind."""
    for field in dataclasses.fields(kind):
        dotted = f"{path}.{name_of(field)}" if path else name_of(field)
        yield dotted
        for below in kinds_of(field, hints(kind)[field.name]).values():
            yield from paths(below, dotted)


@cache
def adapter(annotation: Any) -> Any:
    """Pydantic's strict check of one plain type; pydantic is loaded when the first value is checked."""
    from pydantic import ConfigDict, TypeAdapter

    return TypeAdapter(annotation, config=ConfigDict(strict=True, allow_inf_nan=False))
