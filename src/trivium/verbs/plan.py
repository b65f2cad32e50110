"""``trivium plan``: how large a published model, or a recipe's, is, part by part, before anything is made of it.

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
from trivium.settings import Layer, build, merge, override
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config, Network
from trivium.transformer.lora import Lora, added_parameters
from trivium.transformer.network import changed
from trivium.verbs.recipe import ModelSettings, Recipe, load_recipe, recipe_names

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
BYTES = {"float32": 4, "bfloat16": 2}
LEARNING = {"float32": 16, "bfloat16": 18}
"""Bytes of a parameter that learns: weight, gradient and AdamW's two moments, 4 each; in bfloat16 a weight of 2 beside
the float32 master, gradient and moments. A parameter that does not learn has its weight alone."""


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


def plan(name: str | Path, sets: Sequence[str] = (), lora: Lora | None = None, tasks: int = 1) -> Plan:
    """Of a model's name ("llama-3-8b"), or of a recipe's name, path or run.

    ``sets``: as for recipes ("model.context=2048"); of a model's name those of ``model`` and the vocabulary's size.
    ``lora``: counts adapters of it, too, one for each of so many ``tasks``.
    """
    if tasks < 1:
        raise SettingsError(f"tasks = {tasks}: it must be at least 1")
    if _is_recipe(name):
        recipe = load_recipe(name, (), sets).recipe
        settings, vocab_size = recipe.model, recipe.tokenizer.vocab_size
        if recipe.tokenizer.path is not None:
            vocab_size = Tokenizer.load(recipe.tokenizer.path).vocab_size
        family = _family(settings.family)
        config = family.size(settings.size, vocab_size, **settings.changes())
        heads = recipe.objective.heads
    else:
        settings, vocab_size = _preset_settings(str(name), sets)
        family = _family(settings.family)
        config = family.size(settings.size, vocab_size, **settings.changes())
        heads = None
    with torch.device("meta"):
        made = heads(config) if heads is not None else None
    model = outline(config, made)
    components = count(model)
    total = sum(each.parameters for each in components)
    pooler = any(row.parts[0].startswith("pooler.") for row in family.weights)
    return Plan(
        name=str(name),
        family=family.name,
        size=settings.size,
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
    )


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


def _preset_settings(name: str, sets: Sequence[str]) -> tuple[ModelSettings, int | None]:
    family, size = preset(name, recipe_names())
    given, _ = merge([Layer(each, override(Recipe, each)) for each in sets])
    tokenizer = given.pop("tokenizer", {})
    vocab_size = tokenizer.pop("vocab_size", None)
    model = given.pop("model", {})
    if given or tokenizer:
        other = next(iter(given), "tokenizer")
        raise SettingsError(
            f"{name} is a model and no recipe, so that {other} cannot be set: set model's fields and "
            "tokenizer.vocab_size, or name a recipe"
        )
    if vocab_size is not None and (type(vocab_size) is not int or vocab_size < 1):
        raise SettingsError(f"tokenizer.vocab_size = {vocab_size!r} must be a whole number above 0")
    settings = build(ModelSettings, {"family": family, "size": size, **model})
    sizes = _family(settings.family).sizes
    if vocab_size is None and "vocab_size" not in {**sizes.get(settings.size, {"vocab_size": 0})}:
        raise SettingsError(f"{name} has no vocabulary of its own: add --set tokenizer.vocab_size=8192")
    return settings, vocab_size


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise SettingsError(f"there is no family {name!r}: choose one of {', '.join(FAMILIES)}")
    return FAMILIES[name]
