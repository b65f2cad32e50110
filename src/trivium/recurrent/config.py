"""The one description of a recurrent network: a language model, an encoder, or an encoder-decoder with attention."""

from dataclasses import dataclass
from typing import Literal, get_args

from trivium.errors import SettingsError
from trivium.transformer.config import check_layers, check_sizes

CellName = Literal["rnn", "lstm", "gru"]
GATES: dict[str, int] = {"rnn": 1, "gru": 3, "lstm": 4}
"""How many products of the state's width a step computes: an LSTM's in the order i, f, g, o, a GRU's r, z, n."""
PARTS: dict[str, int] = {"rnn": 1, "gru": 1, "lstm": 2}
"""What is handed from step to step: the hidden state, and an LSTM's cell."""


@dataclass(frozen=True)
class RecurrentConfig:
    """Sizes and choices of one recurrent network. Decoder (0, L), bidirectional encoder (L, 0), both (L, L).

    ``context`` is how far gradients flow in training, a row's length; what is read later may have any length.
    """

    vocab_size: int
    width: int  # of token embeddings and of what the vocabulary projection reads
    cell: CellName = "lstm"
    state_width: int | None = None  # of each layer's state, per direction; None: width
    encoder_layers: int = 0
    decoder_layers: int = 0
    attention: Literal["additive", "general"] = "general"  # of a decoder beside an encoder: Bahdanau's, Luong's
    context: int = 128
    tied: bool = True  # output projection shares the token embedding
    vocabulary_head: Literal["plain", "none"] = "plain"
    pooler: bool = False
    dropout: float = 0.0  # on what goes in, up and out, never from step to step (Zaremba et al. 2014)
    forget_bias: float = 0.0  # 1: an LSTM that begins by remembering (Jozefowicz et al. 2015); slower on plain text
    init: Literal["uniform", "orthogonal"] = "orthogonal"  # the table in initialisation.py
    init_std: float = 0.1  # of embeddings; no norm makes up for smaller ones, which are learnt from much later
    pad_token: int = 0
    start_token: int | None = None  # what an encoder-decoder's decoder begins with

    def __post_init__(self) -> None:
        check_sizes(self, "vocab_size", "width", "context", "state_width")
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"model.dropout is {self.dropout}: it must be at least 0 and below 1")
        check_layers(self.encoder_layers, self.decoder_layers)
        choices = {"cell": get_args(CellName), "attention": ("additive", "general"), "init": ("uniform", "orthogonal")}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise SettingsError(f"model.{name} is {getattr(self, name)!r}: choose one of {', '.join(known)}")
        if self.vocabulary_head not in ("plain", "none"):
            raise SettingsError(
                f"model.vocabulary_head is {self.vocabulary_head!r}: a recurrent network has a plain one, or none"
            )

    @property
    def state(self) -> int:
        """Width of one layer's state in one direction."""
        return self.state_width or self.width

    @property
    def gates(self) -> int:
        """Products of the state's width in a step."""
        return GATES[self.cell]

    @property
    def parts(self) -> int:
        """Vectors handed from step to step by a layer."""
        return PARTS[self.cell]

    @property
    def limit(self) -> None:
        """There is no longest sequence."""
        return None

    @property
    def characters(self) -> int:
        """Tokens are looked up, not spelt."""
        return 0

    @property
    def carries_state(self) -> bool:
        """A decoder alone goes on from row to row; an encoder reads whole texts."""
        return self.encoder_layers == 0

    @property
    def two_stream(self) -> bool:
        """Each position reads its own token."""
        return False

    @property
    def bidirectional_prompt(self) -> bool:
        """It reads from left to right."""
        return False

    @property
    def pooling(self) -> Literal["first", "last", "mean"]:
        """What sums up a text: the last state; of both directions, the mean."""
        return "mean" if self.encoder_layers else "last"

    @property
    def mixed_layers(self) -> int:
        """The embeddings and every layer, where they have one width; else the embeddings and the projected states."""
        last = self.decoder_layers or self.encoder_layers
        both_ways = self.decoder_layers == 0
        return last + 1 if self.state * (2 if both_ways else 1) == self.width else 2

    @property
    def segments(self) -> int:
        """No embeddings of segments."""
        return 0

    def describe(self) -> str:
        """In a model card's words."""
        both = "bidirectional encoder"
        stacks = ((both, self.encoder_layers), ("decoder", self.decoder_layers))
        layers = " and ".join(f"{count} {kind} {self.cell.upper()} layers" for kind, count in stacks if count)
        crossing = f" with {self.attention} attention" if self.encoder_layers and self.decoder_layers else ""
        return f"{layers} of width {self.state}{crossing}, embeddings of width {self.width}"
