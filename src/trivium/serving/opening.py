"""From the names on a command line to the models that a server has: found, measured against the memory, loaded."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trivium.errors import RefusedError, SettingsError
from trivium.families.adapter_config import base_of, is_adapter
from trivium.families.chat_template import find_template
from trivium.families.gguf_header import read_header
from trivium.families.model_folder import stored_tensors
from trivium.memory import available_memory
from trivium.serving.abilities import abilities_of
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
    share = SHARE / len(named)
    served = {
        name: open_model(name, load(path, precision=precision, device=device), settings, share)
        for name, path in named.items()
    }
    return House(served, Scheduler(settings), settings)


def check_memory(named: Mapping[str, Path], precision: str, device: str) -> None:
    """Refuses models whose weights do not fit, before any of them is read."""
    available = available_memory(device)
    needed = {name: weights(path) * BYTES[precision] for name, path in named.items()}
    if available is None or sum(needed.values()) <= available:
        return
    each = ", ".join(f"{name} takes {size / 1e9:,.1f} GB" for name, size in needed.items())
    advice = "" if precision == "int8" else " or choose --precision bfloat16 or int8"
    raise RefusedError(f"{each}, and {available / 1e9:,.1f} GB are free: serve fewer or smaller models{advice}")


def weights(path: Path) -> int:
    """How many numbers a model's files hold, by their headers."""
    if is_adapter(path):
        path = base_of(path)
    tensors = stored_tensors(path) if path.is_dir() else read_header(path).tensors
    total = 0
    for tensor in tensors.values():
        size = 1
        for side in tensor.shape:
            size *= side
        total += size
    return total


def open_model(name: str, model: "LanguageModel", settings: ServeSettings, share: float = SHARE) -> Served:
    """A loaded model with all that is known of it."""
    template = find_template(model.directory)
    predictor = predictor_of(model)
    return Served(
        name,
        model,
        int(model.directory.stat().st_mtime),
        predictor,
        None if template is None else ChatTemplate(template),
        abilities_of(model, predictor, template is not None),
        longest_text(model, settings, share),
        settings.running,
    )


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
