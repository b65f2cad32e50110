"""The one description of a two-stream network: XLNet's sizes and choices (Yang et al. 2019). No torch here."""

from dataclasses import dataclass
from typing import Literal

from trivium.errors import SettingsError
from trivium.transformer.config import TransformerConfig


@dataclass(frozen=True)
class TwoStreamConfig:
    """Sizes and choices. ``context`` is how long a training row is and how long a text may be: positions are
    relative, so a file's weights say nothing of it."""

    vocab_size: int
    width: int
    heads: int
    ffn_width: int
    encoder_layers: int
    context: int = 512
    activation: Literal["gelu", "gelu_tanh", "relu", "silu"] = "gelu"
    norm_eps: float = 1e-12
    causal: bool = False  # nothing after a position is ever seen, as in Transformer-XL
    clamp: int | None = None  # what is farther away than this counts as this far
    tied: bool = True  # output projection shares the token embedding
    vocabulary_head: Literal["bias", "none"] = "bias"
    pooler: bool = False  # a dense layer and tanh on the first token, for the head that asks for it
    dropout: float = 0.0
    init_std: float = 0.02
    pad_token: int = 0

    def __post_init__(self) -> None:
        for name in ("vocab_size", "width", "heads", "ffn_width", "encoder_layers", "context"):
            if getattr(self, name) < 1:
                raise SettingsError(f"model.{name} is {getattr(self, name)}: it must be at least 1")
        if self.width % self.heads or self.width % 2:
            raise SettingsError(
                f"model.width = {self.width} must be even and a multiple of model.heads = {self.heads}: change one"
            )
        if self.clamp is not None and self.clamp < 1:
            raise SettingsError(f"model.clamp is {self.clamp}: it must be at least 1, or left out")
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"model.dropout is {self.dropout}: it must be at least 0 and below 1")
        if self.activation not in ("gelu", "gelu_tanh", "relu", "silu"):
            raise SettingsError(f"model.activation is {self.activation!r}: choose gelu, gelu_tanh, relu or silu")
        if self.vocabulary_head not in ("bias", "none"):
            raise SettingsError(
                f"model.vocabulary_head is {self.vocabulary_head!r}: a two-stream network's is bias, or none"
            )

    @property
    def plain(self) -> TransformerConfig:
        """What of it is as in every Transformer: norms, feed-forward layers, the vocabulary."""
        return TransformerConfig(
            vocab_size=self.vocab_size,
            width=self.width,
            heads=self.heads,
            ffn_width=self.ffn_width,
            encoder_layers=self.encoder_layers,
            context=self.context,
            norm_place="post",
            norm_eps=self.norm_eps,
            activation=self.activation,
            tied=self.tied,
            vocabulary_head=self.vocabulary_head,
            dropout=self.dropout,
        )

    @property
    def per_head(self) -> int:
        """Width of one attention head."""
        return self.width // self.heads

    @property
    def decoder_layers(self) -> int:
        """None: both streams are one stack."""
        return 0

    @property
    def two_stream(self) -> bool:
        """A position can be predicted without being read, so it writes too."""
        return True

    @property
    def bidirectional_prompt(self) -> bool:
        """All that is known is seen from everywhere."""
        return True

    @property
    def segments(self) -> int:
        """Two texts and the classify token; any number can be told apart, for only "the same or not" is learnt."""
        return 3

    @property
    def characters(self) -> int:
        """Tokens are looked up, not spelt."""
        return 0

    @property
    def start_token(self) -> None:
        """There is no decoder beside it."""
        return None

    @property
    def limit(self) -> int:
        """The longest sequence it reads: longer distances were never trained."""
        return self.context

    @property
    def carries_state(self) -> bool:
        """What it remembers is handed to it (``Memory``), not kept by it."""
        return False

    @property
    def pooling(self) -> Literal["last"]:
        """What sums up a text: the classify token, which comes last."""
        return "last"

    @property
    def mixed_layers(self) -> int:
        """The embeddings and every layer."""
        return self.encoder_layers + 1

    def describe(self) -> str:
        """In a model card's words."""
        return (
            f"{self.encoder_layers} layers of two-stream attention, of width {self.width} with {self.heads} "
            "attention heads"
        )
