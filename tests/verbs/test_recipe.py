"""Recipes: those that come along build models, what is laid over them counts, and a resolved one rebuilds itself."""

import dataclasses
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.families.bodies import BODIES
from trivium.settings import build, read_toml
from trivium.transformer.config import Rotary
from trivium.verbs.recipe import ModelSettings, Recipe, load_recipe, read_recipe, recipe_names

KINDS = {
    "bart-mini": (True, True),
    "bert-mini": (True, False),
    "bert-nsp-mini": (True, False),
    "bilstm-mini": (True, False),
    "elmo-mini": (True, False),
    "gpt2-mini": (False, True),
    "gru-mini": (False, True),
    "lstm-mini": (False, True),
    "rnn-mini": (False, True),
    "seq2seq-mini": (True, True),
    "spanbert-mini": (True, False),
    "t5-mini": (True, True),
    "xlnet-mini": (True, False),
}


def test_these_recipes_come_along() -> None:
    assert set(recipe_names()) == set(KINDS)


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_describes_a_model_of_its_family(name: str) -> None:
    recipe = load_recipe(name).recipe
    model = recipe.model
    config = FAMILIES[model.family].size(model.size, recipe.tokenizer.vocab_size, **model.changes())
    assert (config.encoder_layers > 0, config.decoder_layers > 0) == KINDS[name]
    assert config.context == model.context
    assert recipe.training.minutes and recipe.data.corpus == "python-docs"


@pytest.mark.parametrize("name", recipe_names())
def test_a_resolved_recipe_survives_its_file(name: str, tmp_path: Path) -> None:
    sets = ["model.position=rotary", "training.micro_batch_tokens=64", "training.schedule=linear"]
    recipe = load_recipe(name, ["a.txt", 'b".txt'], sets).recipe
    assert recipe.data.files == ("a.txt", 'b".txt') and recipe.model.position == Rotary()
    path = tmp_path / "trivium.toml"
    path.write_text(recipe.to_toml(), encoding="utf-8")
    assert read_recipe(path) == recipe
    assert load_recipe(tmp_path).recipe == recipe
    assert load_recipe(path).recipe == recipe


def test_every_field_of_a_model_can_be_changed() -> None:
    """Whichever kind of network has it."""
    ours = get_type_hints(ModelSettings)
    theirs = [get_type_hints(body.config) for body in BODIES.values()]
    given = {"vocab_size", "pad_token", "start_token", "bidirectional_prompt"}  # by the tokenizer and the objective
    beside = {"family", "size", "vectors", "vectors_sha256"}  # said of a model, and no fields of its configuration
    assert set(ours) - beside == {name for fields in theirs for name in fields} - given
    for name in set(ours) - beside:
        kinds = [fields[name] for fields in theirs if name in fields]
        # "two-way" is the only choice that its network has
        choices = {each for kind in kinds for each in (get_args(kind) or (kind,))} - {type(None), "none", "two-way"}
        arms = [get_args(arm) or (arm,) for arm in get_args(ours[name]) if arm is not type(None)]
        assert {each for arm in arms for each in arm} == choices, name


def test_a_layer_over_the_recipe_drops_what_it_replaces() -> None:
    resolved = load_recipe("gpt2-mini", ["a.txt"], ["training.steps=7", "training.optimizer=adamw"])
    assert resolved.recipe.data.corpus is None
    assert (resolved.recipe.training.steps, resolved.recipe.training.minutes) == (7, None)
    assert resolved.recipe.training.optimizer.learning_rate == 1e-3
    assert resolved.origins["training.steps"] == "--set"
    assert resolved.origins["training.optimizer.kind"] == "--set"
    assert resolved.origins["training.optimizer.learning_rate"] == "default"
    assert resolved.origins["data.files"] == "--data"
    assert resolved.origins["model.family"] == "recipe gpt2-mini"


def test_flags_go_over_everything() -> None:
    resolved = load_recipe("bert-mini", sets=["training.seed=1"], flags={"training.seed": 2, "training.tokens": 5})
    assert (resolved.recipe.training.seed, resolved.recipe.training.tokens) == (2, 5)
    assert resolved.origins["training.seed"] == "flag"


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (["training.steps=1", "training.minutes=2"], "exactly one of steps, tokens, flops and minutes"),
        (["data.corpus=none"], "set exactly one of data.files, data.sources and data.corpus"),
        (["tokenizer.path=x", "tokenizer.vocab_size=5000"], "set one of tokenizer.vocab_size"),
        (["objective.kind=casual"], "did you mean causal?"),
        (["objective.rte=0.3"], "did you mean objective.rate?"),
        (["objective.rate=2.0", "objective.kind=masked"], "objective.rate"),
        (["data.heldout=0.7"], "data.heldout = 0.7"),
        (["learning_rate=1.0"], "did you mean training.optimizer.learning_rate?"),
        (["training.batch_tokens=0"], "training.batch_tokens is 0"),
        (["training.precision=float16"], "training.precision = 'float16'"),
    ],
)
def test_an_impossible_recipe_is_refused(sets: list[str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_recipe("gpt2-mini", sets=sets)
    assert message in str(caught.value)


def test_a_recipe_of_one_s_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(load_recipe("gpt2-mini").recipe.to_toml().replace('corpus = "python-docs"\n', ""))
    with pytest.raises(SettingsError, match="data.files"):
        load_recipe(path)
    assert load_recipe(path, ["text.txt"]).origins["training.minutes"] == str(path)
    with pytest.raises(SettingsError, match="does not exist"):
        load_recipe(tmp_path / "other.toml")
    with pytest.raises(SettingsError, match="does not exist"):
        load_recipe("./nothing/here")


def test_sources_are_a_mixture(tmp_path: Path) -> None:
    table = read_toml_of("t5-mini")
    table["data"] = {"sources": [{"files": ["a.txt"], "weight": 2}, {"files": ["b.txt", "c"]}]}
    recipe = build(Recipe, table)
    assert [(each.files, each.weight) for each in recipe.data.sources] == [(("a.txt",), 2.0), (("b.txt", "c"), 1.0)]
    path = tmp_path / "mixture.toml"
    path.write_text(recipe.to_toml())
    assert read_recipe(path) == recipe
    table["data"]["sources"][0]["weight"] = 0.0
    with pytest.raises(SettingsError, match="weight above 0"):
        build(Recipe, table)


def read_toml_of(name: str) -> dict:
    import trivium

    return read_toml(Path(trivium.__file__).parent / "recipes" / f"{name}.toml")


def test_recipes_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load_recipe("gpt2-mini").recipe.model = None  # type: ignore[misc]
