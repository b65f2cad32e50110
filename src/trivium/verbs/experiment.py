"""An experiment: several recipes on the same text, tokenizer, number of tokens and seeds, in one TOML file."""

import difflib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from trivium.errors import SettingsError
from trivium.settings import build, dump, read_toml, to_toml
from trivium.verbs.recipe import DataSettings, Recipe, TokenizerSettings, load_recipe


@dataclass(frozen=True)
class Contender:
    """One recipe by name or path, with changes as ``--set`` spells them."""

    name: str
    recipe: str
    set: tuple[str, ...] = ()


@dataclass(frozen=True)
class Experiment:
    """What is held equal is said here and laid over every contender's recipe."""

    title: str
    contenders: tuple[Contender, ...]
    tokens: int  # of training, for each contender and seed
    data: DataSettings
    tokenizer: TokenizerSettings
    seeds: int = 1
    ngrams: int = 4  # the longest of the Kneser-Ney rival; 0: none
    lengths: tuple[int, ...] = (64, 128, 256, 512, 1024)  # at which a step's cost is measured; none: not measured

    def __post_init__(self) -> None:
        names = [contender.name for contender in self.contenders]
        if len(set(names)) != len(names) or not names:
            raise SettingsError("an experiment needs contenders, each with a name of its own")
        if bad := next((n for n in names if not n or "/" in n or n.startswith(".")), None):
            raise SettingsError(f"the contender's name {bad!r} cannot be a folder's: use letters, digits and spaces")
        for name in ("tokens", "seeds"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} = {getattr(self, name)}: it must be at least 1")
        if self.ngrams < 0 or any(length < 2 for length in self.lengths):
            raise SettingsError("ngrams must not be negative, and lengths must be at least 2")

    def recipe(self, contender: Contender, seed: int) -> Recipe:
        """The contender's own recipe with what all have in common."""
        common = [f"training.tokens={self.tokens}", f"training.seed={seed}"]
        made = load_recipe(contender.recipe, sets=[*contender.set, *common]).recipe
        return replace(made, data=self.data, tokenizer=self.tokenizer)

    def to_toml(self) -> str:
        return to_toml(dump(self))


def experiment_names() -> list[str]:
    """The experiments that come with Trivium."""
    folder = resources.files("trivium") / "experiments"
    return sorted(each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml"))


def load_experiment(experiment: str | Path, data: Sequence[str | Path] = (), **changes: int | None) -> Experiment:
    """By name or path; ``data`` files take the place of its text, ``changes`` (tokens, seeds) of its numbers."""
    text = str(experiment)
    if text.endswith(".toml") or "/" in text:
        values = read_toml(Path(text))
    elif text in experiment_names():
        content = (resources.files("trivium") / "experiments" / f"{text}.toml").read_text(encoding="utf-8")
        values = tomllib.loads(content)
    else:
        near = difflib.get_close_matches(text, experiment_names(), n=1)
        advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(experiment_names())}"
        raise SettingsError(f"there is no experiment {text!r}: {advice}, or give a path ending in .toml")
    if data:
        kept = {name: value for name, value in values.get("data", {}).items() if name in ("field", "errors", "heldout")}
        values["data"] = {**kept, "files": [str(path) for path in data]}
    return build(Experiment, {**values, **{name: value for name, value in changes.items() if value is not None}})
