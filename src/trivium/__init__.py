"""Trivium: from raw text to a useful language model, on one straight road.

The public names are listed here and loaded on first use, so that ``import trivium`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trivium.errors import DataError, RefusedError, SettingsError, StoppedError, TriviumError
    from trivium.generation.sampling import Sampling
    from trivium.tokenizers.tokenizer import Tokenizer
    from trivium.verbs.classifier import FineTuning
    from trivium.verbs.compare import compare
    from trivium.verbs.config import recipe_schema, show_config
    from trivium.verbs.doctor import doctor
    from trivium.verbs.fill import fill
    from trivium.verbs.finetune import finetune
    from trivium.verbs.generate import generate
    from trivium.verbs.inspect import inspect_model, inspect_text
    from trivium.verbs.load import LanguageModel, load
    from trivium.verbs.predict import predict
    from trivium.verbs.pretrain import pretrain
    from trivium.verbs.quickstart import quickstart
    from trivium.verbs.recipe import Recipe, load_recipe
    from trivium.verbs.runs import runs
    from trivium.verbs.tokenizer import show_tokenizer, train_tokenizer

__version__ = "0.1.0"

_HOMES = {
    "DataError": "errors",
    "FineTuning": "verbs.classifier",
    "LanguageModel": "verbs.load",
    "Recipe": "verbs.recipe",
    "RefusedError": "errors",
    "Sampling": "generation.sampling",
    "SettingsError": "errors",
    "StoppedError": "errors",
    "Tokenizer": "tokenizers.tokenizer",
    "TriviumError": "errors",
    "compare": "verbs.compare",
    "doctor": "verbs.doctor",
    "fill": "verbs.fill",
    "finetune": "verbs.finetune",
    "generate": "verbs.generate",
    "inspect_model": "verbs.inspect",
    "inspect_text": "verbs.inspect",
    "load": "verbs.load",
    "load_recipe": "verbs.recipe",
    "predict": "verbs.predict",
    "pretrain": "verbs.pretrain",
    "quickstart": "verbs.quickstart",
    "recipe_schema": "verbs.config",
    "runs": "verbs.runs",
    "show_config": "verbs.config",
    "show_tokenizer": "verbs.tokenizer",
    "train_tokenizer": "verbs.tokenizer",
}

__all__ = [
    "DataError",
    "FineTuning",
    "LanguageModel",
    "Recipe",
    "RefusedError",
    "Sampling",
    "SettingsError",
    "StoppedError",
    "Tokenizer",
    "TriviumError",
    "__version__",
    "compare",
    "doctor",
    "fill",
    "finetune",
    "generate",
    "inspect_model",
    "inspect_text",
    "load",
    "load_recipe",
    "predict",
    "pretrain",
    "quickstart",
    "recipe_schema",
    "runs",
    "show_config",
    "show_tokenizer",
    "train_tokenizer",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'trivium' has no attribute {name!r}")
    value: object = getattr(import_module(f"trivium.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))
