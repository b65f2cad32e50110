"""``config.json``: whose model it describes, which, and with what heads. No torch."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from trivium.errors import DataError, SettingsError, shown
from trivium.families import FAMILIES
from trivium.families.family import Family
from trivium.families.trivium import TRIVIUM, settings_in
from trivium.settings import build
from trivium.transformer.head_config import KINDS, SEQUENCE, HeadConfig

if TYPE_CHECKING:
    from trivium.transformer import Config


def family_of(written: Mapping[str, object], folder: Path) -> Family:
    """By ``model_type``."""
    kind = written.get("model_type")
    known: dict[str, Family] = {}
    for family in (TRIVIUM, *FAMILIES.values()):
        known.setdefault(family.hf_type, family)  # of several in one layout the first
    if isinstance(kind, str) and kind in known:
        return known[kind]
    nearest = difflib.get_close_matches(str(kind)[:80], known, n=1, cutoff=0.0)[0]
    raise DataError(
        f"{folder / 'config.json'} has model_type {shown(kind)}, which Trivium does not read; the nearest that it does "
        f"is {nearest!r}, of {', '.join(known)}"
    )


def config_in(written: Mapping[str, object], family: Family, names: Collection[str], source: Path) -> "Config":
    """The configuration that ``config.json`` and the names of the tensors describe. ``source`` is the model's folder or
    file, which errors name."""
    try:
        if family is not TRIVIUM:
            config: Config = family.config_in(written, names)
        else:
            settings = written.get("trivium")
            if not isinstance(settings, dict):
                raise DataError("config.json says model_type 'trivium' but has no table 'trivium' with its settings")
            config = settings_in(settings)
        _check_depth(config, names)
    except DataError as problem:
        where = source / "config.json" if source.is_dir() else source
        raise DataError(str(problem).replace("config.json", str(where), 1)) from None
    return config


def _check_depth(config: "Config", names: Collection[str]) -> None:
    """Every layer has weights: a number of layers that the file cannot hold is refused before one is made."""
    layers = config.encoder_layers + config.decoder_layers
    if layers > len(names):
        raise DataError(
            f"config.json describes {layers:,} layers, and the weights are {len(names):,} tensors: get both files from "
            "the same model"
        )


def heads_in(written: Mapping[str, object], family: Family) -> dict[str, HeadConfig]:
    """The heads that ``config.json`` speaks of; with 0 labels where only their names or tensors say how many."""
    if family is TRIVIUM:
        tables = written.get("heads", {})
        if not isinstance(tables, dict) or not all(isinstance(table, dict) for table in tables.values()):
            raise DataError("config.json's heads are no tables: it is damaged, or of a later version")
        return {name: _described(name, table) for name, table in tables.items()}
    classes = written.get("architectures")
    asked = classes[0] if isinstance(classes, list) and classes else None
    for name, head in family.heads.items():
        if asked in head.classes:
            for key, value in head.fixed.items():
                if written.get(key, value) != value:
                    raise DataError(f"config.json has {key} = {written[key]!r}: a {asked} is known only with {value!r}")
            return {name: _with_dropout(head.made, written.get(head.dropout or ""))}
    return {}


def _described(name: str, table: Mapping[str, object]) -> HeadConfig:
    """From a folder's table. The first ones had texts' labels and their pooling alone."""
    values = {key: value for key, value in table.items() if key not in ("kind", "names")}
    kind = table.get("kind")
    if kind is None and name == SEQUENCE:
        kind, values = "pooled", {"bias": values.get("pooling") != "last", **values}
    if not isinstance(kind, str) or kind not in KINDS:
        raise DataError(f"config.json has a head {name!r} of kind {kind!r}: this version knows {', '.join(KINDS)}")
    try:
        made = build(KINDS[kind], values)
    except SettingsError as problem:
        raise DataError(f"config.json does not describe the head {name!r}: {problem}") from None
    if made.labels < 1:
        raise DataError(f"config.json has a head {name!r} of {made.labels} labels: it needs at least one")
    return made


def _with_dropout(head: HeadConfig, value: object) -> HeadConfig:
    """None: as made."""
    if value is None:
        return head
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise DataError(f"config.json has {value!r} as a head's dropout: it must be at least 0 and below 1")
    return replace(head, dropout=float(value))
