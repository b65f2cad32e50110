"""What a model makes of what it has read: the cost of a token by how many stand before it, and of tokens seen before.

A text is cut into passages that fill a context, each read from its beginning. With more before it a token costs less:
the in-context learning of Olsson et al. (2022), which grows with a model's size in Kaplan et al. (2020, appendix D.5).
Both compare tokens at two places of a text; the gain here is of the same tokens, read again with few before them, so
that it is not one of easier tokens and needs far less text. To tell copying from understanding, tokens of each passage
are put into a random order and shown twice (Olsson et al. 2022, "induction heads"): only who looks back knows the
second copy. All costs are in bits a byte, so that models with different tokenizers compare.

N passages, T tokens of one that are predicted, L tokens that are shown twice.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.evaluation.language_modelling import read_text
from trivium.evaluation.resampling import quotient, scored
from trivium.evaluation.scorer import Scorer
from trivium.evaluation.suite import Measured, Run
from trivium.generation.prompts import beginning
from trivium.generation.score import answers
from trivium.generation.score_rows import Question
from trivium.randomness import Draws, key
from trivium.tokenizers import Tokenizer

SHORT = "bits_per_byte_shortened"
FIRST, SECOND = "first_copy_bits_per_byte", "second_copy_bits_per_byte"
Costs = tuple[np.ndarray, np.ndarray]  # (N,) bits of each passage's tokens, and the bytes that they are


@dataclass(frozen=True)
class ContextUse:
    """``context``: tokens of a passage, None for the model's. ``early``: the gain is measured against so many, up to
    twice as many, tokens before. ``copied``: tokens that are shown twice, None for a quarter of the context."""

    settings: ClassVar[tuple[str, ...]] = ("context", "early", "copied", "seed")
    main: ClassVar[tuple[str, ...]] = ("gain",)

    context: int | None = None
    early: int = 8
    copied: int | None = None
    seed: int = 0
    files: tuple[str, ...] = ()

    def run(self, scorer: Scorer, path: Path, limit: int | None) -> Run:
        """Rows are lines."""
        if scorer.kind != "decoder":
            raise SettingsError(f"this is for models that read from left to right, and this is an {scorer.kind}")
        context, copied = self._sizes(scorer)
        text, count = read_text(path, limit)
        begin = beginning(scorer.tokenizer)
        ids, sizes = _cut(scorer.tokenizer, text, context + 1 - len(begin))
        if not len(ids):
            raise DataError(f"{path} is too short for one passage of {context} tokens: give more text, or set context")
        bands = self._read(scorer, begin, ids, sizes)
        last, copies = max(bands), self._copies(scorer, begin, ids, sizes, copied)
        short = self._shortened(scorer, begin, ids, last), bands[last][1]
        columns = {**{_name(start): each for start, each in bands.items()}, SHORT: short, **copies}

        def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
            cost = {name: quotient(weights @ bits, weights @ bytes_) for name, (bits, bytes_) in columns.items()}
            return {"gain": cost[SHORT] - cost[_name(last)], **cost, "copying": cost[FIRST] - cost[SECOND]}

        how = {"context": str(context), "early": str(self.early), "late": str(last), "copied": str(copied),
               "seed": str(self.seed), "passages": str(len(ids))}  # fmt: skip
        note = (
            f"gain: of tokens with {last} and more before them, against {self.early} to {2 * self.early - 1} alone; "
            "copying: of the second copy against the first"
        )
        return Run(Measured(scored(len(ids), measure, self.main), how, (note,)), count, count)

    def _sizes(self, scorer: Scorer) -> tuple[int, int]:
        """Tokens of a passage, and those that are shown twice."""
        config = scorer.model.config
        context = self.context or config.context
        if context < 16 or config.limit is not None and context > config.limit:
            raise SettingsError(f"context is {context}: it must be from 16 to what this model reads, {config.context}")
        last = _starts(context)[-1]
        if self.early not in _starts(context)[:-1]:
            raise SettingsError(f"early is {self.early}: it must be a power of two below {last} (context = {context})")
        copied = context // 4 if self.copied is None else self.copied
        if not 2 <= copied <= context // 2:
            raise SettingsError(f"copied is {copied}: it must be at least 2 and at most half of context = {context}")
        return context, copied

    def _read(
        self, scorer: Scorer, begin: Sequence[int], ids: np.ndarray, sizes: np.ndarray
    ) -> dict[int, Costs]:
        """By the fewest tokens before, 1, 2, 4 ..., the (N,) bits of each passage's tokens and the bytes they are."""
        rows = [(*begin, *row) for row in ids.tolist()]
        places = range(len(rows[0]) - 1)
        costs = _bits(scorer, [Question(row[:-1], tuple(places), row[1:], known=1) for row in rows])  # (N, T)
        bytes_ = np.pad(sizes, ((0, 0), (len(begin), 0)))[:, 1:]  # (N, T)
        starts = _starts(len(places))
        ends = [*(start - 1 for start in starts[1:]), len(places)]  # the last ones: all the rest
        return {
            start: (costs[:, start - 1 : end].sum(axis=1), bytes_[:, start - 1 : end].sum(axis=1))
            for start, end in zip(starts, ends, strict=True)
        }

    def _shortened(self, scorer: Scorer, begin: Sequence[int], ids: np.ndarray, last: int) -> np.ndarray:
        """(N,) bits of the last band's tokens, a few at a time, each with ``early`` and less than twice as many before
        it."""
        known, questions = max(len(begin), self.early), []
        for passage in ids.tolist():
            row = (*begin, *passage)
            for at in range(last, len(row), self.early):
                piece = (*begin, *row[at - known + len(begin) : at + self.early])
                places = tuple(range(known - 1, len(piece) - 1))
                questions.append(Question(piece[:-1], places, piece[known:], known=1))
        found = answers(scorer.model, questions, scorer.tokens)
        costs = np.array([-each.log_probability for each in found]) / math.log(2)
        return costs.reshape(len(ids), -1).sum(axis=1)

    def _copies(
        self, scorer: Scorer, begin: Sequence[int], ids: np.ndarray, sizes: np.ndarray, copied: int
    ) -> dict[str, Costs]:
        """The same of both copies. What comes first in a copy is left out: nothing foretells it."""
        order = Draws(key(self.seed, "copies"), np.arange(len(ids))).bits("order", copied).argsort(axis=1)
        mixed, bytes_ = (np.take_along_axis(each[:, :copied], order, axis=1) for each in (ids, sizes))
        rows = [(*begin, *row, *row) for row in mixed.tolist()]
        first = range(len(begin), len(begin) + copied - 1)
        places = (*first, *(place + copied for place in first))
        questions = [Question(row[:-1], places, tuple(row[at + 1] for at in places), known=1) for row in rows]
        both = _bits(scorer, questions).reshape(len(rows), 2, -1).sum(axis=2)
        return {name: (both[:, copy], bytes_[:, 1:].sum(axis=1)) for copy, name in enumerate((FIRST, SECOND))}


def _starts(context: int) -> list[int]:
    """The fewest tokens before of each band: 1, 2, 4 ... and the last one, which takes all the rest."""
    return [1 << power for power in range(context.bit_length() - 1)]


def _name(start: int) -> str:
    """Of a band, by the fewest tokens before."""
    return f"bits_per_byte_from_{start}"


def _bits(scorer: Scorer, questions: Sequence[Question]) -> np.ndarray:
    """What each target of each question costs."""
    found = answers(scorer.model, questions, scorer.tokens)
    return -np.array([each.log_probabilities for each in found]) / math.log(2)


def _cut(tokenizer: Tokenizer, text: str, length: int) -> tuple[np.ndarray, np.ndarray]:
    """(N, length) ids of the whole passages in a text, and of each token how many bytes of the text it stands for: up
    to where the next one begins."""
    read = tokenizer.encode(text)
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    widths = 1 + (codes >= 0x80) + (codes >= 0x800) + (codes >= 0x10000)
    before = np.concatenate([[0], np.cumsum(widths)])  # bytes before each character
    starts = np.array([start for start, _ in read.offsets] + [len(text)], np.int64)
    whole = len(read.ids) // length * length
    sizes = np.diff(before[starts])[:whole]
    return np.array(read.ids[:whole], np.int64).reshape(-1, length), sizes.reshape(-1, length)
