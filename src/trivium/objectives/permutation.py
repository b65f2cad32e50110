"""Permutation language modelling: each row's positions are put in an order of its own and predicted from those before
them in it, whatever stands to their left or right (Yang et al. 2019, sections 2.2 to 2.4; zihangdai/xlnet,
data_utils.py).

Only some positions are predicted, 1/K of a row (K = 6: 85 of 512); control tokens never are. Two choices of them:

- ``spans``, as the code has it: spans of 1 to 5 tokens, a length n with probability in proportion to 1/n, each from a
  word's start, within a context of ``alpha / beta`` n tokens; what the last span leaves of the budget is drawn one by
  one. All other tokens come first and see each other; then, in a random order, come the targets and the control tokens.
- ``last``, as the paper has it (equation 5): the last positions of a random order of all.

The code means its spans to be n words but counts tokens, and so do spans here. Left out: segments of memory
(``reuse_len``), rows that are read backward, pairs of texts.

B rows, T tokens a row, R queries of the row that has most.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from trivium.errors import SettingsError
from trivium.objectives import selection
from trivium.objectives.cross_entropy import cross_entropy
from trivium.objectives.objective import Batch, Loss
from trivium.objectives.packing import pack, places, steady
from trivium.objectives.words import word_numbers
from trivium.randomness import Draws
from trivium.text.rows import Layout, Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config, Inputs, Tokens

if TYPE_CHECKING:
    from trivium.transformer import Network

LONGEST = 5  # tokens of a span
_LENGTHS = np.cumsum(1 / np.arange(1, LONGEST + 1)) / (1 / np.arange(1, LONGEST + 1)).sum()


@dataclass(frozen=True)
class Permutation:
    """One of ``k`` tokens is predicted; ``alpha`` tokens of context for ``beta`` that are, where they are spans."""

    kind: Literal["permutation"] = "permutation"
    k: int = 6
    targets: Literal["spans", "last"] = "spans"
    alpha: int = 6
    beta: int = 1

    def __post_init__(self) -> None:
        if self.k < 1:
            raise SettingsError(f"objective.k = {self.k}: one token of k is predicted, so it must be at least 1")
        if not 1 <= self.beta <= self.alpha:
            raise SettingsError(
                f"objective.alpha = {self.alpha} and objective.beta = {self.beta}: beta must be at least 1, and alpha "
                "no less than beta"
            )
        if self.targets not in ("spans", "last"):
            raise SettingsError(f"objective.targets = {self.targets!r}: choose spans or last")

    def layout(self, tokenizer: Tokenizer, length: int) -> Layout:
        """Pieces of documents, closed by the separator and the classify token, which is last."""
        classify, separator = tokenizer.classify, tokenizer.separator
        if classify is None or separator is None:
            raise SettingsError(
                "the permutation objective needs a tokenizer with separator and classify tokens: train one with "
                "`trivium tokenizer train`, or use XLNet's"
            )
        return Layout("packed", length, after=(separator, classify))

    def heads(self, config: Config) -> dict[str, nn.Module]:
        """None of its own; refuses a model that cannot predict a position without reading it."""
        if not config.two_stream:
            raise SettingsError(
                "the permutation objective predicts a position from any others, by a stream that does not read it, and "
                'this model has none: set model.family = "xlnet"'
            )
        return {}

    def choose(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
        """(B, T) int64: each position's place in the order; (B, T) bool: which are predicted."""
        real = rows.documents >= 0
        candidates = real & ~np.isin(rows.tokens, sorted(tokenizer.controls))
        keys = draws.uniform("permutation/order", real.shape[1])
        ranks = np.argsort(np.argsort(keys, axis=1, kind="stable"), axis=1, kind="stable")
        budget = np.maximum(1, real.sum(axis=1) // self.k)
        if self.targets == "last":
            return ranks, selection.exact(-keys, candidates, budget)
        chosen = self._spans(rows, draws, tokenizer, budget) & candidates
        fill = draws.uniform("permutation/fill", real.shape[1])
        chosen |= selection.exact(fill, candidates & ~chosen, budget - chosen.sum(axis=1))
        return np.where(candidates & ~chosen, -1, ranks), chosen

    def _spans(self, rows: Rows, draws: Draws, tokenizer: Tokenizer, budget: np.ndarray) -> np.ndarray:
        """(B, T) bool. One round gives each row of the batch its next span."""
        rows_, width = rows.tokens.shape
        real = rows.documents >= 0
        lengths = real.sum(axis=1)
        special = ~real | np.isin(rows.tokens, sorted(tokenizer.controls))
        words = word_numbers(rows.tokens, special, tokenizer)
        starts = np.ones((rows_, width + 1), bool)
        starts[:, 1:width] = words[:, 1:] != words[:, :-1]
        following = np.where(starts, np.arange(width + 1), width)  # the first start at or after each place
        following = np.minimum.accumulate(following[:, ::-1], axis=1)[:, ::-1]
        most, every = int(budget.max()), np.arange(rows_)
        sizes = np.searchsorted(_LENGTHS, draws.uniform("permutation/length", most), side="right") + 1
        offsets = draws.uniform("permutation/context", most)
        edges = np.zeros((rows_, width + 1), np.int64)
        at, left = np.zeros(rows_, np.int64), budget.copy()
        for number in range(most):
            size = np.minimum(np.minimum(sizes[:, number], LONGEST), left)
            context = size * self.alpha // self.beta
            before = (offsets[:, number] * context).astype(np.int64)
            begin = following[every, np.minimum(at + before, width)]
            end = begin + size
            left = np.where(end < lengths, left, 0)  # the row is through
            taken = left > 0
            edges[every[taken], begin[taken]] += 1
            edges[every[taken], end[taken]] -= 1
            left = np.where(taken, left - size, 0)
            at = end + context - before
            if not left.any():
                break
        return np.cumsum(edges, axis=1)[:, :width] > 0

    def batch(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        """(B, T) rows as they are, with their order, the positions asked for, (B, R), and their ids, (N,)."""
        return self.ordered(rows, *self.choose(rows, draws, tokenizer))

    def ordered(self, rows: Rows, order: np.ndarray, chosen: np.ndarray) -> Batch:
        """The batch of a given order (B, T) and choice (B, T) of targets."""
        counts = chosen.sum(axis=1)
        asked = np.argsort(~chosen, axis=1, kind="stable")[:, : max(1, int(counts.max()))]  # the chosen ones first
        real = np.arange(asked.shape[1]) < counts[:, None]
        source = pack(rows.tokens, rows.documents)
        source = Tokens(
            source.ids, source.documents, order=torch.from_numpy(order), queries=torch.from_numpy(asked.copy())
        )
        targets = {"permutation": torch.from_numpy(rows.tokens[chosen])}
        if (at := places(real)) is not None:
            targets["at"] = at
        count = int(counts.sum())
        tokens = int((rows.documents >= 0).sum())
        return Batch(Inputs(source=source), targets, {"permutation": count}, tokens, rows.draws.tolist())

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        logits = model(batch.inputs, at=steady(batch.targets.get("at"))).logits
        return {"permutation": Loss(cross_entropy(logits, batch.targets["permutation"]), batch.counts["permutation"])}
