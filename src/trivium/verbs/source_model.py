"""``[from]`` of a recipe opened: the model that a run goes on from, and the recipe with that model written into it.

What the source is stands in the recipe of the run field by field, so that the run can be gone on with, planned and
copied without the source.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from trivium.durable import file_digest
from trivium.errors import DataError, SettingsError
from trivium.families import FAMILIES, Family
from trivium.families.adapter_config import TENSORS, is_adapter
from trivium.families.model_folder import weight_files
from trivium.objectives import OBJECTIVES, Mixed, Objective
from trivium.training.run_directory import RECIPE
from trivium.transformer import Config
from trivium.transformer.network import changed
from trivium.verbs.load import LanguageModel, load
from trivium.verbs.new_rows import changed_axes
from trivium.verbs.recipe import From, ModelSettings, Recipe, read_recipe

FREE = ("dropout", "attention_dropout", "init", "init_std", "forget_bias", "context")
"""Fields that may differ from the source's: they say how it is trained. The context has a rule of its own."""

COMPUTED = {"kv_heads": "groups", "head_width": "per_head", "attention_scale": "score_scale", "state_width": "state"}
"""A field that may be left out -> the property that it then has."""

_SET_BY_THE_RUN = ("vocab_size", "pad_token", "start_token", "bidirectional_prompt")
"""By its tokenizer and its objective."""


@dataclass(frozen=True, eq=False)
class Source:
    """What a run goes on from; ``recipe`` is that of a run of our own."""

    model: LanguageModel
    recipe: Recipe | None


def opened(recipe: Recipe) -> tuple[Recipe, Source]:
    """The recipe with the source's model in it, and the source. Refuses what does not fit together."""
    given = recipe.from_
    assert given is not None
    loaded = load(given.model, device="cpu")
    digest = weights_digest(loaded.directory)
    if given.sha256 not in (None, digest):
        raise SettingsError(
            f"{given.model} is not the model of the recipe (the SHA-256 of its weights begins with {digest[:12]}, not "
            f"{(given.sha256 or '')[:12]}): give that one, or leave out from.sha256"
        )
    source = Source(loaded, recipe_of(loaded.directory))
    if recipe.tokenizer.path is not None:
        raise SettingsError(
            f"tokenizer.path = {recipe.tokenizer.path} is not for a run from {given.model}, which keeps its own "
            "tokenizer: leave it out"
        )
    if recipe.model.vectors is not None:
        raise SettingsError(f"model.vectors: the embeddings of {given.model} are learnt already: leave it out")
    _check_objective(recipe.objective, loaded.config, given.model)
    config, length = _config(recipe, given, source)
    settled = replace(given, sha256=digest, rows=loaded.config.vocab_size, length=length)
    return replace(recipe, model=_described(config, source, given.model), from_=settled), source


def weights_digest(path: Path) -> str:
    """SHA-256 of a model's weights: of its file, or of its files' own if there are several; an adapter's of its own."""
    files = [path / TENSORS] if is_adapter(path) else weight_files(path) if path.is_dir() else [path]
    digests = [file_digest(each) for each in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def recipe_of(folder: Path) -> Recipe | None:
    """The recipe of a run that pretrained a model; None for other folders and files."""
    try:
        return read_recipe(folder / RECIPE) if (folder / RECIPE).is_file() else None
    except (SettingsError, DataError):  # of a fine-tuned model, or of another version
        return None


def _config(recipe: Recipe, given: From, source: Source) -> tuple[Config, int]:
    """The run's configuration but for its vocabulary, and the length of its rows."""
    config, asked = source.model.config, recipe.model.changes()
    free = (*FREE, "vocabulary_head") if config.vocabulary_head == "none" else FREE
    for name, value in asked.items():
        own = _value(config, name)
        if name not in free and value != own:
            raise SettingsError(
                f"model.{name} = {value}, but {given.model} has {'no such field' if own is None else own}: leave it "
                "out, for a model that is gone on from keeps its shape"
            )
    known = {field.name for field in fields(config)}
    changes = {name: value for name, value in asked.items() if name in FREE and name in known}
    length = given.length or recipe.model.context or config.context
    changes["context"] = max(length, config.context, recipe.model.context or 0)
    if config.vocabulary_head == "none":
        family = source.model.family if source.model.family.sizes else _candidates(source)[0]
        changes["vocabulary_head"] = family.size(next(iter(family.sizes)), 1).vocabulary_head
    made = changed(config, **changes)
    if made.context > config.context and changed_axes(config, context=made.context):
        raise SettingsError(
            f"rows of {made.context} tokens are longer than the {config.context} positions that {given.model} has "
            f"learnt, each with a vector of its own: set model.context={config.context} or less"
        )
    return made, length


def _check_objective(objective: Objective | Mixed, config: Config, name: str) -> None:
    try:
        objective.heads(changed(config, start_token=config.pad_token) if _is_both(config) else config)
    except SettingsError:
        fitting = [kind for kind, each in OBJECTIVES.items() if fits(each, config)]
        stacks = f"{config.encoder_layers} encoder and {config.decoder_layers} decoder layers"
        raise SettingsError(
            f"the recipe's objective does not train {name}, which has {stacks}: "
            f"set objective.kind to {' or '.join(fitting) or 'another'}, or choose a recipe that has it"
        ) from None


def fits(objective: Callable[[], Objective], config: Config) -> bool:
    """Whether an objective trains such a model."""
    try:
        objective().heads(changed(config, start_token=config.pad_token) if _is_both(config) else config)
    except SettingsError:
        return False
    return True


def _is_both(config: Config) -> bool:
    return config.encoder_layers > 0 and config.decoder_layers > 0


def _described(config: Config, source: Source, name: str) -> ModelSettings:
    """The family, the size and the fields that rebuild a configuration: of all sizes the one with the fewest fields."""
    found: list[tuple[int, ModelSettings]] = []
    for family in _candidates(source):
        for size in family.sizes:
            other = _differences(config, family.size(size, config.vocab_size))
            if None not in other.values():
                found.append((len(other), ModelSettings(family.name, size, **other)))
    if not found:
        raise SettingsError(f"no family of a recipe describes the model {name}: use a model of another kind")
    return min(found, key=lambda each: each[0])[1]


def _candidates(source: Source) -> list[Family]:
    """The family of the source's own run or file; where neither is known, all of its kind of network."""
    kind = type(source.model.config)
    own = FAMILIES.get(source.recipe.model.family) if source.recipe is not None else None
    of_file = source.model.family if source.model.family.name in FAMILIES else None
    likely = [family for family in (own, of_file) if family is not None and family.config is kind]
    return likely[:1] or [family for family in FAMILIES.values() if family.config is kind]


def _differences(config: Config, other: Config) -> Mapping[str, Any]:
    """The fields in which ``other`` is not ``config``, with the values of ``config``."""
    names = [field.name for field in fields(config) if field.name not in _SET_BY_THE_RUN]
    return {name: _value(config, name) for name in names if _value(config, name) != _value(other, name)}


def _value(config: Config, name: str) -> Any:
    """A field's value, worked out where it is left to others; None where there is none."""
    known = {field.name for field in fields(config)}
    value = vars(config).get(name) if name in known else None
    computed = COMPUTED.get(name)
    return getattr(config, computed) if value is None and name in known and computed is not None else value
