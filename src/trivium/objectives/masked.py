"""Masked language modelling: -sum log P(x_t | corrupted text) over chosen positions (Devlin et al. 2019, section 3.1).

Defaults are BERT's: 15% of the tokens, of which 80% become the mask token, 10% a random entry of the vocabulary and 10%
stay. "Should You Mask 15%?" (Wettig et al. 2022) is ``Masked(rate=0.4, mask=1.0, random=0.0)``. Left out: BERT's
``max_predictions_per_seq``, which only bounds memory.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from trivium.errors import SettingsError
from trivium.objectives import selection
from trivium.objectives.cross_entropy import cross_entropy
from trivium.objectives.objective import Batch, Loss
from trivium.objectives.packing import pack, steady
from trivium.objectives.sentences import sentence_ends
from trivium.objectives.words import word_numbers
from trivium.randomness import Draws, key, mix
from trivium.text.rows import Layout, Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config, Inputs

if TYPE_CHECKING:
    from trivium.transformer import Network


@dataclass(frozen=True)
class Masked:
    """``rate`` of the tokens are targets; ``mask`` and ``random`` are shares of those, the rest is kept unchanged."""

    kind: Literal["masked"] = "masked"
    rate: float = 0.15
    mask: float = 0.8
    random: float = 0.1
    count: Literal["exact", "bernoulli"] = "exact"
    whole_word: bool = False
    isolate_documents: bool = True  # False: rows run on over documents, all of a row visible
    whole_sentences: bool = False  # with these RoBERTa's FULL-SENTENCES, isolated its DOC-SENTENCES
    copies: int | None = None  # None: a new mask at each visit (RoBERTa); n: a text has n fixed masks (BERT: 10)

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise SettingsError(f"objective.rate = {self.rate}: it must lie between 0 and 1, such as 0.15")
        if min(self.mask, self.random) < 0 or self.mask + self.random > 1 + 1e-9:
            raise SettingsError(
                f"objective.mask = {self.mask} and objective.random = {self.random}: shares must not be negative and "
                "their sum must not pass 1"
            )
        if self.copies is not None and self.copies < 1:
            raise SettingsError(f"objective.copies = {self.copies}: it must be at least 1, or left out")

    def layout(self, tokenizer: Tokenizer, length: int) -> Layout:
        classify, separator, _ = control_tokens(tokenizer)
        if self.whole_sentences:
            ends = tuple(np.flatnonzero(sentence_ends(tokenizer)).tolist())
            if not ends:
                raise SettingsError("no token of this vocabulary ends a sentence: leave out objective.whole_sentences")
            return Layout(
                "packed", length, before=(classify,), after=(separator,), sentences=ends,
                joined=not self.isolate_documents,
            )  # fmt: skip
        if not self.isolate_documents:
            return Layout("stream", length - 1)  # the classify token opens each row
        return Layout("packed", length, before=(classify,), after=(separator,))

    def heads(self, config: Config) -> dict[str, nn.Module]:
        """None of its own (the vocabulary projection is the model's); refuses a model that is not an encoder."""
        check_encoder(config, self.kind)
        return {}

    def choose(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> np.ndarray:
        """(B, T) bool: the positions to predict. Special tokens and padding are never among them."""
        special, real = control_ids(tokenizer)[rows.tokens], rows.documents >= 0
        candidates = real & ~special
        words = word_numbers(rows.tokens, special | ~real, tokenizer) if self.whole_word else None
        keys = draws.uniform("masked/where", candidates.shape[1])
        if self.count == "bernoulli":
            coins = keys if words is None else np.take_along_axis(keys, words, axis=1)
            return candidates & (coins < self.rate)
        budget = selection.budgets(real.sum(axis=1), self.rate)
        if words is None:
            return selection.exact(keys, candidates, budget)
        return selection.whole_words(keys, candidates, words, budget)

    def batch(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        """(B, T) rows to corrupted inputs and the original ids at the chosen positions, (N,) with their flat places."""
        classify, _, mask = control_tokens(tokenizer)
        if not self.isolate_documents and not self.whole_sentences:
            rows = _opened(rows, classify)
        if self.copies is not None:
            draws = _fixed(rows, draws, self.copies)
        length = rows.tokens.shape[1]
        chosen = self.choose(rows, draws, tokenizer)
        at = np.flatnonzero(chosen)
        there = np.divmod(at, length)
        wanted = rows.tokens.ravel()[at]
        how = draws.uniform_at("masked/how", *there)
        other = (draws.uniform_at("masked/other", *there) * tokenizer.vocab_size).astype(np.int64)
        ids = rows.tokens.copy()
        ids.ravel()[at] = hidden(wanted, how, other, mask, self.mask, self.random)
        targets = {"masked": torch.from_numpy(wanted), "at": torch.from_numpy(at)}
        source = pack(ids, rows.documents, rows.positions, rows.segments)
        tokens = int((rows.documents >= 0).sum())
        return Batch(Inputs(source=source), targets, {"masked": len(at)}, tokens, rows.draws.tolist())

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        logits = model(batch.inputs, at=steady(batch.targets["at"])).logits
        return {"masked": Loss(cross_entropy(logits, batch.targets["masked"]), batch.counts["masked"])}


def check_encoder(config: Config, kind: str) -> None:
    """Refuses a model that does not read a text both ways, or that is more than an encoder."""
    if config.vocabulary_head == "two-way":
        raise SettingsError(
            f"the {kind} objective asks what stands at a place, and this model's states predict the words beside "
            'theirs: set objective.kind = "bidirectional", or another model.family'
        )
    if config.carries_state:
        raise SettingsError(
            f"the {kind} objective needs a model that reads both ways, and this recurrent one reads forwards only: "
            'set model.family = "bilstm"'
        )
    if config.two_stream:
        raise SettingsError(
            f"the {kind} objective trains what reads a place, and this model predicts with a stream that does not: "
            'set objective.kind = "causal", or another model.family'
        )
    if config.encoder_layers == 0 or config.decoder_layers:
        raise SettingsError(
            f"the {kind} objective trains an encoder alone, but the model has {config.encoder_layers} encoder and "
            f"{config.decoder_layers} decoder layers: set model.decoder_layers = 0 and model.encoder_layers"
        )


def hidden(
    wanted: np.ndarray, how: np.ndarray, other: np.ndarray, mask: int, masked: float, random: float
) -> np.ndarray:
    """What stands in place of the chosen tokens ``wanted`` (N,): ``mask`` where ``how`` is below ``masked``, ``other``
    where it is below ``masked + random``, else themselves."""
    return np.where(how < masked, mask, np.where(how < masked + random, other, wanted))


def _opened(rows: Rows, classify: int) -> Rows:
    """(B, T) rows of a stream with a token before each: (B, T + 1)."""
    first = np.full((len(rows.tokens), 1), classify, np.int64)
    documents = np.concatenate([np.zeros_like(first), rows.documents], axis=1)
    positions = np.where(documents >= 0, np.arange(documents.shape[1]), 0)
    return Rows(np.concatenate([first, rows.tokens], axis=1), documents, positions, rows.draws)


def _fixed(rows: Rows, draws: Draws, copies: int) -> Draws:
    """Draws keyed by the row's own tokens and one of ``copies`` numbers, so that a text met again may meet its mask."""
    places = np.arange(rows.tokens.shape[1], dtype=np.uint64)
    content = mix(rows.tokens.astype(np.uint64) + (places << np.uint64(32))).sum(axis=1, dtype=np.uint64)
    copy = draws.integers("masked/copy", 1, copies)[:, 0].astype(np.uint64)
    return Draws(key(draws.seed, "masked/static"), mix(content + copy))


@lru_cache(maxsize=8)
def control_ids(tokenizer: Tokenizer) -> np.ndarray:
    """(V,) bool: the control tokens that are never predicted."""
    named = (tokenizer.pad, tokenizer.begin, tokenizer.end, tokenizer.classify, tokenizer.separator, tokenizer.mask)
    return np.isin(np.arange(tokenizer.vocab_size), [i for i in named if i is not None])


def control_tokens(tokenizer: Tokenizer, kind: str = "masked") -> tuple[int, int, int]:
    """Classify, separator and mask."""
    classify, separator, mask = tokenizer.classify, tokenizer.separator, tokenizer.mask
    if classify is None or separator is None or mask is None:
        raise SettingsError(
            f"the {kind} objective needs a tokenizer with classify, separator and mask tokens: train one with "
            "`trivium tokenizer train`, or use the tokenizer of a BERT-like model"
        )
    return classify, separator, mask
