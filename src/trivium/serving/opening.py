"""From the names on a command line to the models that a server has: found, measured against the memory, loaded."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from trivium.errors import DataError, RefusedError, SettingsError
from trivium.families.adapter_config import adapter_tensors, base_of, is_adapter
from trivium.families.chat_template import find_template
from trivium.families.gguf_header import read_header
from trivium.families.model_folder import stored_tensors
from trivium.memory import available_memory
from trivium.serving.abilities import abilities_of
from trivium.serving.choices import written_bytes
from trivium.serving.house import House, Served
from trivium.serving.names import named_adapter, named_model
from trivium.serving.scheduler import Scheduler
from trivium.serving.settings import ServeSettings
from trivium.text.chat_templates import ChatTemplate
from trivium.verbs.load import find, load
from trivium.verbs.predict import task_of
from trivium.verbs.reward_models import is_reward_model, open_reward_model
from trivium.verbs.tuning import Tuned

if TYPE_CHECKING:
    from trivium.verbs.load import LanguageModel, Precision
    from trivium.verbs.predict import Predictor

BYTES: Mapping[str, float] = {"float32": 4, "bfloat16": 2, "int8": 1.2}  # of a weight, its scale among them
SHARE = 0.4  # of the memory that is left beside the weights, for what texts have read


def open_house(
    models: Sequence[str | Path], adapters: Sequence[str], settings: ServeSettings, *,
    precision: "Precision" = "float32", device: str = "auto",
) -> House:  # fmt: skip
    """``models``: each ``M`` or ``NAME=M``, what ``load`` takes; ``adapters``: each ``NAME=DIR``."""
    if not models and not adapters:
        raise SettingsError("there is no model to serve: name one with --model")
    named: dict[str, Path] = {}
    for name, place in (*map(named_model, map(str, models)), *map(named_adapter, adapters)):
        if name in named:
            raise SettingsError(f"two models are called {name!r}: give one another name, as in --model NAME={place}")
        named[name] = find(place)
    for each in adapters:
        name, _ = named_adapter(each)
        if not is_adapter(named[name]):
            raise SettingsError(f"{named[name]} is no adapter's folder: serve it with --model {name}={named[name]}")
    check_memory(named, precision, device)
    loaded = load_all(named, precision, device)
    share = SHARE / len(named)
    served = {name: open_model(name, loaded[name], settings, share) for name in named}
    return House(served, Scheduler(settings), settings)


def load_all(named: Mapping[str, Path], precision: "Precision", device: str) -> "dict[str, LanguageModel]":
    """Whole models first: an adapter shares what it does not change with a base that several stand on."""
    loaded, at = {}, {}
    for name in sorted(named, key=lambda each: is_adapter(named[each])):
        path = named[name]
        if not is_adapter(path):
            loaded[name] = at[path.resolve()] = load(path, precision=precision, device=device)
            continue
        ground = base_of(path).resolve()
        others = [each for each in named.values() if is_adapter(each) and base_of(each).resolve() == ground]
        if ground not in at and len(others) > 1:
            at[ground] = load(ground, precision=precision, device=device)
        loaded[name] = load(path, precision=precision, device=device, base=at.get(ground))
    return loaded


def check_memory(named: Mapping[str, Path], precision: str, device: str) -> None:
    """Refuses models whose weights do not fit, before any of them is read. Adapters in float32 that share a base take
    the matrices which they change."""
    available = available_memory(device)
    known = {path.resolve() for path in named.values()}
    needed = {}
    for name, path in named.items():
        ground = base_of(path).resolve() if is_adapter(path) else path
        shares = is_adapter(path) and precision == "float32" and ground in known
        needed[name] = (changed_weights(path) if shares else weights(ground)) * BYTES[precision]
        known.add(ground)
    if available is None or sum(needed.values()) <= available:
        return
    each = ", ".join(f"{name} takes {size / 1e9:,.1f} GB" for name, size in needed.items())
    advice = "" if precision == "int8" else " or choose --precision bfloat16 or int8"
    raise RefusedError(f"{each}, and {available / 1e9:,.1f} GB are free: serve fewer or smaller models{advice}")


def weights(path: Path) -> int:
    """How many numbers a model's files hold, by their headers."""
    tensors = stored_tensors(path) if path.is_dir() else read_header(path).tensors
    return sum(prod(tensor.shape) for tensor in tensors.values())


def changed_weights(adapter: Path) -> int:
    """How many numbers are other ones in a base that has an adapter merged into it."""
    shapes = {name: tensor.shape for name, tensor in adapter_tensors(adapter).items()}
    total = 0
    for name, shape in shapes.items():
        partner = name.replace(".lora_A", ".lora_B").replace(".lora_embedding_A", ".lora_embedding_B")
        if partner != name and partner in shapes:
            total += shape[-1] * shapes[partner][0]
        elif ".lora_" not in name:
            total += prod(shape)
    return total


def open_model(name: str, model: "LanguageModel", settings: ServeSettings, share: float = SHARE) -> Served:
    """A loaded model with all that is known of it."""
    template = find_template(model.directory)
    predictor = predictor_of(model)
    served = Served(
        name,
        model,
        int(model.directory.stat().st_mtime),
        predictor,
        None if template is None else ChatTemplate(template),
        abilities_of(model, predictor, template is not None),
        longest_text(model, settings, share),
        settings.running,
    )
    if "complete" in served.abilities:
        written_bytes(model.tokenizer, 0)  # works out those of all tokens, which takes longer than a request may wait
    if "chat" in served.abilities:
        try:
            assert served.turn_ends is not None  # worked out now: the template is a program that may not run
        except DataError as problem:
            print(f"{name} is served without chat: {problem}", file=sys.stderr)
            return replace(served, template=None, abilities=served.abilities - {"chat"})
    return served


def predictor_of(model: "LanguageModel") -> "Predictor | None":
    """What a fine-tuned model predicts its labels with."""
    if is_reward_model(model.directory):
        return open_reward_model(model)
    if model.directory.is_file():
        return None
    task = task_of(model.model, model.labels, model.directory)
    return None if task is None else Tuned(model.model, model.tokenizer, task)


def longest_text(model: "LanguageModel", settings: ServeSettings, share: float = SHARE) -> int | None:
    """How many tokens a text may have that ``settings.running`` of them can be written at once: the model's context, or
    less where its keys and values would take more than a ``share`` of the memory that is free."""
    limit = model.config.limit
    if settings.context is not None:
        return settings.context if limit is None else min(limit, settings.context)
    weight = next(model.model.parameters())
    free = available_memory(weight.device.type)
    if model.kind == "encoder" or limit is None or free is None:
        return None
    one = model.model.new_cache(1, 1, "meta", weight.dtype).memory_size
    each = model.model.new_cache(1, 1025, "meta", weight.dtype).memory_size - one
    fits = int(free * share / settings.running / max(1, each / 1024))
    if fits >= limit:
        return limit
    if fits < 64:
        raise RefusedError(
            f"{settings.running} texts at once leave each {fits} tokens of memory: lower --running, or set --context"
        )
    return fits
