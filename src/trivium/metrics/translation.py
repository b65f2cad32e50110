"""BLEU (Papineni et al. 2002) and chrF (Popović 2015), computed by sacrebleu, with the signatures that make them
comparable (Post 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from trivium.extras import extra_module

NEED = "BLEU and chrF need sacrebleu"


@dataclass(frozen=True)
class Translated:
    """Corpus scores, from 0 to 100, and how they were computed."""

    bleu: float
    chrf: float
    bleu_signature: str
    chrf_signature: str


def translation(
    predicted: Sequence[str], golds: Sequence[str | Sequence[str]], tokenize: str = "13a", lowercase: bool = False
) -> Translated:
    """``golds``: a reference for each text, or several. ``tokenize``: sacrebleu's: 13a, intl (T5's), zh ..."""
    metrics = extra_module("sacrebleu.metrics", "eval", NEED)
    if len(predicted) != len(golds):
        raise ValueError(f"{len(predicted)} predictions but {len(golds)} references")
    if not predicted:
        raise ValueError("no texts to score")
    listed = [[gold] if isinstance(gold, str) else list(gold) for gold in golds]
    most = max(map(len, listed))
    streams = [[each[i] if i < len(each) else None for each in listed] for i in range(most)]
    bleu, chrf = metrics.BLEU(tokenize=tokenize, lowercase=lowercase), metrics.CHRF(lowercase=lowercase)
    scores = [metric.corpus_score(list(predicted), streams).score for metric in (bleu, chrf)]
    return Translated(scores[0], scores[1], str(bleu.get_signature()), str(chrf.get_signature()))


def bleu(predicted: Sequence[str], golds: Sequence[Sequence[str]]) -> float:
    """Of ``translation`` BLEU alone, from each text's counts, which are remembered: for draws of the same texts."""
    counts = [_counts(said, tuple(each)) for said, each in zip(predicted, golds, strict=True)]
    if not counts:
        raise ValueError("no texts to score")
    right, total, said_length, gold_length = (np.sum(each, axis=0).tolist() for each in zip(*counts, strict=True))
    metric = extra_module("sacrebleu.metrics", "eval", NEED).BLEU
    score: float = metric.compute_bleu(right, total, said_length, gold_length, smooth_method="exp").score
    return score


@lru_cache(maxsize=1 << 14)
def _counts(said: str, golds: tuple[str, ...]) -> tuple[list[int], list[int], int, int]:
    """N-grams that are right and all of them, by their length, and the lengths of the text and of its closest gold."""
    found = extra_module("sacrebleu.metrics", "eval", NEED).BLEU().corpus_score([said], [[gold] for gold in golds])
    return found.counts, found.totals, found.sys_len, found.ref_len
