"""``trivium config``: what a recipe comes to, where each value was said, and what may be said."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trivium.settings import dump, leaves, schema
from trivium.verbs.recipe import Recipe, load_recipe


@dataclass(frozen=True)
class Setting:
    """One value of a resolved recipe."""

    name: str  # dotted: training.steps
    value: Any
    origin: str  # "default", the recipe, "--set" or a flag


def show_config(recipe: str | Path, data: Sequence[str | Path] = (), sets: Sequence[str] = ()) -> list[Setting]:
    """Every value of the recipe after the overrides, and its origin."""
    resolved = load_recipe(recipe, data, sets)
    return [Setting(name, value, resolved.origins[name]) for name, value in leaves(dump(resolved.recipe))]


def recipe_schema() -> dict[str, Any]:
    """The JSON schema of a recipe: every table, field, type, choice and default."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Trivium recipe"} | schema(Recipe)
