"""Suites of plain text: perplexity per token and per word, bits per byte and character, and for encoders the
pseudo-perplexity (Salazar et al. 2020) or the perplexity of masked tokens.

Windows slide over the text (context and stride), each token is scored once, in the first window that holds it. Words,
bytes and characters are those of the file, also where its words are joined to text before they are read. Windows are
resampled for the interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.evaluation.detokenising import DETOKENISERS
from trivium.evaluation.resampling import Score, scored
from trivium.evaluation.scorer import Scorer
from trivium.evaluation.suite import Measured, Run, checked_file
from trivium.generation.prompts import beginning, frame
from trivium.generation.score import Score as TokenScore
from trivium.generation.score import answers
from trivium.generation.score_rows import Question
from trivium.metrics import likelihood
from trivium.randomness import Draws
from trivium.text.decoding import lines

NAMES = ("perplexity", "word_perplexity", "bits_per_byte", "bits_per_character")


@dataclass(frozen=True)
class LanguageModelling:
    """``context``: tokens of a window, None for the model's; ``stride``: how far windows move, None for half of it.
    ``ends``: the end of a line counts as a word, as in the published figures of word-level sets."""

    settings: ClassVar[tuple[str, ...]] = ("context", "stride", "normalisation")

    normalisation: Literal["none", "wikitext", "ptb"] = "none"
    ends: bool = False
    headline: str = "bits_per_byte"
    files: tuple[str, ...] = ()
    context: int | None = None
    stride: int | None = None

    @property
    def main(self) -> tuple[str, ...]:
        """The figure that published tables have."""
        return (self.headline,)

    def run(self, scorer: Scorer, path: Path, limit: int | None) -> Run:
        """Rows are lines."""
        text, count = read_text(path, limit)
        read = DETOKENISERS[self.normalisation](text)
        if scorer.kind == "encoder-decoder":
            raise SettingsError(
                "an encoder-decoder gives no probability to a text alone: evaluate it on what it was trained for, such "
                "as summaries, or by lambada, where it continues a prompt"
            )
        parts = scorer.text(read, self.context, self.stride)
        if not parts:
            raise DataError(f"{path} is too short for a token of it to be predicted: give more text")
        return Run(Measured(figures(parts, self.sizes(text)), self._conventions(scorer, parts)), count, count)

    def sizes(self, text: str) -> dict[str, int]:
        """Of the text as the file has it."""
        words = len(text.split()) + (text.count("\n") if self.ends else 0)
        return {"words": words, "characters": len(text), "bytes": len(text.encode())}

    def _conventions(self, scorer: Scorer, parts: Sequence[TokenScore]) -> dict[str, str]:
        config = scorer.model.config
        context = self.context or config.context
        if scorer.kind == "encoder":
            how = {"score": "pseudo-log-likelihood", "context": str(context)}
        elif config.limit is None and self.context is None:
            how = {"context": "all"}
        else:
            how = {"context": str(context), "stride": str(self.stride or max(1, context // 2))}
            how["first"] = "scored" if beginning(scorer.tokenizer) else "unscored"
        words = "spaces+line-ends" if self.ends else "spaces"
        return {**how, "norm": self.normalisation, "words": words, "tokens": str(sum(part.tokens for part in parts))}


def figures(parts: Sequence[TokenScore], sizes: dict[str, int]) -> dict[str, Score]:
    """From each window's score; every figure is a rising function of the mean cost of a token."""
    nats = np.array([-part.log_probability for part in parts])
    tokens = np.array([part.tokens for part in parts], float)
    count = int(tokens.sum())
    found = scored(len(parts), lambda weights: {"loss": weights @ nats / (weights @ tokens)}, ("loss",))["loss"]

    def of(loss: float | None, name: str) -> float | None:
        return None if loss is None else likelihood(loss * count, count, **sizes).get(name)

    known = [name for name in NAMES if of(found.value, name) is not None]
    scores = {"loss": found}
    for name in known:
        value, low, high = (of(loss, name) for loss in (found.value, found.low, found.high))
        assert value is not None
        scores[name] = Score(value, low, high)
    return scores


@dataclass(frozen=True)
class MaskedModelling:
    """For encoders: the perplexity of tokens that are masked together, a share ``rate`` of a text, each chosen by the
    seed and its place; exp of their mean cost. Figures of different rates do not compare, so the name says the rate."""

    settings: ClassVar[tuple[str, ...]] = ("rate", "context", "seed")

    rate: float = 0.15
    context: int | None = None
    seed: int = 0
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise SettingsError(f"rate = {self.rate}: it must be above 0 and below 1")

    @property
    def main(self) -> tuple[str, ...]:
        """The perplexity, with its rate."""
        return (f"masked_perplexity_at_{round(self.rate * 100, 6):g}",)

    def run(self, scorer: Scorer, path: Path, limit: int | None) -> Run:
        """Rows are lines."""
        if scorer.kind != "encoder":
            raise SettingsError(f"masked tokens are for encoders, and this is one of the kind {scorer.kind}: use text")
        text, count = read_text(path, limit)
        questions, context = self._questions(scorer, text)
        if not questions:
            raise DataError(f"{path}: no token of it was masked at a rate of {self.rate}: give more text")
        parts = answers(scorer.model, questions, scorer.tokens)
        loss = figures(parts, {})["loss"]
        low, high = (None if end is None else math.exp(end) for end in (loss.low, loss.high))
        value = Score(math.exp(loss.value), low, high)
        how = {"rate": f"{self.rate:g}", "context": str(context), "seed": str(self.seed), "mask": "all-masked",
               "tokens": str(sum(part.tokens for part in parts))}  # fmt: skip
        return Run(Measured({self.main[0]: value, "loss": loss}, how), count, count)

    def _questions(self, scorer: Scorer, text: str) -> tuple[list[Question], int]:
        """One for each piece of the text: all its masked places together."""
        tokenizer, context = scorer.tokenizer, self.context or scorer.model.config.context
        if tokenizer.mask is None:
            raise SettingsError("this model's tokenizer has no mask token, which an encoder's scores need")
        before, after = frame(tokenizer)
        room = context - len(before) - len(after)
        if room < 1:
            raise SettingsError(f"context is {context}: no text fits beside the control tokens; make it longer")
        ids = np.asarray(tokenizer.encode(text).ids, np.int64)
        hidden = Draws(self.seed, np.arange(len(ids))).uniform("masked evaluation", 1)[:, 0] < self.rate
        found = []
        for start in range(0, len(ids), room):
            piece, chosen = ids[start : start + room], np.flatnonzero(hidden[start : start + room])
            if len(chosen):
                row = np.concatenate([before, np.where(hidden[start : start + room], tokenizer.mask, piece), after])
                places = tuple((chosen + len(before)).tolist())
                found.append(Question(tuple(row.astype(int).tolist()), places, tuple(piece[chosen].tolist())))
        return found, context


def read_text(path: Path, limit: int | None) -> tuple[str, int]:
    """A file's text, or its first lines, and how many lines it has."""
    numbered = lines(checked_file(path), "strict")
    held = [line for _, line in (numbered if limit is None else islice(numbered, limit))]
    if not any(line.strip() for line in held):
        raise DataError(f"{path} has no text: give some")
    return "\n".join(held) + "\n", len(held)
