"""Trivium: from raw text to a useful language model, on one straight road.

The public names are listed here and loaded on first use, so that ``import trivium`` costs nothing.
"""

from importlib import import_module

__version__ = "0.1.0"

_PUBLIC = {
    "load_recipe": "trivium.verbs.recipe",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'trivium' has no attribute {name!r}")
    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_PUBLIC))
