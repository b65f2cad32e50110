"""Models by one name, as people say it: ``bert-base``, ``gpt2``, ``llama-3-8b``. No torch."""

import difflib
from collections.abc import Collection
from functools import cache

from trivium.errors import SettingsError
from trivium.families import FAMILIES

CLOSED = {
    "instructgpt": "its sizes are GPT-3's (gpt3-175b is the largest), its weights were not published",
    "chatgpt": "neither its sizes nor its weights were published",
    "gpt-3.5": "neither its sizes nor its weights were published",
    "gpt-4": "neither its sizes nor its weights were published; 16 times 110 billion parameters are a guess",
    "gpt-4o": "neither its sizes nor its weights were published",
    "gpt-5": "neither its sizes nor its weights were published",
}
"""Models that people ask for and nobody can build, with what is known."""


@cache
def presets() -> dict[str, tuple[str, str]]:
    """Every name and the family and size it stands for: FAMILY-SIZE, other names of sizes, and names of their own."""
    found: dict[str, tuple[str, str]] = {}
    for family in FAMILIES.values():
        own = {f"{family.name}-{size}": size for size in family.sizes}
        aliases = {f"{family.name}-{alias}": size for alias, size in family.size_aliases.items()}
        for name, size in {**own, **aliases, **family.known_as}.items():
            found[name.lower()] = (family.name, size)
    return found


def preset(name: str, others: Collection[str] = ()) -> tuple[str, str]:
    """The family and size of a name. ``others``: further names that the caller would take, for suggestions."""
    wanted = name.lower().replace("_", "-")
    if wanted in presets():
        return presets()[wanted]
    if wanted in CLOSED:
        raise SettingsError(f"{name} cannot be planned: {CLOSED[wanted]}")
    nearest = difflib.get_close_matches(wanted, [*presets(), *others], n=3)
    advice = f"did you mean {' or '.join(nearest)}?" if nearest else f"name a family and size, such as {_examples()}"
    raise SettingsError(f"there is no model {name!r}: {advice}")


def _examples() -> str:
    return "bert-base, gpt2-xl, t5-large, llama-3-8b"
