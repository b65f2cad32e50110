"""The one description of a Transformer: encoder, decoder or both, by layer counts.

Each field is one in which two shipped families differ; choices that carry numbers are types.
"""

from dataclasses import dataclass, field
from typing import Literal

from trivium.errors import SettingsError

LARGEST = 1 << 28
"""Of any one size: several times that of the largest published model."""
MOST_LAYERS = 4096


@dataclass(frozen=True)
class Learned:
    """A trained vector for each position (BERT, GPT). ``offset`` rows are skipped (RoBERTa and BART: 2)."""

    offset: int = 0
    kind: Literal["learned"] = "learned"


@dataclass(frozen=True)
class Sinusoidal:
    """Fixed sines and cosines, interleaved (Vaswani et al. 2017, section 3.5).

    Token embeddings are then multiplied by the square root of the width, as in section 3.4, so that the sines do not
    drown them.
    """

    kind: Literal["sinusoidal"] = "sinusoidal"


@dataclass(frozen=True)
class LinearScaling:
    """Positions divided by ``factor``, so that a longer text has the angles of a shorter one (Chen et al. 2023)."""

    factor: float
    kind: Literal["linear"] = "linear"


@dataclass(frozen=True)
class Llama3Scaling:
    """Llama 3.1's: rotations that went round often in the ``original`` context stay, those that hardly turned are
    divided by ``factor``, with a ramp between ``low`` and ``high`` turns (Grattafiori et al. 2024, code release)."""

    factor: float = 8.0
    low: float = 1.0
    high: float = 4.0
    original: int = 8192
    kind: Literal["llama3"] = "llama3"


Scaling = LinearScaling | Llama3Scaling


@dataclass(frozen=True)
class Rotary:
    """Rotation of query and key halves by position (Su et al. 2021; half-split layout as in Hugging Face)."""

    theta: float = 10000.0
    scaling: Scaling | None = None
    kind: Literal["rotary"] = "rotary"


@dataclass(frozen=True)
class RelativeBias:
    """T5's bucketed bias on attention scores, one table a stack, shared by its layers (Raffel et al. 2020)."""

    buckets: int = 32
    distance: int = 128
    kind: Literal["relative"] = "relative"


@dataclass(frozen=True)
class NoPosition:
    """No position information at all: attention is permutation-equivariant."""

    kind: Literal["none"] = "none"


Position = Learned | Sinusoidal | Rotary | RelativeBias | NoPosition


@dataclass(frozen=True)
class Band:
    """Every ``every``-th layer sees only the nearest ``width`` positions, itself among them; the others see all
    (Brown et al. 2020, section 2.1: dense and locally banded layers in turn; Child et al. 2019)."""

    width: int
    every: int = 2


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes and choices of one Transformer. Encoder (L, 0), decoder (0, L), encoder-decoder (L, L)."""

    vocab_size: int
    width: int
    heads: int
    ffn_width: int
    encoder_layers: int = 0
    decoder_layers: int = 0
    context: int = 512  # longest sequence of either side, in tokens
    kv_heads: int | None = None  # None: as many as heads; fewer: grouped-query attention
    head_width: int | None = None  # None: width / heads
    position: Position = field(default_factory=Learned)
    band: Band | None = None  # None: every layer is dense
    norm: Literal["layer", "rms"] = "layer"
    norm_place: Literal["pre", "post"] = "pre"  # pre adds a final norm after each stack
    norm_eps: float = 1e-5
    embedding_norm: bool = False  # a norm right after the embeddings (BERT, BART)
    activation: Literal["gelu", "gelu_tanh", "relu", "silu"] = "gelu"
    gated: bool = False
    bias: bool = True
    attention_bias: bool | None = None  # of queries, keys and values; None: as bias (Qwen 2: these and no others)
    segments: int = 0  # kinds of segment embeddings (BERT: 2)
    tied: bool = True  # output projection shares the token embedding
    # transform: BERT's dense, activation, norm, bias; bias: that alone; offset: BART's fixed number per token
    vocabulary_head: Literal["plain", "transform", "bias", "offset", "none"] = "plain"
    logit_scale: float = 1.0
    attention_scale: float | None = None  # None: head_width ** -0.5; T5: 1
    pooler: bool = False  # BERT's dense + tanh on the first token
    dropout: float = 0.0
    attention_dropout: float = 0.0
    init: Literal["normal", "scaled", "truncated", "factored"] = "normal"  # the table in initialisation.py
    init_std: float = 0.02  # for "factored": a factor on T5's standard deviations
    pad_token: int = 0
    start_token: int | None = None  # what an encoder-decoder's decoder begins with
    bidirectional_prompt: bool = False  # a decoder alone: the tokens of a prompt see each other, as in a prefix LM

    def __post_init__(self) -> None:
        check_sizes(self, "vocab_size", "width", "heads", "ffn_width", "context", "kv_heads", "head_width")
        for name in ("dropout", "attention_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(f"model.{name} is {getattr(self, name)}: it must be at least 0 and below 1")
        if self.init not in ("normal", "scaled", "truncated", "factored"):
            raise SettingsError(f"model.init is {self.init!r}: choose normal, scaled, truncated or factored")
        check_layers(self.encoder_layers, self.decoder_layers)
        if self.bidirectional_prompt and self.encoder_layers:
            raise SettingsError(
                f"model.bidirectional_prompt is for a decoder alone, and the model has {self.encoder_layers} encoder "
                "layers, which read in both directions anyway: leave it out"
            )
        if self.head_width is None and self.width % self.heads:
            raise SettingsError(
                f"model.heads = {self.heads} does not divide model.width = {self.width}: "
                "choose a divisor, or set model.head_width"
            )
        if self.heads * self.per_head > LARGEST:
            raise SettingsError(f"model.heads = {self.heads} of width {self.per_head} are wider than {LARGEST}")
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise SettingsError(f"model.kv_heads = {self.kv_heads} does not divide model.heads = {self.heads}")
        if self.band is not None and (self.band.width < 1 or self.band.every < 1):
            raise SettingsError("model.band.width and model.band.every must be at least 1")
        for name in ("norm_eps", "init_std"):
            if not 0 <= getattr(self, name) < 1e6:
                raise SettingsError(f"model.{name} is {getattr(self, name)}: it must be from 0 to a million")
        if not 0 <= self.segments <= LARGEST:
            raise SettingsError(f"model.segments is {self.segments}: it must be from 0 to {LARGEST}")
        if not -1 <= self.pad_token <= LARGEST:
            raise SettingsError(f"model.pad_token is {self.pad_token}: it must be a token's number, or -1 for none")
        if self.start_token is not None and not 0 <= self.start_token < self.vocab_size:
            raise SettingsError(f"model.start_token is {self.start_token}: the vocabulary has {self.vocab_size} tokens")
        if isinstance(self.position, Learned) and not 0 <= self.position.offset <= LARGEST:
            raise SettingsError(f"model.position.offset is {self.position.offset}: it must be from 0 to {LARGEST}")
        if isinstance(self.position, RelativeBias):
            _check_buckets(self.position)
        if isinstance(self.position, Rotary) and self.per_head % 2:
            raise SettingsError(f"rotary positions need an even head width, not {self.per_head}: change model.heads")
        if isinstance(self.position, Rotary):
            _check_scaling(self.position)
        if isinstance(self.position, Sinusoidal) and self.width % 2:
            raise SettingsError(f"sinusoidal positions need an even model.width, but it is {self.width}")

    @property
    def per_head(self) -> int:
        """Width of one attention head."""
        return self.head_width or self.width // self.heads

    @property
    def groups(self) -> int:
        """Number of key and value heads."""
        return self.kv_heads or self.heads

    @property
    def projects_with_bias(self) -> bool:
        """Whether queries, keys and values have biases."""
        return self.bias if self.attention_bias is None else self.attention_bias

    @property
    def score_scale(self) -> float:
        """What query-key products are multiplied by."""
        return self.per_head**-0.5 if self.attention_scale is None else self.attention_scale

    @property
    def limit(self) -> int:
        """The longest sequence it reads: positions beyond the context were never trained."""
        return self.context

    @property
    def characters(self) -> int:
        """Tokens are looked up, not spelt."""
        return 0

    @property
    def carries_state(self) -> bool:
        """Nothing goes over from one row to the next."""
        return False

    @property
    def two_stream(self) -> bool:
        """Each position reads its own token."""
        return False

    @property
    def pooling(self) -> Literal["first", "last", "mean"]:
        """What sums up a text: BERT's first token, GPT's last."""
        return "first" if self.encoder_layers else "last"

    @property
    def mixed_layers(self) -> int:
        """Of the last stack, and its embeddings."""
        return (self.decoder_layers or self.encoder_layers) + 1

    def describe(self) -> str:
        """In a model card's words."""
        stacks = (("encoder", self.encoder_layers), ("decoder", self.decoder_layers))
        layers = " and ".join(f"{count} {kind} layers" for kind, count in stacks if count)
        return f"{layers} of width {self.width} with {self.heads} attention heads"


def check_sizes(config: object, *names: str) -> None:
    """Refuses sizes that no model has, before one is made of them: products of two must stay numbers of 64 bits."""
    for name in names:
        value = getattr(config, name)
        if value is not None and not 1 <= value <= LARGEST:
            above = "at least 1" if value < 1 else f"at most {LARGEST}"
            raise SettingsError(f"model.{name} is {value}: it must be {above}")


def check_layers(encoder: int, decoder: int) -> None:
    """The same for the numbers of layers, of which one kind may be missing."""
    if encoder < 0 or decoder < 0 or encoder + decoder == 0:
        raise SettingsError("model.encoder_layers and model.decoder_layers must not be negative, nor both 0")
    if encoder + decoder > MOST_LAYERS:
        raise SettingsError(
            f"model.encoder_layers + model.decoder_layers is {encoder + decoder}: it must be at most {MOST_LAYERS}"
        )


def _check_buckets(position: RelativeBias) -> None:
    if not 4 <= position.buckets <= LARGEST or not position.buckets // 2 < position.distance <= LARGEST:
        raise SettingsError(
            f"model.position has {position.buckets} buckets up to a distance of {position.distance}: it needs at least "
            "4 buckets, and a distance above half their number"
        )


def _check_scaling(position: Rotary) -> None:
    scaling = position.scaling
    if position.theta <= 0 or (scaling is not None and scaling.factor <= 0):
        raise SettingsError("model.position.theta and the factor of its scaling must be above 0")
    if isinstance(scaling, Llama3Scaling) and not (0 < scaling.low < scaling.high and scaling.original > 0):
        raise SettingsError(
            f"model.position.scaling has low = {scaling.low}, high = {scaling.high}, original = {scaling.original}: "
            "it needs 0 < low < high and an original context above 0"
        )
