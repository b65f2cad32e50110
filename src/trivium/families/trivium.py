"""What no Hugging Face class expresses: the same folder, our own names, ``model_type`` "trivium"."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import get_args

from trivium.errors import DataError, SettingsError
from trivium.families.family import Family
from trivium.transformer.config import Position, TransformerConfig

TRIVIUM = Family(
    name="trivium",
    paper="",
    hf_type="trivium",
    base={},
    sizes={},
    keys=(),
    weights=(),
    architectures={},
    left_out=(r"heads\..*",),
)


def settings_out(config: TransformerConfig) -> dict[str, object]:
    """Every field, as JSON."""
    return asdict(config)


def settings_in(written: Mapping[str, object]) -> TransformerConfig:
    """Back from JSON."""
    known = {f.name for f in fields(TransformerConfig)}
    unknown = sorted(set(written) - known)
    if unknown:
        raise DataError(f"config.json names {unknown[0]!r}, which no model of this version of Trivium has: upgrade it")
    settings = dict(written)
    try:
        position = dict(settings.pop("position"))  # type: ignore[call-overload]
        kinds = {kind.kind: kind for kind in get_args(Position)}
        settings["position"] = kinds[position.pop("kind")](**position)
        return TransformerConfig(**settings)  # type: ignore[arg-type]
    except (KeyError, TypeError, SettingsError) as problem:
        raise DataError(f"config.json does not describe a Trivium model: {problem}") from None
