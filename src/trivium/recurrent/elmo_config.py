"""ELMo's sizes: a character encoder under a two-way language model (Peters et al. 2018). No torch here.

The published options files give their numbers; "original" is the 93.6 million parameter model, "small" and "medium" are
the two that were released beside it. All without the softmax, which only training needs.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from trivium.errors import SettingsError
from trivium.transformer.config import LARGEST, MOST_LAYERS, check_layers, check_sizes

FILTERS = ((1, 32), (2, 32), (3, 64), (4, 128), (5, 256), (6, 512), (7, 1024))
"""(width in characters, how many): 2,048 in all."""


@dataclass(frozen=True)
class ElmoConfig:
    """``width`` is that of a layer's hidden states, both directions together: each LSTM hands on half of it."""

    vocab_size: int  # of the output softmax; the input knows no vocabulary
    width: int
    cells: int  # of each LSTM
    encoder_layers: int = 2
    context: int = 128  # length of training rows, in words; states of longer texts can be computed as well
    characters: int = 50  # of a word, its bounds included; more are cut
    character_width: int = 16
    filters: tuple[tuple[int, int], ...] = FILTERS
    highway: int = 2
    cell_clip: float = 3.0  # 0: nothing is clipped
    state_clip: float = 3.0
    dropout: float = 0.1
    vocabulary_head: Literal["two-way", "none"] = "two-way"
    pooler: bool = False  # a dense layer and tanh on the first token, for the head that asks for it
    pad_token: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "filters", tuple((int(reach), int(count)) for reach, count in self.filters))
        check_sizes(self, "vocab_size", "width", "cells", "context", "characters", "character_width")
        check_layers(self.encoder_layers, 0)
        if self.width < 2 or self.width % 2:
            raise SettingsError(f"model.width is {self.width}: two directions share it, so it must be even")
        if self.characters < 4:
            raise SettingsError(f"model.characters is {self.characters}: a word needs at least 4, its bounds included")
        if not self.filters or any(reach < 1 or count < 1 for reach, count in self.filters):
            raise SettingsError("model.filters must be pairs of a width and a number, each at least 1")
        if max(reach for reach, _ in self.filters) > self.characters:
            raise SettingsError(
                f"a filter of {max(reach for reach, _ in self.filters)} characters is wider than a word of "
                f"model.characters = {self.characters}"
            )
        if not 0 <= self.dropout < 1:
            raise SettingsError(f"model.dropout is {self.dropout}: it must be at least 0 and below 1")
        total = sum(count for _, count in self.filters)
        if not 0 <= self.highway <= MOST_LAYERS or total > LARGEST:
            raise SettingsError(
                f"model.highway is {self.highway} over {total} filters: it must be from 0 to {MOST_LAYERS}, over at "
                f"most {LARGEST}"
            )
        for name in ("cell_clip", "state_clip"):
            if getattr(self, name) < 0:
                raise SettingsError(f"model.{name} is {getattr(self, name)}: it must be above 0, or 0 for no clipping")
        if self.vocabulary_head not in ("two-way", "none"):
            raise SettingsError(
                f"model.vocabulary_head is {self.vocabulary_head!r}: a two-way model's is two-way, or none"
            )

    @property
    def projection(self) -> int:
        """Width of one direction's states, and of word vectors."""
        return self.width // 2

    @property
    def decoder_layers(self) -> int:
        """None: both directions read what is there."""
        return 0

    @property
    def segments(self) -> int:
        """A text is one kind of segment."""
        return 0

    @property
    def tied(self) -> bool:
        """The softmax has its own matrix: words come in by their characters."""
        return False

    @property
    def start_token(self) -> None:
        """There is no decoder."""
        return None

    @property
    def limit(self) -> None:
        """There is no longest sequence."""
        return None

    @property
    def carries_state(self) -> bool:
        """Reading backward, the next row comes first: each row begins anew."""
        return False

    @property
    def two_stream(self) -> bool:
        """Each position reads its own token."""
        return False

    @property
    def bidirectional_prompt(self) -> bool:
        """It reads from left to right."""
        return False

    @property
    def pooling(self) -> Literal["mix"]:
        """What a classifier reads unless told otherwise: all layers, weighed by the task (section 3.2)."""
        return "mix"

    @property
    def mixed_layers(self) -> int:
        """The word vectors and every layer."""
        return self.encoder_layers + 1

    def describe(self) -> str:
        """In a model card's words."""
        total = sum(count for _, count in self.filters)
        return (
            f"{total} character filters under {self.encoder_layers} layers of a forward and a backward LSTM with "
            f"{self.cells} cells, states of width {self.width}"
        )

    def matrix_weights(self) -> tuple[int, int]:
        """Multiplications a word costs in the LSTMs, and in the character encoder (once for each distinct word)."""
        lstm = self.cells * (4 * self.width + self.projection)  # (P + P) 4C + C P
        total = sum(count for _, count in self.filters)
        convolutions = sum(
            (self.characters - reach + 1) * reach * self.character_width * n for reach, n in self.filters
        )
        encoder = convolutions + self.highway * 2 * total * total + total * self.projection
        return 2 * self.encoder_layers * lstm, encoder


PUBLISHED = {"vocab_size": 793_471, "context": 20}

SIZES: Mapping[str, Mapping[str, object]] = {
    "tiny": {"width": 16, "cells": 24, "filters": ((1, 4), (2, 8), (3, 12)), "highway": 1, "context": 64},
    "mini": {
        "width": 256,
        "cells": 512,
        "filters": ((1, 16), (2, 32), (3, 64), (4, 128), (5, 128)),
        "highway": 1,
    },
    "small": {"width": 256, "cells": 1024, "highway": 1, **PUBLISHED},
    "medium": {"width": 512, "cells": 2048, "highway": 1, **PUBLISHED},
    "original": {"width": 1024, "cells": 4096, "highway": 2, **PUBLISHED},
}
