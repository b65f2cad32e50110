"""Denoising for encoder-decoders: a corrupted text in, the whole original out (BART, Lewis et al. 2020, section 2.2).

The default is BART's own pretraining, 30% of the words infilled and all sentences permuted. Token masking, deletion,
rotation and the general corruptions (substitutions, reorderings, insertions) are further settings, all freely combined,
always in one order: sentences, infilling, masks, substitutions, reorderings, deletions, insertions, rotation.

Rows are stretches of the text between the begin and the end token, which no noise touches; an end of a document inside
one is not corrupted, and ends a sentence. Which masks become random tokens is a coin for each (fairseq takes a fixed
number among those of empty spans).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from torch import nn

from trivium.errors import SettingsError
from trivium.objectives import edits
from trivium.objectives.edits import Edited
from trivium.objectives.objective import Batch, Loss
from trivium.objectives.sentences import sentence_ends
from trivium.objectives.sentinels import Ragged
from trivium.objectives.sequence_to_sequence import pair_batch, pair_loss, refuse_others
from trivium.objectives.vocabulary import text_tokens
from trivium.objectives.words import word_numbers
from trivium.randomness import Draws
from trivium.text.rows import Layout, Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config

if TYPE_CHECKING:
    from trivium.transformer import Network

RATES = ("infill", "mask", "substitute", "reorder", "delete", "insert")
SHARES = ("permute_sentences", "rotate", "random")


@dataclass(frozen=True)
class Denoising:
    """``infill`` is a rate of the words, the other rates are of the tokens; 0: none of it. ``permute_sentences`` is the
    share of the sentences, ``rotate`` that of the rows, and ``random`` that of the masks that become random tokens."""

    decoder_start: ClassVar[Literal["pad", "end"]] = "end"

    kind: Literal["denoising"] = "denoising"
    infill: float = 0.3
    mean_length: float = 3.0  # of infilled spans, in words
    permute_sentences: float = 1.0
    mask: float = 0.0
    substitute: float = 0.0
    reorder: float = 0.0
    window: int = 0  # reorder runs of so many tokens; 0: the chosen tokens among each other
    delete: float = 0.0
    insert: float = 0.0
    rotate: float = 0.0
    random: float = 0.0

    def __post_init__(self) -> None:
        for name in RATES:
            if not 0 <= getattr(self, name) < 1:
                raise SettingsError(
                    f"objective.{name} = {getattr(self, name)}: it must lie between 0 (none) and 1, such as 0.15"
                )
        for name in SHARES:
            if not 0 <= getattr(self, name) <= 1:
                raise SettingsError(f"objective.{name} = {getattr(self, name)}: it is a share, from 0 to 1")
        if self.infill + self.mask + self.substitute + self.reorder + self.delete > 1 + 1e-9:
            raise SettingsError(
                "objective.infill, mask, substitute, reorder and delete sum to more than 1: a token is corrupted once"
            )
        if not any(getattr(self, name) for name in (*RATES, "permute_sentences", "rotate")):
            raise SettingsError("the denoising objective has no noise: set objective.infill or another rate")
        if not 0 < self.mean_length <= 100:
            raise SettingsError(f"objective.mean_length = {self.mean_length}: it must be above 0 and at most 100")
        if self.window < 0 or self.window == 1:
            raise SettingsError(f"objective.window = {self.window}: it must be 0 (no windows) or at least 2")

    def layout(self, tokenizer: Tokenizer, length: int) -> Layout:
        """Rows that leave room for the begin and the end token, and for what is inserted."""
        begin, _, _ = _specials(tokenizer, self)
        room = length - 1 - (begin is not None)
        raw = room
        while raw > 0 and raw + round(raw * self.insert) > room:
            raw -= 1
        if raw < 2:
            raise SettingsError(f"rows of {length} tokens leave no text to denoise: make model.context larger")
        for name, least in (("mean_length", self.mean_length if self.infill else 0), ("window", self.window)):
            if least > raw:
                raise SettingsError(f"objective.{name} = {least:g} is longer than the {raw} tokens of a row")
        return Layout("stream", raw)

    def heads(self, config: Config) -> dict[str, nn.Module]:
        """None of its own; refuses a model that is not an encoder-decoder."""
        refuse_others("denoising", config)
        return {}

    def corrupt(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Edited:
        """(B, T) texts to corrupted ones, with the place in the original that each token comes from."""
        real = rows.documents >= 0
        fixed = np.isin(rows.tokens, sorted(tokenizer.controls))
        texts = Edited.of(rows.tokens, real, fixed)
        width, vocabulary = rows.tokens.shape[1], text_tokens(tokenizer)
        number = {name: edits.counts(texts, getattr(self, name)) for name in RATES}
        words = vocabulary[draws.integers("denoising/words", width, len(vocabulary))]
        if self.permute_sentences:
            ends = sentence_ends(tokenizer)[texts.tokens] | (real & fixed)
            texts = edits.permute_sentences(texts, ends, self.permute_sentences, draws)
        if self.infill or self.mask:
            blank = _blank(tokenizer)
            fill = np.where(draws.uniform("denoising/random", width) < self.random, words, blank)
        if self.infill:
            at = word_numbers(texts.tokens, ~texts.free, tokenizer)
            texts = edits.infill(texts, at, self.infill, self.mean_length, draws, fill)
        if self.mask:
            texts = edits.mask(texts, number["mask"], draws, fill[:, : texts.tokens.shape[1]])
        if self.substitute:
            texts = edits.substitute(texts, number["substitute"], draws, vocabulary)
        if self.reorder:
            texts = edits.reorder(texts, number["reorder"], draws, self.window, np.zeros_like(texts.tokens))
        if self.delete:
            texts = edits.delete(texts, number["delete"], draws)
        if self.insert:
            texts = edits.insert(texts, number["insert"], draws, words)
        if self.rotate:
            turned = draws.uniform("denoising/rotated", 1)[:, 0] < self.rotate
            offsets = (draws.uniform("denoising/offset", 1)[:, 0] * texts.lengths).astype(np.int64)
            texts = edits.rotate(texts, np.where(turned, offsets, 0))
        return texts

    def batch(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        """The decoder's inputs are the original moved right by one, after the end token, as BART begins."""
        begin, end, _ = _specials(tokenizer, self)
        texts = (self.corrupt(rows, draws, tokenizer).ragged(), Ragged(rows.tokens, (rows.documents >= 0).sum(axis=1)))
        inputs, targets = (_opened(each, begin).closed(end) for each in texts)
        return pair_batch("denoising", inputs, targets, end, rows.draws)

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        return pair_loss("denoising", model, batch)


def _opened(texts: Ragged, begin: int | None) -> Ragged:
    if begin is None:
        return texts
    return Ragged(np.pad(texts.tokens, ((0, 0), (1, 0)), constant_values=begin), texts.lengths + 1)


def _blank(tokenizer: Tokenizer) -> int:
    """The mask token, or the first sentinel of a tokenizer without one, such as T5's; -1 if it has neither."""
    return tokenizer.mask if tokenizer.mask is not None else next(iter(tokenizer.sentinels), -1)


def _specials(tokenizer: Tokenizer, objective: Denoising) -> tuple[int | None, int, int]:
    """(begin, end, blank); T5's tokenizers have no begin token, and their rows go without."""
    blank = _blank(tokenizer)
    if tokenizer.end is None or (blank < 0 and (objective.infill or objective.mask)):
        raise SettingsError(
            "the denoising objective needs a tokenizer with an end token, and a mask token or sentinels: train one "
            "with `trivium tokenizer train`, or use BART's or T5's"
        )
    return tokenizer.begin, tokenizer.end, blank
