"""Defaults, a recipe, ``--set`` and flags, one over the other, with the origin of every value."""

import dataclasses
import tomllib
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trivium.errors import SettingsError
from trivium.settings.shape import MISSING, hints, items_of, kinds_of, members, name_of, paths, unknown

Table = dict[str, Any]


@dataclass(frozen=True)
class Layer:
    """Values from one place. ``origin`` is what ``trivium config show`` prints beside them."""

    origin: str
    values: Mapping[str, Any]


def leaves(table: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """("training.steps", 100) and so on, in order."""
    for name, value in table.items():
        dotted = f"{path}.{name}" if path else name
        if isinstance(value, Mapping):
            yield from leaves(value, dotted)
        else:
            yield dotted, value


def override(kind: type, assignment: str) -> Table:
    """The nested table of one ``a.b=c``, its text read by the field's type."""
    dotted, equals, text = assignment.partition("=")
    dotted, text = dotted.strip(), text.strip()
    if not equals or not dotted:
        raise SettingsError(f"--set {assignment!r} must look like name=value, such as training.steps=100")
    *tables, last = dotted.split(".")
    nested: Table = {last: _read(_annotations(kind, dotted), text)}
    for name in reversed(tables):
        nested = {name: nested}
    return nested


def _annotations(kind: type, dotted: str) -> list[Any]:
    """The types that the field at a dotted path may have, over every kind of the tables on the way."""
    at: list[tuple[dataclasses.Field | None, Any]] = [(None, kind)]
    done = ""
    for name in dotted.split("."):
        classes = [c for field, hint in at for c in (kinds_of(field, hint).values() if field else [hint])]
        found: list[tuple[dataclasses.Field | None, Any]] = [
            (f, hints(c)[f.name]) for c in classes for f in dataclasses.fields(c) if name_of(f) == name
        ]
        if not found and name == "kind" and classes:
            return [str]
        if not found:
            if any(field is not None and items_of(field, hint) for field, hint in at):
                raise SettingsError(
                    f"{dotted} cannot be set alone, for {done} is a list of tables: give all of it, such as "
                    f"{done}='[{{...}}, {{...}}]', or change the file"
                )
            known = {name_of(f) for c in classes for f in dataclasses.fields(c)}
            if not known:
                raise SettingsError(f"there is no setting {dotted}: {done} has no parts")
            raise unknown(done, name, known, paths(kind))
        at, done = found, f"{done}.{name}" if done else name
    return [hint for _, hint in at]


def _read(annotations: Sequence[Any], text: str) -> Any:
    """The value that a piece of text spells for one of these types; what is wrong with it is left to ``build``."""
    arms = [arm for annotation in annotations for arm in members(annotation)]
    lists = [typing.get_args(arm)[0] for arm in arms if typing.get_origin(arm) is tuple]
    words = any(arm is str or arm is Path or typing.get_origin(arm) is typing.Literal for arm in arms)
    if text.lower() in ("none", "null") and type(None) in arms:
        return None
    if lists and not text.startswith("["):
        found = [part.strip() for part in text.split(",") if part.strip()]
        return [_read(lists, part) for part in found] if {int, float} & set(lists) else found
    if words and not text.startswith(('"', "[", "{")):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        try:
            return float(text)
        except ValueError:
            return text


def merge(layers: Sequence[Layer], alternatives: Mapping[str, Sequence[str]] = {}) -> tuple[Table, dict[str, str]]:
    """Later layers over earlier ones, and the origin of each dotted value.

    A table that names another ``kind`` than the one below replaces it whole. ``alternatives`` names the fields of a
    table of which only one may be set (of "training": steps, tokens ...): setting one drops the others from below.
    """
    values: Table = {}
    origins: dict[str, str] = {}
    for layer in layers:
        for dotted, value in leaves(layer.values):
            if isinstance(value, str) and isinstance(_get(values, dotted), dict):
                dotted += ".kind"  # "muon" for {kind = "muon"}
            table, _, name = dotted.rpartition(".")
            replaced = [each for each in alternatives.get(table, ()) if name in alternatives[table] and each != name]
            if name == "kind" and _get(values, dotted) not in (MISSING, value):
                replaced = [each for each in _get(values, table) if each != "kind"]
            for each in replaced:
                _drop(values, origins, f"{table}.{each}", unless=layer.origin)
            _put(values, dotted, value)
            origins[dotted] = layer.origin
    return values, origins


def _get(values: Table, dotted: str) -> Any:
    at: Any = values
    for name in dotted.split("."):
        if not isinstance(at, Mapping) or name not in at:
            return MISSING
        at = at[name]
    return at


def _put(values: Table, dotted: str, value: Any) -> None:
    *tables, last = dotted.split(".")
    for name in tables:
        if not isinstance(values.get(name), dict):
            values[name] = {"kind": values[name]} if isinstance(values.get(name), str) else {}
        values = values[name]
    values[last] = value


def _drop(values: Table, origins: dict[str, str], dotted: str, unless: str) -> None:
    """Remove a value, or a table with all that is in it, unless the layer itself set it."""
    table, _, name = dotted.rpartition(".")
    inside = [p for p in origins if p == dotted or p.startswith(dotted + ".")]
    if any(origins[p] == unless for p in inside):
        return
    holder = _get(values, table)
    if isinstance(holder, dict):
        holder.pop(name, None)
    for path in inside:
        del origins[path]
