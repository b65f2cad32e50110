"""Scores of texts that were written against those that were wanted: what published figures of each kind of data are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from trivium.metrics import lead, translation
from trivium.metrics.rouge import TYPES, rouge_each, sentences_of
from trivium.metrics.translation import bleu, chrf
from trivium.text.examples import Rewrite

Scores = dict[str, float]
LEAD = 3  # sentences of the source that make the baseline
_SHOWN = ("rouge1", "rouge2", "rougeLsum")  # of the baseline: the three that papers report


@dataclass(frozen=True)
class TextMetric:
    """``score``: of the texts, in order, against their examples; ``main``: which of the scores chooses weights;
    ``signature``: of references, how the scores are computed, where there is a custom to say so."""

    score: Callable[[Sequence[str], Sequence[Rewrite]], Scores]
    main: str
    signature: Callable[[Sequence[Sequence[str]]], str] | None = None


def references(example: Rewrite) -> tuple[str, ...]:
    """All texts that would be right."""
    return (example.target, *example.others)


def summaries(said: Sequence[str], examples: Sequence[Rewrite]) -> Scores:
    """ROUGE without stemming, of texts with a line for each sentence, and that of the sources' first three sentences,
    which stand beside it under ``lead3_``: a summary that is worse than those says little."""
    each = [_overlaps(text, references(example)) for text, example in zip(said, examples, strict=True)]
    first = [_overlaps(lead(example.source, LEAD), references(example)) for example in examples]
    return {
        **{name: float(np.mean([scores[name] for scores in each])) for name in TYPES},
        **{f"lead{LEAD}_{name}": float(np.mean([scores[name] for scores in first])) for name in _SHOWN},
    }


@lru_cache(maxsize=1 << 14)
def _overlaps(text: str, golds: tuple[str, ...]) -> Mapping[str, float]:
    """F1 of each type; remembered, since the baseline stays and an interval draws the same texts hundreds of times."""
    found = rouge_each(_lines(text), [_lines(gold) for gold in golds])
    return {name: overlap.f1 for name, overlap in found.items()}


def by_words(said: Sequence[str], examples: Sequence[Rewrite]) -> Scores:
    """BLEU of the whole, from 0 to 100."""
    return {"bleu": bleu(said, [references(example) for example in examples])}


def by_characters(said: Sequence[str], examples: Sequence[Rewrite]) -> Scores:
    """chrF of the whole, from 0 to 100."""
    return {"chrf": chrf(said, [references(example) for example in examples])}


def _bleu_signature(golds: Sequence[Sequence[str]]) -> str:
    return f"BLEU {translation([''] * len(golds), golds).bleu_signature}"


def _chrf_signature(golds: Sequence[Sequence[str]]) -> str:
    return f"chrF {translation([''] * len(golds), golds).chrf_signature}"


def exact(said: Sequence[str], examples: Sequence[Rewrite]) -> Scores:
    """The share of texts that are just as one that is right, but for white space."""
    right = [
        any(text.split() == gold.split() for gold in references(example))
        for text, example in zip(said, examples, strict=True)
    ]
    return {"exact": sum(right) / len(right)}


TEXT_METRICS: Mapping[str, TextMetric] = {
    "rouge": TextMetric(summaries, "rougeLsum"),
    "bleu": TextMetric(by_words, "bleu", _bleu_signature),
    "chrf": TextMetric(by_characters, "chrf", _chrf_signature),
    "exact": TextMetric(exact, "exact"),
}
"""By the names that the task's setting ``metric`` has for them."""


def _lines(text: str) -> str:
    return "\n".join(sentences_of(text))
