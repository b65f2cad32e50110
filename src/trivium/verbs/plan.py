"""``trivium plan``: how large a published model, or a recipe's, is, part by part, before anything is made of it; and
what its training would take (``planned_training.py``).

The network is built without memory for its weights (torch's meta device), so that 405 billion parameters are counted
as fast as a million.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from trivium.errors import SettingsError
from trivium.families import FAMILIES, Family
from trivium.families.bodies import outline
from trivium.families.presets import preset
from trivium.lab.cost import given_sources
from trivium.lab.devices import Machines
from trivium.lab.memory import BYTES, LEARNING
from trivium.lab.published import published_tokens
from trivium.objectives import Bidirectional, Causal, Corruption, Masked, Objective
from trivium.settings import Layer, build, merge, override
from trivium.tokenizers import Tokenizer
from trivium.training.settings import TrainingSettings
from trivium.transformer import Config, Network
from trivium.transformer.lora import Lora, added_parameters
from trivium.transformer.network import answers, changed, writes
from trivium.verbs.planned_training import TrainingPlan, plan_training
from trivium.verbs.recipe import DataSettings, ModelSettings, Recipe, TokenizerSettings, load_recipe, recipe_names

COMPONENTS = (
    ("vocabulary head", r"vocabulary\."),
    ("pooler", r"pooler\."),
    ("other heads", r"heads\."),
    ("token embeddings", r"tokens\."),
    ("positions", r".*\.positions\."),
    ("segments", r".*\.segments\."),
    ("norms", r".*norm\."),
    ("cross-attention", r".*\.cross\."),
    ("query stream", r".*\.start$"),
    ("attention", r".*\.attention\."),
    ("feed-forward", r".*\.feed_forward\."),
    ("recurrent cells", r".*\.(cell|reverse|ahead|back)\."),
    ("projections", r""),
)
"""Of each the pattern with which names of its weights begin; the first that fits."""

FIRST = ("token embeddings",)
IN_STACKS = (
    "positions", "segments", "query stream", "attention", "cross-attention", "feed-forward", "norms", "recurrent cells",
    "projections",
)  # fmt: skip
LAST = ("pooler", "vocabulary head", "other heads")


@dataclass(frozen=True)
class Component:
    """A kind of part and all its parameters, of every layer."""

    name: str
    parameters: int


@dataclass(frozen=True)
class AdapterPlan:
    """LoRA on the model. ``bytes``: of one adapter; ``training_bytes``: of weights, gradients and optimizer while it
    learns, the base's weights included; ``kept_bytes``: of one base with ``tasks`` adapters, and ``copied_bytes`` of as
    many whole models instead, in bfloat16."""

    settings: Lora
    parameters: int
    bytes: dict[str, int]
    training_bytes: dict[str, int]
    tasks: int
    kept_bytes: int
    copied_bytes: int


@dataclass(frozen=True)
class Plan:
    """A model in figures. Tied matrices are counted once, ``body`` is the model without its vocabulary head, with a
    pooler where ``body_pooler``, and ``bytes`` are those of the weights alone. ``training_bytes``: of weights,
    gradients and optimizer while all of it learns by AdamW; what a batch passes through the layers comes on top."""

    name: str
    family: str
    size: str
    paper: str
    description: str
    parameters: int
    body: int
    body_pooler: bool
    bytes: dict[str, int]
    training_bytes: dict[str, int]
    components: list[Component]
    config: dict[str, Any]
    adapters: AdapterPlan | None = None
    training: TrainingPlan | None = None


def plan(
    name: str | Path, sets: Sequence[str] = (), lora: Lora | None = None, tasks: int = 1,
    machines: Machines = Machines(), tokens: int | None = None, sources: Sequence[str] = (),  # noqa: B008 (frozen)
) -> Plan:  # fmt: skip
    """Of a model's name ("llama-3-8b"), or of a recipe's name, path or run.

    ``sets``: as for recipes ("model.context=2048"); of a model's name those of ``model`` and ``training``, and the
    vocabulary's size. ``lora``: counts adapters of it, too, one for each of so many ``tasks``; on a device it is they
    that learn. ``machines``: where it would be trained, which is refused if the memory does not reach. ``tokens``: of
    training, in place of the recipe's number or of the published one. ``sources``: "wiki=3e9@0.03", parts of the text
    with their tokens and weights.
    """
    if tasks < 1:
        raise SettingsError(f"tasks = {tasks}: it must be at least 1")
    if tokens is not None and tokens < 1:
        raise SettingsError(f"tokens = {tokens}: it must be at least 1")
    given_sources(sources)  # refused before any work
    is_recipe = _is_recipe(name)
    recipe = load_recipe(name, (), sets).recipe if is_recipe else _preset_recipe(str(name), sets, machines.devices)
    family = _family(recipe.model.family)
    config = planned_config(recipe)
    heads = recipe.objective.heads if is_recipe else None
    with torch.device("meta"):
        made = heads(config) if heads is not None else None
    model = outline(config, made)
    components = count(model)
    total = sum(each.parameters for each in components)
    pooler = any(row.parts[0].startswith("pooler.") for row in family.weights)
    if tokens is None and not is_recipe:
        tokens = _budget(recipe, sets) or published_tokens(family.name, recipe.model.size)
    training = None
    if is_recipe or tokens is not None or machines.device is not None:
        run = Path(name) if is_recipe and _is_run(str(name)) else None
        training = plan_training(recipe, config, lora, machines, tokens, sources, total, is_recipe, run)
    return Plan(
        name=str(name),
        family=family.name,
        size=recipe.model.size,
        paper=family.paper,
        description=config.describe(),
        parameters=total,
        body=_body(config, pooler),
        body_pooler=pooler,
        bytes={kind: total * each for kind, each in BYTES.items()},
        training_bytes={kind: total * each for kind, each in LEARNING.items()},
        components=components,
        config=asdict(config),
        adapters=_adapters(model, total, lora, tasks) if lora is not None else None,
        training=training,
    )


def planned_config(recipe: Recipe) -> Config:
    """The network of a recipe, whose tokenizer need not be there yet."""
    path = recipe.tokenizer.path
    vocab_size = Tokenizer.load(path).vocab_size if path is not None else recipe.tokenizer.vocab_size
    return _family(recipe.model.family).size(recipe.model.size, vocab_size or 1, **recipe.model.changes())


def _budget(recipe: Recipe, sets: Sequence[str]) -> int | None:
    """Tokens of training that the caller has set for a model's name."""
    return recipe.training.tokens if any(each.startswith("training.tokens=") for each in sets) else None


def _adapters(model: Network, total: int, lora: Lora, tasks: int) -> AdapterPlan:
    own = added_parameters(model, lora)
    return AdapterPlan(
        settings=lora,
        parameters=own,
        bytes={kind: own * each for kind, each in BYTES.items()},
        training_bytes={kind: total * BYTES[kind] + own * each for kind, each in LEARNING.items()},
        tasks=tasks,
        kept_bytes=BYTES["bfloat16"] * (total + tasks * own),
        copied_bytes=BYTES["bfloat16"] * tasks * total,
    )


def count(model: Network) -> list[Component]:
    """Parameters by kind of part; an encoder's and a decoder's apart where a model has both."""
    both = model.encoder is not None and model.decoder is not None
    found: dict[str, int] = {}
    for name, weight in model.named_parameters():
        part = next(part for part, pattern in COMPONENTS if re.match(pattern, name))
        stack = name.partition(".")[0]
        if both and stack in ("encoder", "decoder") and part != "cross-attention":
            part = f"{stack} {part}"
        found[part] = found.get(part, 0) + weight.numel()
    return [Component(part, found[part]) for part in sorted(found, key=_place)]


def _place(part: str) -> tuple[int, int]:
    """Embeddings first, then stack by stack, heads last."""
    if part in FIRST or part in LAST:
        return (0 if part in FIRST else 3), (*FIRST, *LAST).index(part)
    in_encoder = part.startswith("encoder ")
    return (1 if in_encoder else 2), IN_STACKS.index(part.removeprefix("encoder ").removeprefix("decoder "))


def _body(config: Config, pooler: bool) -> int:
    more = {"pooler": True} if pooler else {}
    body = outline(changed(config, vocabulary_head="none", **more))
    return sum(weight.numel() for weight in body.parameters())


def _is_recipe(name: str | Path) -> bool:
    text = str(name)
    return isinstance(name, Path) or text.endswith(".toml") or "/" in text or text in recipe_names() or _is_run(text)


def _is_run(text: str) -> bool:
    return (Path(text) / "trivium.toml").is_file()


def _preset_recipe(name: str, sets: Sequence[str], devices: int) -> Recipe:
    """A model's name as a recipe: the objective that its kind is pretrained by, a row for each device."""
    family, size = preset(name, recipe_names())
    given, _ = merge([Layer(each, override(Recipe, each)) for each in sets])
    tokenizer = given.pop("tokenizer", {})
    vocab_size = tokenizer.pop("vocab_size", None)
    model, training = given.pop("model", {}), given.pop("training", {})
    if given or tokenizer:
        other = next(iter(given), "tokenizer")
        raise SettingsError(
            f"{name} is a model and no recipe, so that {other} cannot be set: set fields of model and training and "
            "tokenizer.vocab_size, or name a recipe"
        )
    if vocab_size is not None and (type(vocab_size) is not int or vocab_size < 1):
        raise SettingsError(f"tokenizer.vocab_size = {vocab_size!r} must be a whole number above 0")
    settings = build(ModelSettings, {"family": family, "size": size, **model})
    sizes = _family(settings.family).sizes
    own = sizes.get(settings.size, {"vocab_size": 0})
    if vocab_size is None and "vocab_size" not in own:
        raise SettingsError(f"{name} has no vocabulary of its own: add --set tokenizer.vocab_size=8192")
    config = _family(settings.family).size(settings.size, vocab_size, **settings.changes())
    length = {} if any(each in training for each in ("steps", "tokens", "minutes")) else {"tokens": 1}
    return Recipe(
        DataSettings(corpus="python-docs"),
        TokenizerSettings(vocab_size=config.vocab_size),
        settings,
        _objective(config),
        build(TrainingSettings, {"batch_tokens": devices * config.context, **length, **training}),
    )


def _objective(config: Config) -> Objective:
    """What a network of its kind is pretrained by."""
    if config.vocabulary_head == "two-way":
        return Bidirectional()
    if answers(config):
        return Corruption()
    return Causal() if writes(config) else Masked()


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise SettingsError(f"there is no family {name!r}: choose one of {', '.join(FAMILIES)}")
    return FAMILIES[name]
