"""TOML in (the standard library's reader) and out (the few kinds of value that settings have)."""

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trivium.errors import SettingsError

Table = dict[str, Any]


def read_toml(path: Path) -> Table:
    """A TOML file's tables; a file that is missing or not TOML is a ``SettingsError`` naming it and the line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path} does not exist: give the path of a TOML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}") from error


def to_toml(table: Mapping[str, Any], path: str = "") -> str:
    """TOML of nested tables of numbers, text, truth values and lists; plain values first, then the tables."""
    plain = [(k, v) for k, v in table.items() if not isinstance(v, Mapping)]
    below = [(k, v) for k, v in table.items() if isinstance(v, Mapping)]
    text = "".join(f"{_bare(k)} = {spell(v)}\n" for k, v in plain)
    for name, value in below:
        dotted = f"{path}.{_bare(name)}" if path else _bare(name)
        text += ("\n" if text else "") + f"[{dotted}]\n" + to_toml(value, dotted)
    return text


def _bare(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else spell(name)


def spell(value: Any) -> str:
    """One value as TOML has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(spell(each) for each in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_bare(k)} = {spell(v)}" for k, v in value.items()) + "}"
    return str(value)
