"""What every kind of network has in common, the Transformer and those that came before it: how all other code sees one.

A configuration answers questions and a network is called; nobody asks which kind it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import Field, replace
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar, cast

import torch
from torch import Tensor, nn

from trivium.errors import SettingsError
from trivium.tokenizers import Tokenizer
from trivium.transformer.cache import Reuse
from trivium.transformer.inputs import Inputs, Outputs, Record, Tokens
from trivium.transformer.layer_mix import mixed_layers


class Config(Protocol):
    """A frozen dataclass that describes a network: its size and what it can do."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def vocab_size(self) -> int: ...
    @property
    def width(self) -> int: ...  # of embeddings and final hidden states
    @property
    def encoder_layers(self) -> int: ...
    @property
    def decoder_layers(self) -> int: ...
    @property
    def context(self) -> int: ...  # tokens of a training row
    @property
    def limit(self) -> int | None: ...  # the longest sequence that can be read; None: any
    @property
    def carries_state(self) -> bool: ...  # whether a row can go on from the state after another
    @property
    def two_stream(self) -> bool: ...  # whether a position can be predicted without being read
    @property
    def bidirectional_prompt(self) -> bool: ...  # whether the tokens of a prompt see each other
    @property
    def pooling(self) -> Literal["first", "last", "mean", "mix"]: ...  # what sums up a text unless told
    @property
    def mixed_layers(self) -> int: ...  # how many layers, embeddings included, a head can mix
    @property
    def segments(self) -> int: ...
    @property
    def characters(self) -> int: ...  # of a word, how many are read; 0: words are looked up
    @property
    def tied(self) -> bool: ...
    @property
    def vocabulary_head(self) -> str: ...
    @property
    def pooler(self) -> bool: ...
    @property
    def dropout(self) -> float: ...
    @property
    def pad_token(self) -> int: ...
    @property
    def start_token(self) -> int | None: ...
    def describe(self) -> str: ...


AnyConfig = TypeVar("AnyConfig", bound=Config)


def changed(config: AnyConfig, **changes: object) -> AnyConfig:
    """The same configuration with other values in some fields."""
    return cast(AnyConfig, replace(cast(Any, config), **changes))


class Progress(Protocol):
    """What a network has read so far, for each of several sequences: one more token then costs one token's work."""

    reuse: ClassVar[Reuse]
    """What of a sequence serves another one that begins alike: any beginning (prefix); the whole of it alone, as a
    state (state); or only a prompt that is the same (same)."""

    @property
    def documents(self) -> Tensor | None: ...  # None where no padding or packing was seen

    @property
    def memory_size(self) -> int: ...  # in bytes, of what is allocated

    def vacate(self) -> None:
        """Forget everything; all places are free."""
        ...

    def take(self, row: int, count: int | None = None) -> Self:
        """One sequence alone, or its first ``count`` tokens; it may change when this does."""
        ...

    def kept(self) -> Self:
        """A copy that stays as it is."""
        ...

    def join(self, one: Self) -> None:
        """One more sequence, after the others: what ``one`` has read."""
        ...

    def leave(self, row: int, clean: bool = False) -> None:
        """One sequence less; the last one takes its place. ``clean``: nothing of it may stay in the memory."""
        ...

    def select(self, rows: Tensor) -> None:
        """Keep the sequences numbered ``rows`` (N,), in that order, repeats allowed; of branches, whole groups."""
        ...

    def branch(self, count: int) -> None:
        """Each sequence becomes ``count`` side by side."""
        ...

    def exchange(self, rows: Tensor, since: int) -> None:
        """Branch i goes on from what branch ``rows[i]`` of its group has read, which may differ from the token
        numbered ``since`` on."""
        ...


class Network(nn.Module):
    """Token embeddings, a body, the vocabulary projection and named heads: what is trained, saved and served."""

    config: Config
    tokens: nn.Embedding
    encoder: nn.Module | None
    decoder: nn.Module | None
    vocabulary: nn.Module | None
    pooler: nn.Module | None
    heads: nn.ModuleDict

    def forward(
        self, inputs: Inputs, *, at: Tensor | Literal["all"] | None = None, heads: Sequence[str] = (),
        cache: Any = None, record: Record | None = None,
    ) -> Outputs:  # fmt: skip
        """``at``: flat indices (N,) into the last stack's (B, T) positions at which vocabulary scores are wanted."""
        raise NotImplementedError

    def scores(self, inputs: Inputs, head: str) -> Tensor:
        """What one head says, and nothing else of a forward pass: networks that can leave work out do."""
        found = self(inputs, heads=(head,)).heads[head]
        assert isinstance(found, Tensor)
        return found

    def new_cache(self, rows: int, capacity: int, device: torch.device | str, dtype: torch.dtype) -> Progress:
        """Of ``rows`` sequences of which nothing was read yet, for at most ``capacity`` tokens each."""
        raise NotImplementedError

    def outputs(
        self, hidden: Tensor, side: Tokens, source: Tensor | None, at: Tensor | Literal["all"] | None,
        heads: Sequence[str], layers: list[Tensor] | None = None,
    ) -> Outputs:  # fmt: skip
        """The last step of every forward pass: what is asked for on top of the last stack's hidden states. ``layers``:
        the states of all layers, for heads that mix them."""
        pooled = self.pooler(hidden) if heads and self.pooler is not None else None
        scores = {}
        for name in heads:
            mixes = layers is not None and mixes_layers(self.heads[name])
            seen = mixed_layers(layers, hidden) if mixes and layers is not None else hidden
            known = self.tokens.weight if getattr(self.heads[name], "reads_embeddings", False) else pooled
            scores[name] = self.heads[name](seen, side, known)
        return Outputs(hidden, source, self._logits(hidden, at), scores or None)

    def mixes(self, heads: Sequence[str]) -> bool:
        """Whether one of these heads wants every layer's states."""
        return any(mixes_layers(self.heads[name]) for name in heads)

    def read_vocabulary(self, tokenizer: Tokenizer) -> None:
        """Learn from the tokenizer how words are spelt; only networks that read characters need to."""

    def _logits(self, hidden: Tensor, at: Tensor | Literal["all"] | None) -> Tensor | None:
        if at is None:
            return None
        if self.vocabulary is None:
            raise SettingsError("this model was made without a vocabulary projection (model.vocabulary_head = 'none')")
        return self.logits(hidden, at)

    def logits(self, hidden: Tensor, at: Tensor | Literal["all"]) -> Tensor:
        """(B, T, W) to (N, V) at flat indices, or (B, T, V)."""
        assert self.vocabulary is not None
        if isinstance(at, Tensor):
            hidden = hidden.reshape(-1, hidden.shape[-1]).index_select(0, at)  # (N, W)
        scores: Tensor = self.vocabulary(hidden, self.tokens.weight)
        return scores


def writes(config: Config) -> bool:
    """Whether it goes on from a text: a decoder, and an encoder whose positions can be predicted without being read."""
    return config.decoder_layers > 0 or config.two_stream


def answers(config: Config) -> bool:
    """Whether what it writes is an answer to a source of its own: an encoder-decoder."""
    return config.encoder_layers > 0 and config.decoder_layers > 0


def given(side: Tokens | None, name: str) -> Tokens:
    """A side of the inputs that the network cannot do without."""
    if side is None:
        raise SettingsError(f"this model reads inputs.{name}, but it is missing")
    return side


def mixes_layers(head: nn.Module) -> bool:
    """Whether a head is called with the states of all layers, as a list, instead of the last ones."""
    return getattr(head, "pooling", None) == "mix"


def needs_pooler(config: Config, heads: Mapping[str, nn.Module]) -> bool:
    """Where the configuration or a head asks for the first token's summary."""
    return config.pooler or any(getattr(head, "reads_pooler", False) for head in heads.values())
