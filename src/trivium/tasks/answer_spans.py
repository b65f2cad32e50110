"""From scores of tokens to an answer: the best spans of all windows of a passage, as characters of the original text.

BERT's run_squad.py: each window's best places to begin and to end are combined; an answer begins where its window
gives most context, ends in the passage, not before it begins, and is not too long. The same text is kept once. Beside
it: only places that may begin or end an answer compete to be among a window's best, so no candidate is lost to the
question or to padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trivium.tasks.passages import Passage
from trivium.text.examples import Question

SHOWN = 0.01  # the probability from which on an alternative is among what is printed


class Best(NamedTuple):
    """What one window says: its best places, as numbers of the passage's tokens; K of each, the score -inf where there
    are fewer."""

    starts: np.ndarray  # (K,) scores
    firsts: np.ndarray  # (K,)
    ends: np.ndarray  # (K,) scores
    lasts: np.ndarray  # (K,)
    nowhere: float  # the score of the answer not being here
    loss: float = 0.0  # against the target, where there is one


class Span(NamedTuple):
    """A possible answer: ``text`` is the passage's from ``start`` up to, not with, ``end``."""

    text: str
    start: int
    end: int
    score: float
    probability: float


@dataclass(frozen=True, eq=False)
class Answered:
    """``spans``: the possible answers, best first, with probabilities that sum to 1, together with ``no_answer`` where
    there may be none. ``margin``: how much better none is than the best span, in scores."""

    example: Question
    spans: tuple[Span, ...]
    threshold: float | None  # the margin above which there is no answer; None: there always is one
    no_answer: float  # a probability
    margin: float
    loss: float = 0.0  # the mean of the windows', where the true answer was known

    @property
    def answer(self) -> Span | None:
        """None: there is no answer in the passage."""
        return self.decided(self.threshold)

    def decided(self, threshold: float | None) -> Span | None:
        """The answer by another threshold."""
        silent = threshold is not None and self.margin > threshold
        return None if silent or not self.spans else self.spans[0]

    def row(self) -> dict[str, object]:
        """Probabilities to six digits; the other spans that are not improbable as ``alternatives``."""
        said = self.answer
        chance = self.no_answer if said is None else said.probability
        others = [span for span in self.spans if span is not said and span.probability >= SHOWN]
        shown: dict[str, object] = {
            "answer": "" if said is None else said.text,
            "start": None if said is None else said.start,
            "end": None if said is None else said.end,
            "probability": round(chance, 6),
        }
        if self.threshold is not None:
            shown["no_answer_probability"] = round(self.no_answer, 6)
        return shown | {"alternatives": [_alternative(span) for span in others]}


def _alternative(span: Span) -> dict[str, object]:
    return {"answer": span.text, "start": span.start, "end": span.end, "probability": round(span.probability, 6)}


def best_places(scores: Tensor, own: Tensor, within: Tensor, shift: Tensor, nowhere: Tensor, keep: int) -> list[Best]:
    """Of (B, T, 2) scores. ``own``, ``within``: (B, T) where an answer may begin and where it may end; ``shift``: (B,)
    what makes a place the number of the passage's token; ``nowhere``: (B,) a place."""
    scores = F.pad(scores, (0, 0, 0, max(0, keep - scores.shape[1])))
    missing = scores.shape[1] - own.shape[1]
    starts = scores[..., 0].masked_fill(~F.pad(own, (0, missing)), -torch.inf).topk(keep, 1)
    ends = scores[..., 1].masked_fill(~F.pad(within, (0, missing)), -torch.inf).topk(keep, 1)
    silent = scores.gather(1, nowhere[:, None, None].expand(-1, 1, 2)).sum((1, 2))
    parts = starts.values, starts.indices + shift[:, None], ends.values, ends.indices + shift[:, None], silent
    rows = zip(*(part.detach().cpu().numpy() for part in parts), strict=True)
    return [Best(begin, first, end, last, float(silence)) for begin, first, end, last, silence in rows]


def answered(
    example: Question, passage: Passage, found: Sequence[Best], keep: int, max_answer: int, threshold: float | None
) -> Answered:
    """From all windows of a passage."""
    spans = ranked(passage, found, keep, max_answer)
    silent = min(best.nowhere for best in found)
    scores = np.array([score for *_, score in spans] + ([silent] if threshold is not None or not spans else []))
    chances = np.exp(scores - scores.max())
    chances /= chances.sum()
    made = tuple(Span(*span, float(chance)) for span, chance in zip(spans, chances, strict=False))
    margin = silent - spans[0][3] if spans else np.inf
    no_answer = float(chances[-1]) if len(scores) > len(spans) else 0.0
    loss = float(np.mean([best.loss for best in found]))
    return Answered(example, made, threshold, no_answer, float(margin), loss)


def ranked(
    passage: Passage, found: Sequence[Best], keep: int, max_answer: int
) -> list[tuple[str, int, int, float]]:
    """The ``keep`` best answers with different texts: text, start, end, score."""
    starts, firsts, ends, lasts = (np.stack([best[part] for best in found]) for part in range(4))
    scores = starts[:, :, None].astype(np.float64) + ends[:, None, :]  # (windows, K, K)
    widths = lasts[:, None, :] - firsts[:, :, None]
    window, first, last = np.nonzero((widths >= 0) & (widths < max_answer) & (scores > -np.inf))
    order = np.argsort(-scores[window, first, last], kind="stable")
    spans: dict[str, tuple[str, int, int, float]] = {}
    for place in order:
        w, f, g = window[place], first[place], last[place]
        start, end = passage.span(firsts[w, f], lasts[w, g])
        text = passage.text[start:end]
        if text and text not in spans:
            spans[text] = (text, start, end, float(scores[w, f, g]))
            if len(spans) == keep:
                break
    return list(spans.values())
