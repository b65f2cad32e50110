"""The JSON schema of a settings dataclass, for editors and other programs."""

import dataclasses
from typing import Any

from trivium.settings.shape import MISSING, adapter, default_of, hints, items_of, kinds_of, members, name_of

Table = dict[str, Any]


def schema(kind: type) -> Table:
    """The JSON schema (draft 2020-12) of a dataclass and everything in it, with defaults; nothing else is allowed."""
    properties: Table = {}
    required = []
    for field in dataclasses.fields(kind):
        if not field.init:
            continue
        name, annotation, default = name_of(field), hints(kind)[field.name], default_of(field)
        kinds, items = kinds_of(field, annotation), items_of(field, annotation)
        if kinds:
            tables = [_with_kind(word, schema(each)) for word, each in kinds.items()]
            nothing = [{"type": "null"}] if type(None) in members(annotation) else []
            arms = tables + nothing
            properties[name] = arms[0] if len(arms) == 1 else {"anyOf": arms}
        elif items:
            arms = [_with_kind(word, schema(each)) for word, each in items.items()]
            properties[name] = {"type": "array", "items": arms[0] if len(arms) == 1 else {"anyOf": arms}}
        else:
            properties[name] = adapter(annotation).json_schema()
        if default is MISSING:
            required.append(name)
        elif default is not None and not dataclasses.is_dataclass(default):
            properties[name]["default"] = list(default) if isinstance(default, tuple) else default
    described = {"description": next(iter((kind.__doc__ or "").strip().splitlines()), "")}
    return described | {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _with_kind(name: str, table: Table) -> Table:
    return table | {"properties": table["properties"] | {"kind": {"const": name}}} if name else table
