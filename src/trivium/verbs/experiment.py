"""An experiment: what is compared, at which equal cost and by which scores, in one TOML file.

What is compared are contenders: listed one by one, and the product of the groups of a matrix's axes. Each is trained
once for each seed; such a training with its scores is a cell.
"""

import dataclasses
import difflib
import hashlib
import itertools
import json
import os
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from trivium.errors import SettingsError
from trivium.settings import Layer, build, dump, merge, override, read_toml, to_toml
from trivium.tasks import TASKS, Task
from trivium.verbs.finetune import task_options
from trivium.verbs.recipe import ALTERNATIVES, DataSettings, Recipe, TokenizerSettings, load_recipe

BUDGETS = ("tokens", "flops", "minutes")
HELD_EQUAL = ("data.", "training.steps", "training.tokens", "training.flops", "training.minutes", "training.seed")
CELLS, TOKENIZERS, LOGS = "cells", "tokenizers", "logs"  # folders beside those of the contenders


@dataclass(frozen=True)
class Contender:
    """A recipe by name or path, with changes as ``--set`` spells them; or a baseline that no network is trained for.

    ``share``: of the budget, for questions in which the budget itself is what differs; 0: a model as it begins.
    ``baseline``: a classifier of word vectors learnt from the same text ("skipgram", "cbow", "glove", or a file of
    vectors), "bag-of-words" or "majority".
    """

    name: str
    recipe: str | None = None
    set: tuple[str, ...] = ()
    share: float = 1.0
    baseline: str | None = None

    def __post_init__(self) -> None:
        if self.share < 0:
            raise SettingsError(f"{self.name}: share = {self.share}: it must be 0 (not trained) or more")
        if (self.recipe is None) == (self.baseline is None):
            raise SettingsError(f"{self.name} needs one of recipe and baseline")


@dataclass(frozen=True)
class Group:
    """One choice of an axis: changes to a recipe, or the recipe itself."""

    name: str
    recipe: str | None = None
    set: tuple[str, ...] = ()
    share: float = 1.0


@dataclass(frozen=True)
class Axis:
    """What is varied, such as the objective, the size or the tokenizer, and its choices."""

    name: str
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Transfer:
    """A task that every trained model is fine-tuned on, ``seeds`` times; the score is the mean.

    The examples are those of files (``$NAME/...``: below the folder that an environment variable names), or with
    ``corpus`` those that the embedded corpus has. Weights are chosen on dev; the score is that of ``test`` where there
    is one, else of dev. ``examples``: at most so many to learn from, ``scored``: to be scored on, by a keyed draw.
    ``optional``: left out where its files are not at hand. ``encoder``, ``decoder`` and ``encoder_decoder``: further
    settings of the task for a model of that kind, such as pooling=mean.
    """

    name: str
    task: str = "sequence"
    set: tuple[str, ...] = ()  # settings of the task
    encoder: tuple[str, ...] = ()
    decoder: tuple[str, ...] = ()
    encoder_decoder: tuple[str, ...] = ()
    train: str | None = None
    dev: str | None = None
    test: str | None = None
    corpus: Literal["chapters", "signatures", "sentences"] | None = None
    columns: tuple[str, ...] = ()  # what the files call the task's columns: "text=review"
    format: str | None = None
    examples: int | None = None
    scored: int | None = None
    seeds: int = 1
    method: str = "full"
    learning_rate: float | None = None
    epochs: int | None = None
    steps: int | None = None
    batch: int = 32
    optional: bool = False

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            near = difflib.get_close_matches(self.task, TASKS, 1)
            advice = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(TASKS)}"
            raise SettingsError(f"transfer {self.name}: task {self.task!r} is not known: {advice}")
        if (self.corpus is None) == (self.train is None) or (self.train is None) != (self.dev is None):
            raise SettingsError(f"transfer {self.name} needs train and dev, or corpus")
        for name in ("seeds", "examples", "scored"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"transfer {self.name}: {name} = {value}: it must be at least 1")
        for stack in ("", "encoder", "decoder", "encoder-decoder"):
            self.definition(stack)

    def definition(self, stack: str = "") -> Task[Any, Any]:
        """The task with its settings for a kind of model, before it has seen examples."""
        own = {"encoder": self.encoder, "decoder": self.decoder, "encoder-decoder": self.encoder_decoder}
        return build(TASKS[self.task], task_options(self.task, (*self.set, *own.get(stack, ()))))

    @property
    def identity(self) -> str:
        return fingerprint(replace(self, optional=False))

    def located(self) -> tuple[str | None, ...]:
        """The paths of train, dev and test."""
        return tuple(None if path is None else located(path) for path in (self.train, self.dev, self.test))

    @property
    def at_hand(self) -> bool:
        """False for an optional one whose files are not here."""
        if not self.optional:
            return True
        named = [path for path in (self.train, self.dev, self.test) if path is not None]
        unset = any(path.startswith("$") and not os.environ.get(path[1:].partition("/")[0]) for path in named)
        return not unset and all(path is None or Path(path).exists() for path in self.located())


@dataclass(frozen=True)
class Arm:
    """A contender as it is run: listed, or one cell of the matrix, whose place there is ``point``."""

    name: str
    recipe: str | None
    set: tuple[str, ...]
    share: float
    baseline: str | None = None
    point: tuple[tuple[str, str], ...] = ()  # (axis, group)


@dataclass(frozen=True)
class Experiment:
    """What is held equal is said here and laid over every contender's recipe."""

    title: str
    data: DataSettings
    tokenizer: TokenizerSettings
    question: str = ""
    tokens: int | None = None  # of training, for each contender and seed; or
    flops: float | None = None  # counted exactly; or
    minutes: float | None = None
    seeds: int = 1
    contenders: tuple[Contender, ...] = ()
    matrix: tuple[Axis, ...] = ()
    set: tuple[str, ...] = ()  # of every contender's recipe, below its own
    heldout: tuple[str, ...] = ()  # files to judge likelihoods on, in place of a share of the text
    transfer: tuple[Transfer, ...] = ()
    minimal_pairs: str | None = None  # a file, or a folder of them, in BLiMP's layout
    passages: int = 0  # of held-out text, that encoders (by pseudo-log-likelihood) and decoders give a probability to
    reference: str | None = None  # the contender that others are held against; none: the first; "all": every pair
    ngrams: int = 0  # the longest of a Kneser-Ney rival; 0: none
    lengths: tuple[int, ...] = ()  # at which a step's cost is measured; none: not measured

    def __post_init__(self) -> None:
        arms = self.arms()
        names = [arm.name for arm in arms]
        if not names:
            raise SettingsError("an experiment needs contenders, listed or as axes of a matrix")
        if double := next((name for name in names if names.count(name) > 1), None):
            raise SettingsError(f"two contenders are called {double!r}: give each a name of its own")
        if bad := next((n for n in names if not n or "/" in n or n.startswith(".")), None):
            raise SettingsError(f"the contender's name {bad!r} cannot be a folder's: use letters, digits and spaces")
        if taken := next((n for n in names if n in (CELLS, TOKENIZERS, LOGS)), None):
            raise SettingsError(f"the contender's name {taken!r} is that of a folder of every comparison: change it")
        given = {name: getattr(self, name) for name in BUDGETS if getattr(self, name) is not None}
        if len(given) != 1:
            said = ", ".join(f"{name} = {value}" for name, value in given.items()) or "none of them"
            raise SettingsError(f"an experiment holds exactly one of {', '.join(BUDGETS)} equal: it has {said}")
        for name, value in {**given, "seeds": self.seeds}.items():
            if value <= 0:
                raise SettingsError(f"{name} = {value}: it must be at least 1" if name != "minutes" and name != "flops"
                                    else f"{name} = {value}: it must be above 0")  # fmt: skip
        if self.ngrams < 0 or self.passages < 0 or any(length < 2 for length in self.lengths):
            raise SettingsError("ngrams and passages must not be negative, and lengths must be at least 2")
        tasks = [each.name for each in self.transfer]
        if len(set(tasks)) != len(tasks):
            raise SettingsError("two transfers have the same name: give each its own")
        if self.reference not in (None, "all", *names):
            raise SettingsError(f"reference = {self.reference!r} is no contender: choose one of {', '.join(names)}")
        self._check_apart(arms)

    def _check_apart(self, arms: Sequence[Arm]) -> None:
        """Refuses the same cell under two names."""
        seen: dict[str, str] = {}
        for arm in arms:
            made = arm.baseline or dump(self.recipe(arm, 0))
            key = json.dumps([arm.share, made], sort_keys=True)
            if key in seen:
                raise SettingsError(f"{seen[key]} and {arm.name} are the same cell: leave one of them out")
            seen[key] = arm.name

    @property
    def budget(self) -> tuple[str, float]:
        """What is held equal, and how much of it."""
        return next((name, getattr(self, name)) for name in BUDGETS if getattr(self, name) is not None)

    def arms(self) -> list[Arm]:
        """Listed contenders first, then the matrix, the last axis fastest."""
        listed = [Arm(c.name, c.recipe, c.set, c.share, c.baseline) for c in self.contenders]
        if not self.matrix:
            return listed
        return listed + [self._cell(chosen) for chosen in itertools.product(*(axis.groups for axis in self.matrix))]

    def _cell(self, chosen: Sequence[Group]) -> Arm:
        name = ", ".join(group.name for group in chosen)
        recipes = [group.recipe for group in chosen if group.recipe is not None]
        if len(recipes) != 1:
            raise SettingsError(f"the cell {name!r} of the matrix has {len(recipes)} recipes: one axis names them")
        share = 1.0
        for group in chosen:
            share *= group.share
        sets = tuple(each for group in chosen for each in group.set)
        point = tuple((axis.name, group.name) for axis, group in zip(self.matrix, chosen, strict=True))
        return Arm(name, recipes[0], sets, share, None, point)

    def arm(self, name: str) -> Arm:
        """A contender by its name."""
        found = next((arm for arm in self.arms() if arm.name == name), None)
        if found is None:
            known = ", ".join(arm.name for arm in self.arms())
            raise SettingsError(f"there is no contender {name!r}: choose one of {known}")
        return found

    def recipe(self, arm: Arm, seed: int) -> Recipe:
        """The contender's own recipe with what all have in common."""
        sets = (*self.set, *arm.set)
        if wrong := next((each for each in sets if each.strip().startswith(HELD_EQUAL)), None):
            raise SettingsError(f"{arm.name}: {wrong} is held equal by the experiment: leave it out (see share)")
        tokenizer = [each for each in sets if each.strip().startswith("tokenizer")]
        name, amount = self.budget
        budget = f"{name}={round(amount * arm.share) if name == 'tokens' else amount * arm.share}"
        common = ["training.steps=0" if arm.share == 0 else f"training.{budget}", f"training.seed={seed}"]
        made = load_recipe(arm.recipe or "", sets=[*(each for each in sets if each not in tokenizer), *common]).recipe
        layers = [Layer("experiment", {"tokenizer": dump(self.tokenizer)})]
        layers += [Layer(each, override(Recipe, each)) for each in tokenizer]
        settings = build(TokenizerSettings, merge(layers, ALTERNATIVES)[0]["tokenizer"])
        return replace(made, data=self.data, tokenizer=settings)

    def identity(self, arm: Arm) -> str:
        """Names everything, but the seed, that a cell's training depends on and that is said here."""
        own = (arm.recipe, arm.set, arm.share, arm.baseline)
        return fingerprint((own, self.set, self.budget, self.data, self.tokenizer, self.heldout))

    def to_toml(self) -> str:
        return to_toml(dump(self))


def fingerprint(value: Any) -> str:
    """Of what is said: fields with their defaults are not, so that a later version's new ones change nothing."""
    return hashlib.sha256(json.dumps(_said(value), sort_keys=True).encode()).hexdigest()[:16]


def _said(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        usual = {f.name: f.default for f in dataclasses.fields(value)}
        said = {name: _said(each) for name, each in fields.items() if each != usual[name]}
        return {"": type(value).__name__, **said}
    return [_said(each) for each in value] if isinstance(value, tuple | list) else value


def located(path: str) -> str:
    """A path whose first part may be an environment variable's name: ``$TRIVIUM_DATA/trec/train.tsv``."""
    if not path.startswith("$"):
        return path
    name, _, rest = path[1:].partition("/")
    folder = os.environ.get(name)
    if not folder:
        raise SettingsError(f"{path}: the environment variable {name} is not set: set it to the folder of that file")
    return str(Path(folder) / rest)


def located_data(data: DataSettings) -> DataSettings:
    """The same of all files of a text."""
    sources = tuple(replace(each, files=tuple(map(located, each.files))) for each in data.sources)
    return replace(data, files=tuple(map(located, data.files)), sources=sources)


def experiment_names() -> list[str]:
    """The experiments that come with Trivium."""
    folder = resources.files("trivium") / "experiments"
    return sorted(each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml"))


def load_experiment(
    experiment: str | Path, data: Sequence[str | Path] = (), **changes: int | float | None
) -> Experiment:
    """By name or path; ``data`` files take the place of its text, ``changes`` (a budget, seeds) of its numbers."""
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
        kept = {n: value for n, value in values.get("data", {}).items() if n not in ("files", "sources", "corpus")}
        values["data"] = {**kept, "files": [str(path) for path in data]}
    asked = {name: value for name, value in changes.items() if value is not None}
    if any(name in asked for name in BUDGETS):
        values = {name: value for name, value in values.items() if name not in BUDGETS}
    return build(Experiment, {**values, **asked})
