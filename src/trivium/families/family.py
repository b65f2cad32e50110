"""What a family is: sizes, a config table and a rename table, each read both ways. Data; no modules, no torch.

A family is a point in the space that a configuration spans, under the names that Hugging Face gives things; one that
Hugging Face does not know has sizes alone.
"""

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, cast, get_args, get_type_hints

from trivium.errors import DataError, SettingsError, shown
from trivium.settings import build, dump
from trivium.tokenizers.specials import SpecialTokens
from trivium.transformer.config import TransformerConfig
from trivium.transformer.head_config import HeadConfig

if TYPE_CHECKING:
    from trivium.transformer import Config

Value = object
Fields = dict[str, Value]

MISSING = object()

UNSEEN = ("init", "init_std", "dropout", "attention_dropout")
"""Fields that say how a model is trained, not what it computes: a config file need not express them exactly."""


@dataclass(frozen=True)
class Key:
    """A row of a config table: our field (or dotted field of the position) and their keys, all with the same value.

    ``values`` translates ours to theirs where the words differ; ``default`` is what a missing key of theirs means;
    ``write`` and ``read`` are for the few values that are computed from others.
    """

    ours: str
    theirs: str | tuple[str, ...]
    default: Value = MISSING
    values: Mapping[Value, Value] | None = None
    least: int | None = None  # below this their class does not work
    write: Callable[[Any], Value] | None = None
    read: Callable[[Value, Mapping[str, Value]], Value] | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return (self.theirs,) if isinstance(self.theirs, str) else self.theirs


PROMPT = Key(
    "bidirectional_prompt", "bidirectional_prompt", default=False,
    write=lambda config: config.bidirectional_prompt or MISSING,
)  # fmt: skip
"""Of decoders. No class of theirs looks at it, and all keep it."""


@dataclass(frozen=True)
class Weight:
    """A row of a rename table. ``{n}`` is a layer's number, ``*`` stands for weight or bias. Several tensors of ours
    may be one of theirs, joined along the output; ``transposed``: theirs is (in, out); ``heads_apart``: the last
    dimension of theirs is two, heads and their width."""

    ours: str | tuple[str, ...]
    theirs: str
    transposed: bool = False
    gated: bool | None = None  # a row only for gated, or only for plain, feed-forward layers
    heads_apart: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        return (self.ours,) if isinstance(self.ours, str) else self.ours


@dataclass(frozen=True)
class Head:
    """A head that classes of theirs have. ``made``: what it is made of; 0 labels: as many as the file names.

    ``alone``: their class of a body with this head; ``with_vocabulary``: of one with the vocabulary's head beside it.
    A class that has this head alone opens a model with both, and leaves the vocabulary's weights. ``extracts``: whether
    the family's paper fine-tunes it on a token of its own at the end of a text (GPT-1's).
    """

    made: HeadConfig
    weights: Mapping[str, str]  # the names of its tensors, ours and theirs; ``*`` as in ``Weight``
    alone: str | None = None
    with_vocabulary: str | None = None
    prefix: str | None = None  # before the names of the body in files of these classes, where it is not the family's
    encoder_alone: bool = False  # its classes have no decoder, though others of the family do
    dropout: str | None = None  # their key for its dropout
    fixed: Mapping[str, Value] = field(default_factory=dict)  # keys that these classes have with these values
    extracts: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(name for name in (self.alone, self.with_vocabulary) if name is not None)


def _no_features(names: Collection[str], written: Mapping[str, Value]) -> Fields:
    return {}


def _nothing_derived(settings: Mapping[str, Value]) -> Fields:
    return {}


@dataclass(frozen=True)
class Family:
    """``base``: the fields all its models share; ``sizes``: what makes one; ``fixed``: keys that have these values."""

    name: str
    paper: str
    hf_type: str
    base: Mapping[str, Value]
    sizes: Mapping[str, Mapping[str, Value]]
    config: type["Config"] = TransformerConfig
    keys: tuple[Key, ...] = ()
    weights: tuple[Weight, ...] = ()
    architectures: Mapping[str, str] = field(default_factory=dict)  # by what is on top: vocabulary, body, or encoder
    heads: Mapping[str, Head] = field(default_factory=dict)
    prefix: str = ""  # before the names of the body, in files of models with a head
    aliases: Mapping[str, str] = field(default_factory=dict)  # second names of tied tensors, and whose they are
    left_out: tuple[str, ...] = ()  # patterns of tensors that need not be read
    old_names: Mapping[str, str] = field(default_factory=dict)  # endings in old files
    fixed: Mapping[str, Value] = field(default_factory=dict)
    written: Mapping[str, Value] = field(default_factory=dict)  # further keys that their class expects
    size_aliases: Mapping[str, str] = field(default_factory=dict)
    known_as: Mapping[str, str] = field(default_factory=dict)  # the size of a model that goes by a name of its own
    specials: SpecialTokens = SpecialTokens()  # the published tokenizer's
    derived: Callable[[Mapping[str, Value]], Fields] = _nothing_derived
    features: Callable[[Collection[str], Mapping[str, Value]], Fields] = _no_features

    def size(self, name: str, vocab_size: int | None = None, **changes: Value) -> "Config":
        """A configuration by its size's name. Published sizes know their vocabulary; ``changes`` are config fields."""
        name = self.size_aliases.get(name, name)
        if name not in self.sizes:
            raise SettingsError(f"family {self.name} has no size {name!r}: {_choices(name, self.sizes)}")
        known = [f.name for f in fields(self.config)]
        for change in changes:
            if change not in known:
                raise SettingsError(f"a {self.name} model has no field {change!r}: {_choices(change, known)}")
        settings: Fields = {**self.base, **self.sizes[name]}
        if vocab_size is not None:
            settings["vocab_size"] = vocab_size
        settings |= changes
        if "vocab_size" not in settings:
            raise SettingsError(f"size {name!r} of family {self.name} has no vocabulary of its own: give vocab_size")
        return self.config(**{**self.derived(settings), **settings})

    def rows(self, heads: Collection[str]) -> tuple[Weight, ...]:
        """The rename table of a model with these heads, as far as the family has them."""
        return self.weights + tuple(
            Weight(f"heads.{name}.{ours}", theirs)
            for name in heads
            if name in self.heads
            for ours, theirs in self.heads[name].weights.items()
        )

    def config_out(self, config: "Config") -> dict[str, Value]:
        """The keys of ``config.json`` that describe the body."""
        out: dict[str, Value] = {"model_type": self.hf_type, **self.fixed, **self.written}
        for row in self.keys:
            value = row.write(config) if row.write else _look(config, row.ours)
            if row.values is not None:
                value = row.values.get(value, MISSING)
            if value is not MISSING:
                out |= dict.fromkeys(row.keys, value)
        return out

    def config_in(self, written: Mapping[str, Value], names: Collection[str] = ()) -> "Config":
        """Read ``config.json``; ``names`` are the tensors in the file, which show the parts that no key names."""
        for key, value in self.fixed.items():
            if written.get(key, value) != value:
                raise DataError(
                    f"config.json has {key} = {shown(written[key])}, but family {self.name} knows only {value!r}: "
                    "this variant of the model cannot be read"
                )
        settings: Fields = dict(self.base)
        try:
            for row in self.keys:
                self._read(row, written, settings)
            settings |= self.features(names, written)
            made = self.config(**settings)
            return canonical(build(self.config, dump(made)))  # with the type of every field checked
        except SettingsError as problem:
            theirs = {row.ours: row.keys[0] for row in reversed(self.keys)}
            reason = re.sub(r"\bmodel\.(\w+)", lambda found: theirs.get(found[1], found[0]), str(problem))
            raise DataError(f"config.json does not describe a {self.name} model: {reason}") from None

    def _read(self, row: Key, written: Mapping[str, Value], settings: Fields) -> None:
        key = row.keys[0]
        value = written.get(key, row.default)
        if value is None and row.default is not MISSING:
            value = row.default
        if value is MISSING:
            raise DataError(f"config.json has no {key!r}, which a {self.name} model needs")
        for other in row.keys[1:]:
            if row.ours not in UNSEEN and written.get(other, value) != value:
                raise DataError(
                    f"config.json has {key} = {shown(value)} and {other} = {shown(written[other])}: "
                    "only equal ones can be read"
                )
        if row.read is not None:
            try:
                value = row.read(value, written)
            except (TypeError, ValueError, ArithmeticError, AttributeError, KeyError):
                raise DataError(
                    f"config.json has {key} = {shown(value)}, which does not describe a {self.name} model beside its "
                    "other settings: get the file again from where the model came from"
                ) from None
        elif row.values is not None:
            found = [ours for ours, theirs in row.values.items() if theirs == value]
            if not found:
                known = ", ".join(repr(v) for v in row.values.values())
                raise DataError(f"config.json has {key} = {shown(value)}, but family {self.name} knows only {known}")
            value = found[0]
        outer, _, inner = row.ours.partition(".")
        kind = type(settings[outer]) if inner else self.config
        _check_kind(kind, inner or outer, value, key)
        settings[outer] = replace(settings[outer], **{inner: value}) if inner else value  # type: ignore[type-var]

    def expresses(self, config: "Config") -> bool:
        """Whether reading back what is written gives the same model."""
        if type(config) is not self.config or not self.architectures:
            return False
        if config.pooler and not any(row.parts[0].startswith("pooler.") for row in self.weights):
            return False
        if any(row.least is not None and _look(config, row.ours) < row.least for row in self.keys):  # type: ignore[operator]
            return False
        same: Fields = {f.name: getattr(config, f.name) for f in fields(config) if f.name in UNSEEN}
        same["pooler"] = config.pooler  # seen from the tensors in the file
        if config.vocabulary_head == "none":
            same["vocabulary_head"] = "none"
        try:
            read = self.config_in(self.config_out(config), self.marks(config))
        except DataError:
            return False
        return replace(cast(Any, read), **same) == canonical(config)

    def marks(self, config: "Config") -> Collection[str]:
        """Names of tensors that a file of this configuration would have, as far as ``features`` asks for them."""
        return [row.theirs for row in self.weights if not _is_absent(row, config)]


def _is_absent(row: Weight, config: "Config") -> bool:
    part = row.parts[0].partition(".")[0]
    if part != "vocabulary":
        return part == "decoder" and config.decoder_layers == 0
    if row.parts[0] == "vocabulary.offset" and config.vocabulary_head != "offset":
        return True
    return config.vocabulary_head == "none" or (config.tied and "projection" in row.parts[0])


def canonical(config: "Config") -> "Config":
    """The same model with what can be left to a default left to it."""
    if not isinstance(config, TransformerConfig):
        return config
    plain = config.width % config.heads == 0 and config.per_head == config.width // config.heads
    return replace(
        config,
        head_width=None if plain else config.head_width,
        attention_bias=None if config.projects_with_bias == config.bias else config.attention_bias,
        kv_heads=None if config.groups == config.heads else config.kv_heads,
        attention_scale=None if config.score_scale == config.per_head**-0.5 else config.attention_scale,
    )


def _look(config: "Config", dotted: str) -> Value:
    """A field, or a field of the position; MISSING where another kind of position has none."""
    value: Value = config
    for name in dotted.split("."):
        if name not in {f.name for f in fields(value)}:  # type: ignore[arg-type]
            return MISSING
        value = getattr(value, name)
    return value


KINDS: Mapping[type, tuple[str, Callable[[Value], bool]]] = {
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: ("a whole number", lambda value: type(value) is int and abs(value) < 1 << 63),
    float: (
        "a finite number",
        lambda value: isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300,
    ),
}
"""What a field of each type takes, in words and as a test."""


def _check_kind(kind: type, field: str, value: Value, key: str) -> None:
    """Refuses a value that the dataclass's field does not take, under the name that the file has for it."""
    annotation = get_type_hints(kind)[field]
    members = get_args(annotation) or (annotation,)
    if value is None and type(None) in members:
        return
    for member in members:
        if member in KINDS and not KINDS[member][1](value):
            raise DataError(
                f"config.json has {key} = {shown(value)}, which must be {KINDS[member][0]}: get the file again from "
                "where the model came from"
            )


def _choices(name: str, known: Collection[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {nearest[0]!r}?" if nearest else "choose one of " + ", ".join(known)
