"""Settings are frozen dataclasses; this file moves them from and to TOML tables, JSON and dotted overrides.

``build`` makes a dataclass of nested tables, strictly: an unknown field, a wrong type or a missing value is a
``SettingsError`` that names the field by its dotted path, with the nearest valid one. A field whose type is a union
of dataclasses is chosen by its ``kind``; one whose metadata has ``kinds`` (a table from name to class) is chosen from
that table, and so are the tables of a list. ``Layer`` and ``merge`` stack defaults, a recipe, ``--set`` and flags, and
remember where each value came from. TOML has no null: a value that is absent though its default is present is written
``"none"``.
"""

from trivium.settings.build import build, defaults, dump
from trivium.settings.layers import Layer, leaves, merge, override
from trivium.settings.schema import schema
from trivium.settings.toml import read_toml, spell, to_toml

__all__ = [
    "Layer", "build", "defaults", "dump", "leaves", "merge", "override", "read_toml", "schema", "spell", "to_toml",
]  # fmt: skip
