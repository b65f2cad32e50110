"""A recipe: everything that a pretraining run depends on, in one TOML file of five tables, or six with ``[from]``.

``load_recipe`` finds one by name or path, lays ``--set`` and flags over it, checks all of it and remembers where each
value came from. The resolved recipe is saved with the run as ``trivium.toml`` and rebuilds it.
"""

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from trivium.errors import SettingsError
from trivium.objectives import KINDS, Mixed, Objective
from trivium.settings import Layer, build, dump, leaves, merge, override, read_toml, to_toml
from trivium.text.cleaning import Cleaning
from trivium.tokenizers.options import OPTIONS, Bpe, Options
from trivium.training.settings import TrainingSettings
from trivium.transformer.config import Band, Position

ALTERNATIVES = {
    "data": ("files", "sources", "corpus"),
    "tokenizer": ("vocab_size", "path"),
    "training": ("steps", "tokens", "flops", "minutes"),
}


@dataclass(frozen=True)
class Source:
    """One part of a mixture of texts: its files and how often it is drawn, relative to the others."""

    files: tuple[str, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class DataSettings:
    """The text: files, or a weighted mixture of sources, or the embedded corpus by name."""

    files: tuple[str, ...] = ()  # txt, jsonl, csv, parquet, .gz of them, or folders
    sources: tuple[Source, ...] = ()
    corpus: Literal["python-docs"] | None = None
    field: str = "text"  # the column or key that holds the text, in jsonl, csv and parquet
    errors: Literal["strict", "replace"] = "strict"  # what to do with bytes that are not UTF-8
    heldout: float = 0.02  # share of the documents kept for evaluation
    clean: Cleaning | None = None  # rules for the text of files; none: it is taken as it is

    def __post_init__(self) -> None:
        if (bool(self.files) + bool(self.sources) + bool(self.corpus)) != 1:
            raise SettingsError("set exactly one of data.files, data.sources and data.corpus: for example --data FILES")
        if self.clean is not None and self.corpus:
            raise SettingsError("data.clean is for text of your own: the embedded corpus is clean")
        if not 0.0 <= self.heldout <= 0.5:
            raise SettingsError(f"data.heldout = {self.heldout} must be between 0 and 0.5")
        if any(source.weight <= 0 or not source.files for source in self.sources):
            raise SettingsError("each of data.sources needs files and a weight above 0")


@dataclass(frozen=True)
class TokenizerSettings:
    """A tokenizer trained on the text, or the one in a directory that ``trivium tokenizer train`` or a run wrote."""

    algorithm: Options = field(default=Bpe(), metadata={"kinds": OPTIONS})
    vocab_size: int | None = None
    path: str | None = None
    sample: int | None = None  # learn from an even part of the text of so many bytes; none: from all of it

    def __post_init__(self) -> None:
        if (self.vocab_size is None) == (self.path is None):
            raise SettingsError(
                "set one of tokenizer.vocab_size (train a new one) and tokenizer.path (use a saved one)"
            )
        if self.sample is not None and self.sample < 1:
            raise SettingsError(f"tokenizer.sample = {self.sample} must be above 0 bytes")


@dataclass(frozen=True)
class ModelSettings:
    """A family and one of its sizes; every other field, where set, replaces the size's own number or choice."""

    family: str
    size: str = "mini"
    context: int | None = None
    width: int | None = None
    heads: int | None = None
    ffn_width: int | None = None
    encoder_layers: int | None = None
    decoder_layers: int | None = None
    kv_heads: int | None = None
    head_width: int | None = None
    position: Position | None = None
    band: Band | None = None
    norm: Literal["layer", "rms"] | None = None
    norm_place: Literal["pre", "post"] | None = None
    norm_eps: float | None = None
    embedding_norm: bool | None = None
    activation: Literal["gelu", "gelu_tanh", "relu", "silu"] | None = None
    gated: bool | None = None
    bias: bool | None = None
    segments: int | None = None
    tied: bool | None = None
    vocabulary_head: Literal["plain", "transform", "bias", "offset"] | None = None
    logit_scale: float | None = None
    attention_scale: float | None = None
    attention_bias: bool | None = None
    pooler: bool | None = None
    dropout: float | None = None
    attention_dropout: float | None = None
    cell: Literal["rnn", "lstm", "gru"] | None = None
    state_width: int | None = None
    attention: Literal["additive", "general"] | None = None
    forget_bias: float | None = None
    cells: int | None = None
    characters: int | None = None
    character_width: int | None = None
    filters: tuple[tuple[int, int], ...] | None = None
    causal: bool | None = None
    clamp: int | None = None
    highway: int | None = None
    cell_clip: float | None = None
    state_clip: float | None = None
    init: Literal["normal", "scaled", "truncated", "factored", "uniform", "orthogonal"] | None = None
    init_std: float | None = None
    vectors: str | None = None  # a file of word vectors, with which the embeddings of the words in it begin
    vectors_sha256: str | None = None  # of that file, written by the run

    def changes(self) -> dict[str, Any]:
        """The fields that are set, for ``Family.size(size, vocab_size, **changes)``."""
        others = ("family", "size", "vectors", "vectors_sha256")
        every = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in others}
        return {name: value for name, value in every.items() if value is not None}


@dataclass(frozen=True)
class From:
    """A pretrained model that the run goes on from. It says what the model is and how text is cut; ``[model]`` and
    ``[tokenizer]`` give way to it. The run writes down what it found in the fields of the second half."""

    model: str  # whatever ``trivium.load`` takes: a run's or a Hugging Face folder, a .gguf file, a demo model
    extend_vocabulary: int = 0  # so many new tokens, learnt from the text
    min_frequency: int = 2  # a new token seen less often in the text is not taken
    old: tuple[str, ...] = ()  # files of the text that it knew before; none: the source run's own held-out text
    sha256: str | None = None  # of the source's weights
    rows: int | None = None  # of the source's embeddings, which may be more than its tokenizer has tokens
    length: int | None = None  # of a training row, in tokens; none: model.context

    def __post_init__(self) -> None:
        if not self.model:
            raise SettingsError("from.model is empty: name a model's folder, a .gguf file or a demo model")
        if self.extend_vocabulary < 0:
            raise SettingsError(f"from.extend_vocabulary = {self.extend_vocabulary}: it must be 0 (none) or more")
        if self.min_frequency < 1:
            raise SettingsError(f"from.min_frequency = {self.min_frequency}: it must be at least 1")
        if self.length is not None and self.length < 1:
            raise SettingsError(f"from.length = {self.length}: a row has at least 1 token")


@dataclass(frozen=True)
class Recipe:
    """One whole run. Nothing else decides what it does."""

    data: DataSettings
    tokenizer: TokenizerSettings
    model: ModelSettings
    objective: Objective | Mixed = field(metadata={"kinds": KINDS})
    training: TrainingSettings
    from_: From | None = None

    def to_toml(self) -> str:
        """The resolved recipe, every value written out."""
        return to_toml(dump(self))


@dataclass(frozen=True)
class Resolved:
    """A checked recipe and where each of its values came from ("training.steps" -> "--set")."""

    recipe: Recipe
    origins: Mapping[str, str]


def recipe_names() -> list[str]:
    """The recipes that come with Trivium."""
    folder = resources.files("trivium") / "recipes"
    return sorted(each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml"))


def load_recipe(
    recipe: str | Path,
    data: Sequence[str | Path] = (),
    sets: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
) -> Resolved:
    """The recipe of a name or path with ``data`` files, ``sets`` ("training.steps=100") and ``flags`` laid over it.

    ``flags`` are values by dotted name that a command's own options gave ({"training.minutes": 5.0}).
    """
    name, values = _find(recipe)
    layers = [Layer(name, values)]
    if data:
        layers.append(Layer("--data", {"data": {"files": [str(path) for path in data]}}))
    given, _ = merge([Layer(each, override(Recipe, each)) for each in sets])
    layers.append(Layer("--set", given))
    layers += [Layer("flag", _nested(dotted, value)) for dotted, value in (flags or {}).items()]
    merged, origins = merge(layers, ALTERNATIVES)
    made = build(Recipe, merged)
    return Resolved(made, {dotted: origins.get(dotted, "default") for dotted, _ in leaves(dump(made))})


def read_recipe(path: Path) -> Recipe:
    """The resolved recipe of a run (its ``trivium.toml``)."""
    return build(Recipe, read_toml(path))


def _find(recipe: str | Path) -> tuple[str, dict[str, Any]]:
    """A recipe's origin and tables: a path when it looks like one, else the name of a shipped recipe."""
    if Path(recipe).is_dir():
        recipe = Path(recipe) / "trivium.toml"  # a run's own
    text = str(recipe)
    if text.endswith(".toml") or "/" in text or isinstance(recipe, Path):
        return text, read_toml(Path(recipe))
    names = recipe_names()
    if text not in names:
        near = difflib.get_close_matches(text, names, n=1)
        advice = (
            f"did you mean {near[0]}?" if near else f"choose one of {', '.join(names)}, or give a path ending in .toml"
        )
        raise SettingsError(f"there is no recipe {text!r}: {advice}")
    content = (resources.files("trivium") / "recipes" / f"{text}.toml").read_text(encoding="utf-8")
    return f"recipe {text}", tomllib.loads(content)


def _nested(dotted: str, value: Any) -> dict[str, Any]:
    for name in reversed(dotted.split(".")):
        value = {name: value}
    return value
