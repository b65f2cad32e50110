"""SpanBERT's objective: hidden spans from the text, and once more from their borders alone (Joshi et al. 2020,
section 3; code release, ``masking.py`` and ``pair_bert.py``).

Spans are l words long, l geometric with p = 0.2 and at most 10 (mean 3.8 words). A span begins at the start of the
word of a random token that is not hidden yet and takes whole words to the right, until it has l of them, the text ends
or 15% of the tokens (rounded up) are hidden, which can cut the last word. Spans that touch are one. Of the spans 80%
become mask tokens, 10% random tokens (each its own) and 10% stay, every token of a span alike. Two losses, each a mean,
are added: the masked language model's -log P(x_i | corrupted text) over all hidden tokens, and the boundary objective's
-log P(x_i | x_{s-1}, x_{e+1}, i - s + 1) over the first ``max_targets`` tokens of each span s .. e that has text on
both sides. A row's budget does not count control tokens, of which the code's texts have none yet.

Vectorised over the batch: one round adds a span to every row that is not full yet. A random order of all tokens, drawn
once, gives each round its next token, which is what drawing again until one is not hidden gives.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from trivium.errors import SettingsError
from trivium.objectives.cross_entropy import cross_entropy
from trivium.objectives.masked import check_encoder, control_ids, control_tokens, hidden
from trivium.objectives.objective import Batch, Loss
from trivium.objectives.packing import pack, steady
from trivium.objectives.sentinels import run_starts
from trivium.objectives.words import word_numbers
from trivium.randomness import Draws
from trivium.text.rows import Layout, Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import SPAN_BOUNDARY, Config, Inputs
from trivium.transformer.span_boundary_head import SpanBoundaryHead

if TYPE_CHECKING:
    from trivium.transformer import Network


@dataclass(frozen=True)
class SpanBoundary:
    """``rate`` of the tokens are hidden, in spans of up to ``longest`` words; ``mask`` and ``random`` are shares of the
    spans, the rest is kept unchanged. ``max_targets``: tokens of a span that its borders predict, which is also how
    many places the head knows (20 is the code's default; its published command has 15)."""

    kind: Literal["span_boundary"] = "span_boundary"
    rate: float = 0.15
    mask: float = 0.8
    random: float = 0.1
    geometric: float = 0.2
    longest: int = 10
    max_targets: int = 20

    def __post_init__(self) -> None:
        for name in ("rate", "geometric"):
            if not 0 < getattr(self, name) < 1:
                raise SettingsError(f"objective.{name} = {getattr(self, name)}: it must lie between 0 and 1")
        if min(self.mask, self.random) < 0 or self.mask + self.random > 1 + 1e-9:
            raise SettingsError(
                f"objective.mask = {self.mask} and objective.random = {self.random}: shares must not be negative and "
                "their sum must not pass 1"
            )
        for name in ("longest", "max_targets"):
            if getattr(self, name) < 1:
                raise SettingsError(f"objective.{name} = {getattr(self, name)}: it must be at least 1")

    def layout(self, tokenizer: Tokenizer, length: int) -> Layout:
        classify, separator, _ = control_tokens(tokenizer, self.kind)
        return Layout("packed", length, before=(classify,), after=(separator,))

    def heads(self, config: Config) -> dict[str, nn.Module]:
        """The boundary's; refuses a model that is not an encoder."""
        check_encoder(config, self.kind)
        return {SPAN_BOUNDARY: SpanBoundaryHead(config, self.max_targets)}

    @property
    def lengths(self) -> np.ndarray:
        """(longest,) how probable a span of 1, 2 ... words is."""
        shares = self.geometric * (1 - self.geometric) ** np.arange(self.longest)
        return shares / shares.sum()

    def span_lengths(self, by_chance: np.ndarray) -> np.ndarray:
        """Numbers in [0, 1) to lengths in words, any shape."""
        return 1 + np.searchsorted(np.cumsum(self.lengths)[:-1], by_chance, side="right")

    def choose(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> np.ndarray:
        """(B, T) bool: the tokens to hide. A run of them is a span."""
        parted = control_ids(tokenizer)[rows.tokens] | (rows.documents < 0)
        left = np.ceil((~parted).sum(axis=1) * self.rate - 1e-9).astype(np.int64)  # 20 * 0.15 is 3, not above it
        words = word_numbers(rows.tokens, parted, tokenizer)
        texts = np.cumsum(parted, axis=1)  # the same number within a stretch of text; that of what parts it is before
        keys = np.where(parted, np.inf, draws.uniform("span_boundary/where", rows.tokens.shape[1]))
        sizes = draws.uniform("span_boundary/length", max(1, int(left.max(initial=0))))
        sizes = self.span_lengths(sizes)
        chosen = np.zeros(rows.tokens.shape, bool)
        here = np.flatnonzero(left)
        number = 0
        while len(here):
            at = np.argmin(keys[here], axis=1)[:, None]
            first = np.take_along_axis(words[here], at, axis=1)
            inside = (words[here] >= first) & (words[here] < first + sizes[here, number, None]) & ~parted[here]
            inside &= texts[here] == np.take_along_axis(texts[here], at, axis=1)
            new = inside & ~chosen[here]
            new &= np.cumsum(new, axis=1) <= left[here, None]
            chosen[here] |= new
            keys[here] = np.where(new, np.inf, keys[here])
            left[here] -= new.sum(axis=1)
            here = here[left[here] > 0]
            number += 1
        return chosen

    def batch(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        """(B, T) rows to corrupted inputs; the original ids at the hidden places, (N,), and those that borders predict,
        (M,), with their borders (M, 3)."""
        _, _, mask = control_tokens(tokenizer, self.kind)
        length = rows.tokens.shape[1]
        chosen = self.choose(rows, draws, tokenizer)
        spans = _Spans.of(chosen, control_ids(tokenizer)[rows.tokens] | (rows.documents < 0))
        at = np.flatnonzero(chosen)
        row, column = np.divmod(at, length)
        wanted = rows.tokens.ravel()[at]
        how = draws.uniform_at("span_boundary/how", row, spans.first[row, column])
        other = (draws.uniform_at("span_boundary/other", row, column) * tokenizer.vocab_size).astype(np.int64)
        ids = rows.tokens.copy()
        ids.ravel()[at] = hidden(wanted, how, other, mask, self.mask, self.random)
        predicted, borders = spans.borders(self.max_targets)
        targets = {
            "masked": torch.from_numpy(wanted),
            "at": torch.from_numpy(at),
            SPAN_BOUNDARY: torch.from_numpy(rows.tokens[predicted]),
            f"{SPAN_BOUNDARY}_at": torch.from_numpy(np.flatnonzero(predicted)),
        }
        source = replace(pack(ids, rows.documents, rows.positions), borders=torch.from_numpy(borders))
        counts = {"masked": len(at), SPAN_BOUNDARY: len(borders)}
        return Batch(Inputs(source=source), targets, counts, int((rows.documents >= 0).sum()), rows.draws.tolist())

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        outputs = model(batch.inputs, at=steady(batch.targets["at"]), heads=(SPAN_BOUNDARY,))
        scores = {"masked": outputs.logits, SPAN_BOUNDARY: outputs.heads[SPAN_BOUNDARY]}
        return {
            name: Loss(cross_entropy(found, batch.targets[name]), batch.counts[name]) for name, found in scores.items()
        }


@dataclass(frozen=True)
class _Spans:
    """Where each hidden token's span begins and ends."""

    chosen: np.ndarray  # (B, T) bool
    parted: np.ndarray  # (B, T) bool: what is not text
    first: np.ndarray  # (B, T) int64; of other tokens any
    last: np.ndarray  # (B, T) int64

    @classmethod
    def of(cls, chosen: np.ndarray, parted: np.ndarray) -> "_Spans":
        column = np.arange(chosen.shape[1])
        first = np.maximum.accumulate(np.where(run_starts(chosen), column, 0), axis=1)
        ends = run_starts(chosen[:, ::-1])[:, ::-1]
        last = np.minimum.accumulate(np.where(ends, column, len(column) - 1)[:, ::-1], axis=1)[:, ::-1]
        return cls(chosen, parted, first, last)

    def borders(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """(B, T) bool, the tokens that are predicted from borders: at most the first ``most`` of a span with text on
        both sides; and of each the flat places of its borders and its own in the span, (M, 3)."""
        length = self.chosen.shape[1]
        column = np.arange(length)
        beside = np.pad(~self.parted, ((0, 0), (1, 1)))
        before, after = (np.take_along_axis(beside, at, axis=1) for at in (self.first, self.last + 2))
        place = column - self.first
        predicted = self.chosen & before & after & (place < most)
        row = np.nonzero(predicted)[0] * length
        left, right = row + self.first[predicted] - 1, row + self.last[predicted] + 1
        return predicted, np.stack([left, right, place[predicted]], axis=1)
