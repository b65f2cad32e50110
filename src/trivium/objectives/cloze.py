"""Recovering corrupted tokens in their places, by an encoder: masks, substitutions and reorderings at exact rates.

The same corruptions as ``denoising``, those that leave every place with one token, and a loss at the places that they
chose. ``masked`` is BERT's mixture of three fates for one choice; here each corruption chooses its own tokens.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from trivium.errors import SettingsError
from trivium.objectives import edits
from trivium.objectives.edits import Edited
from trivium.objectives.masked import Masked
from trivium.objectives.objective import Batch, Loss
from trivium.objectives.packing import pack
from trivium.objectives.sequence_to_sequence import pair_loss
from trivium.objectives.vocabulary import text_tokens
from trivium.randomness import Draws
from trivium.text.rows import Layout, Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config, Inputs

if TYPE_CHECKING:
    from trivium.transformer import Network


@dataclass(frozen=True)
class Cloze:
    """Rates of the tokens, each round(n * rate) of a row; 0: none of it."""

    kind: Literal["cloze"] = "cloze"
    mask: float = 0.15
    substitute: float = 0.0
    reorder: float = 0.0
    window: int = 0  # reorder runs of so many tokens; 0: the chosen tokens among each other

    def __post_init__(self) -> None:
        for name in ("mask", "substitute", "reorder"):
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(
                    f"objective.{name} = {getattr(self, name)}: it must lie between 0 (none) and 1, such as 0.15"
                )
        if not 0 < self.mask + self.substitute + self.reorder <= 1 + 1e-9:
            raise SettingsError("objective.mask, substitute and reorder must add up to more than 0 and at most 1")
        if self.window < 0 or self.window == 1:
            raise SettingsError(f"objective.window = {self.window}: it must be 0 (no windows) or at least 2")

    def layout(self, tokenizer: Tokenizer, length: int) -> Layout:
        if self.window > length - 2:
            raise SettingsError(f"objective.window = {self.window} is longer than the {length - 2} tokens of a row")
        return Masked().layout(tokenizer, length)

    def heads(self, config: Config) -> dict[str, nn.Module]:
        """None of its own; refuses a model that is not an encoder, as ``masked`` does."""
        return Masked().heads(config)

    def corrupt(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> tuple[Edited, np.ndarray]:
        """Corrupted rows, and (B, T) bool: the places that were chosen."""
        fixed = np.isin(rows.tokens, sorted(tokenizer.controls))
        original = texts = Edited.of(rows.tokens, rows.documents >= 0, fixed)
        blank = np.full_like(rows.tokens, -1 if tokenizer.mask is None else tokenizer.mask)
        texts = edits.mask(texts, edits.counts(original, self.mask), draws, blank)
        texts = edits.substitute(texts, edits.counts(original, self.substitute), draws, text_tokens(tokenizer))
        texts = edits.reorder(texts, edits.counts(original, self.reorder), draws, self.window, rows.documents)
        return texts, original.free & ~texts.free

    def batch(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        """(B, T) rows to corrupted inputs and the original ids at the chosen places, (N,) with their flat places."""
        texts, chosen = self.corrupt(rows, draws, tokenizer)
        targets = {
            "cloze": torch.from_numpy(rows.tokens[chosen]),
            "at": torch.from_numpy(np.flatnonzero(chosen)),
        }
        source = pack(texts.tokens, rows.documents, rows.positions)
        tokens = int((rows.documents >= 0).sum())
        return Batch(Inputs(source=source), targets, {"cloze": int(chosen.sum())}, tokens, rows.draws.tolist())

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        return pair_loss("cloze", model, batch)
