"""Trivium: from raw text to a useful language model, on one straight road.

The public names are listed here and loaded on first use, so that ``import trivium`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trivium.errors import DataError, RefusedError, SettingsError, StoppedError, TriviumError
    from trivium.generation.contrastive import Contrastive
    from trivium.generation.sampling import Sampling
    from trivium.generation.search import Search
    from trivium.serving.server import serve
    from trivium.text.cleaning import Cleaning
    from trivium.tokenizers.tokenizer import Tokenizer
    from trivium.vectors.files import load_vectors, save_vectors
    from trivium.vectors.glove import GloveSettings
    from trivium.vectors.vectors import Vectors
    from trivium.vectors.vocabulary import VocabularySettings
    from trivium.vectors.word2vec import Word2VecSettings
    from trivium.verbs.align import align, alignment
    from trivium.verbs.clean import clean_text
    from trivium.verbs.compare import compare
    from trivium.verbs.compare_runs import compare_runs
    from trivium.verbs.config import recipe_schema, show_config
    from trivium.verbs.convert import convert
    from trivium.verbs.doctor import doctor
    from trivium.verbs.embed import embed
    from trivium.verbs.evaluate import evaluate
    from trivium.verbs.few_shot import few_shot
    from trivium.verbs.fill import fill
    from trivium.verbs.finetune import finetune
    from trivium.verbs.generate import generate
    from trivium.verbs.inside import inspect_inside
    from trivium.verbs.inspect import (
        inspect_lens,
        inspect_model,
        inspect_steps,
        inspect_surprise,
        inspect_text,
    )
    from trivium.verbs.inspect_batch import inspect_batch
    from trivium.verbs.load import LanguageModel, load
    from trivium.verbs.occurrences import inspect_word
    from trivium.verbs.plan import plan
    from trivium.verbs.predict import predict
    from trivium.verbs.pretrain import pretrain
    from trivium.verbs.quickstart import quickstart
    from trivium.verbs.recipe import Recipe, load_recipe
    from trivium.verbs.runs import runs
    from trivium.verbs.token_costs import Prices, count_tokens
    from trivium.verbs.tokenizer import convert_tokenizer, show_tokenizer, train_tokenizer
    from trivium.verbs.tokenizer_comparison import compare_tokenizers
    from trivium.verbs.tuning import FineTuning
    from trivium.verbs.vector_classifier import classify_with_vectors
    from trivium.verbs.vector_map import map_words
    from trivium.verbs.vector_training import train_vectors
    from trivium.verbs.vectors import convert_vectors, evaluate_vectors, similar_words, word_analogy, word_table

__version__ = "0.1.0"

_HOMES = {
    "Cleaning": "text.cleaning",
    "Contrastive": "generation.contrastive",
    "DataError": "errors",
    "FineTuning": "verbs.tuning",
    "GloveSettings": "vectors.glove",
    "LanguageModel": "verbs.load",
    "Prices": "verbs.token_costs",
    "Recipe": "verbs.recipe",
    "RefusedError": "errors",
    "Sampling": "generation.sampling",
    "Search": "generation.search",
    "SettingsError": "errors",
    "StoppedError": "errors",
    "Tokenizer": "tokenizers.tokenizer",
    "TriviumError": "errors",
    "Vectors": "vectors.vectors",
    "VocabularySettings": "vectors.vocabulary",
    "Word2VecSettings": "vectors.word2vec",
    "align": "verbs.align",
    "alignment": "verbs.align",
    "classify_with_vectors": "verbs.vector_classifier",
    "clean_text": "verbs.clean",
    "compare": "verbs.compare",
    "compare_runs": "verbs.compare_runs",
    "compare_tokenizers": "verbs.tokenizer_comparison",
    "convert": "verbs.convert",
    "convert_tokenizer": "verbs.tokenizer",
    "convert_vectors": "verbs.vectors",
    "count_tokens": "verbs.token_costs",
    "doctor": "verbs.doctor",
    "embed": "verbs.embed",
    "evaluate": "verbs.evaluate",
    "evaluate_vectors": "verbs.vectors",
    "few_shot": "verbs.few_shot",
    "fill": "verbs.fill",
    "finetune": "verbs.finetune",
    "generate": "verbs.generate",
    "inspect_batch": "verbs.inspect_batch",
    "inspect_inside": "verbs.inside",
    "inspect_lens": "verbs.inspect",
    "inspect_model": "verbs.inspect",
    "inspect_steps": "verbs.inspect",
    "inspect_surprise": "verbs.inspect",
    "inspect_text": "verbs.inspect",
    "inspect_word": "verbs.occurrences",
    "load": "verbs.load",
    "load_recipe": "verbs.recipe",
    "load_vectors": "vectors.files",
    "map_words": "verbs.vector_map",
    "plan": "verbs.plan",
    "predict": "verbs.predict",
    "pretrain": "verbs.pretrain",
    "quickstart": "verbs.quickstart",
    "recipe_schema": "verbs.config",
    "runs": "verbs.runs",
    "save_vectors": "vectors.files",
    "serve": "serving.server",
    "show_config": "verbs.config",
    "show_tokenizer": "verbs.tokenizer",
    "similar_words": "verbs.vectors",
    "train_tokenizer": "verbs.tokenizer",
    "train_vectors": "verbs.vector_training",
    "word_analogy": "verbs.vectors",
    "word_table": "verbs.vectors",
}

__all__ = [
    "Cleaning",
    "Contrastive",
    "DataError",
    "FineTuning",
    "GloveSettings",
    "LanguageModel",
    "Prices",
    "Recipe",
    "RefusedError",
    "Sampling",
    "Search",
    "SettingsError",
    "StoppedError",
    "Tokenizer",
    "TriviumError",
    "Vectors",
    "VocabularySettings",
    "Word2VecSettings",
    "__version__",
    "align",
    "alignment",
    "classify_with_vectors",
    "clean_text",
    "compare",
    "compare_runs",
    "compare_tokenizers",
    "convert",
    "convert_tokenizer",
    "convert_vectors",
    "count_tokens",
    "doctor",
    "embed",
    "evaluate",
    "evaluate_vectors",
    "few_shot",
    "fill",
    "finetune",
    "generate",
    "inspect_batch",
    "inspect_inside",
    "inspect_lens",
    "inspect_model",
    "inspect_steps",
    "inspect_surprise",
    "inspect_text",
    "inspect_word",
    "load",
    "load_recipe",
    "load_vectors",
    "map_words",
    "plan",
    "predict",
    "pretrain",
    "quickstart",
    "recipe_schema",
    "runs",
    "save_vectors",
    "serve",
    "show_config",
    "show_tokenizer",
    "similar_words",
    "train_tokenizer",
    "train_vectors",
    "word_analogy",
    "word_table",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'trivium' has no attribute {name!r}")
    value: object = getattr(import_module(f"trivium.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_HOMES))
