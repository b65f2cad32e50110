"""Nested tables to a checked dataclass, and back."""

import dataclasses
import difflib
import json
import math
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from trivium.errors import SettingsError, shown
from trivium.settings.shape import (
    MISSING,
    adapter,
    default_of,
    hints,
    items_of,
    kind_of,
    kinds_of,
    members,
    name_of,
    paths,
    unknown,
)

T = TypeVar("T")
Table = dict[str, Any]


def build(kind: type[T], values: Mapping[str, Any]) -> T:
    """The dataclass ``kind`` with these values, all of them checked."""
    return _build(kind, values, "", kind)


def _build(kind: type[T], values: Mapping[str, Any], path: str, root: type) -> T:
    """The part at a dotted ``path`` of the dataclass ``root``, where a misplaced name is looked for."""
    fields = {name_of(f): f for f in dataclasses.fields(kind) if f.init}  # type: ignore[arg-type]
    made = {}
    for name, value in values.items():
        if name not in fields:
            raise unknown(path, name, fields, paths(root))
        field = fields[name]
        made[field.name] = _value(field, hints(kind)[field.name], value, f"{path}.{name}" if path else name, root)
    for name, field in fields.items():
        if field.name not in made and default_of(field) is MISSING:
            raise SettingsError(f"{f'{path}.' if path else ''}{name} is missing: set it")
    try:
        return kind(**made)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"{path or kind.__name__}: {error}") from error


def _value(field: dataclasses.Field, annotation: Any, value: Any, path: str, root: type) -> Any:
    kinds = kinds_of(field, annotation)
    if kinds and (value is None or value == "none") and type(None) in members(annotation):
        return None
    if kinds:
        return _tagged(default_of(field), kinds, value, path, root)
    items = items_of(field, annotation)
    if items:
        if not isinstance(value, list | tuple):
            raise SettingsError(f"{path} = {shown(value)} must be a list of tables")
        return tuple(_tagged(None, items, each, f"{path}[{i}]", root) for i, each in enumerate(value))
    return _leaf(annotation, value, path)


def _tagged(default: Any, kinds: dict[str, type], value: Any, path: str, root: type) -> Any:
    """A dataclass chosen by ``kind``, else of the default's; the word alone stands for that kind with its defaults."""
    if isinstance(value, str) and "" not in kinds:
        value = {"kind": value}
    values = dict(_table(value, path))
    if "" in kinds:
        return _build(kinds[""], values, path, root)
    name = values.pop("kind", None) or kind_of(kinds, default)
    if name is None:
        raise SettingsError(f"{path}.kind is missing: choose one of {', '.join(sorted(kinds))}")
    if not isinstance(name, str) or name not in kinds:
        near = difflib.get_close_matches(str(name), kinds, n=1)
        advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(sorted(kinds))}"
        raise SettingsError(f"{path}.kind = {shown(name)} does not exist: {advice}")
    return _build(kinds[name], values, path, root)


def _leaf(annotation: Any, value: Any, path: str) -> Any:
    """A value that is no table, checked strictly: an integer refuses "8", 8.0, true and nan."""
    from pydantic import ValidationError

    if value is None or (value == "none" and not _is_word(annotation)):
        if type(None) not in members(annotation):
            raise SettingsError(f"{path} cannot be none")
        return None
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"{path} = {value} must be a finite number")
    if isinstance(value, Path):
        value = str(value)
    try:
        return adapter(annotation).validate_json(json.dumps(value))
    except TypeError:
        raise SettingsError(f"{path} = {shown(value)} is not a number, text, truth value or list") from None
    except ValidationError as error:
        asked = {each["msg"][0].lower() + each["msg"][1:] for each in error.errors() if each["type"] != "none_required"}
        raise SettingsError(f"{path} = {shown(value)}: {' or '.join(sorted(asked))}") from None


def _is_word(annotation: Any) -> bool:
    """Whether "none" is a text or a choice here, and not how files write that there is no value."""
    return any(each is str or "none" in typing.get_args(each) for each in members(annotation))


def _table(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise SettingsError(f"{path} = {shown(value)} must be a table of settings")
    return value


def dump(value: Any) -> Table:
    """Nested tables of every field that is set; ``build`` of them gives an equal dataclass."""
    table: Table = {}
    for field in dataclasses.fields(value):
        if not field.init:
            continue
        held = getattr(value, field.name)
        if held is None:
            if default_of(field) is not None:
                table[name_of(field)] = "none"
        elif dataclasses.is_dataclass(held):
            name = kind_of(kinds_of(field, hints(type(value))[field.name]), held)
            table[name_of(field)] = ({"kind": name} if name else {}) | dump(held)
        elif isinstance(held, tuple | list):
            items = items_of(field, hints(type(value))[field.name])
            table[name_of(field)] = [_item(items, each) for each in held]
        else:
            table[name_of(field)] = str(held) if isinstance(held, Path) else held
    return table


def defaults(value: Any) -> Table:
    """Nested tables of those fields alone that hold what they would if nobody set them."""
    table: Table = {}
    for field in dataclasses.fields(value):
        held = getattr(value, field.name)
        if dataclasses.is_dataclass(held):
            table[name_of(field)] = dump(held) if held == default_of(field) else defaults(held)
        elif held == default_of(field):
            table[name_of(field)] = str(held) if isinstance(held, Path) else held
        elif isinstance(held, tuple | list) and any(map(dataclasses.is_dataclass, held)):
            table[name_of(field)] = [defaults(each) for each in held]
    return table


def _item(items: Mapping[str, type], held: Any) -> Any:
    """One of a list."""
    if not dataclasses.is_dataclass(held):
        return held
    name = kind_of(items, held)
    return ({"kind": name} if name else {}) | dump(held)
