"""Under which name a model is served: of ``NAME=M`` both, of ``M`` its last part."""

import re
from pathlib import Path

from trivium.errors import SettingsError
from trivium.families.demo_models import DEMO_MODELS

_NAME = r"[\w.:-][\w.:/-]*"


def named_model(given: str) -> tuple[str, str]:
    """The name under which a model is served, and what it is loaded by: of ``NAME=M`` both, of ``M`` its last part."""
    found = re.fullmatch(rf"({_NAME})=(.+)", given)
    if found and not Path(given).exists():
        return found[1], found[2]
    if given in DEMO_MODELS:
        return given, given
    name = re.sub(r"[^\w.:-]+", "-", Path(given).absolute().name.removesuffix(".gguf"))
    return name or "model", given


def named_adapter(given: str) -> tuple[str, str]:
    """The name and the folder of ``NAME=DIR``; an adapter has no name of its own."""
    name, equals, place = given.partition("=")
    if not (equals and place and re.fullmatch(_NAME, name)):
        raise SettingsError(f"--adapter {given!r} must look like NAME=DIR: the name to serve it under, and its folder")
    return name, place
