"""What no Hugging Face class expresses: the same folder, our own names, ``model_type`` "trivium"."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from trivium.errors import DataError, SettingsError
from trivium.families.bodies import body, kind_of
from trivium.families.family import Family
from trivium.settings import build, dump

if TYPE_CHECKING:
    from trivium.transformer import Config

TRIVIUM = Family(
    name="trivium",
    paper="",
    hf_type="trivium",
    base={},
    sizes={},
    left_out=(r"heads\..*",),
)


def settings_out(config: "Config") -> dict[str, object]:
    """The kind of network and every field, as JSON."""
    return {"kind": kind_of(config), **dump(config)}


def settings_in(written: Mapping[str, object]) -> "Config":
    """Back from JSON."""
    settings = dict(written)
    kind = body(settings.pop("kind", "transformer")).config
    try:
        return build(kind, settings)
    except SettingsError as problem:
        raise DataError(
            f"config.json does not describe a model that this version of Trivium knows ({problem}): it is damaged, or "
            "of a later version"
        ) from None
