"""BLEU (Papineni et al. 2002) and chrF (Popović 2015), computed by sacrebleu, with the signatures that make them
comparable (Post 2018).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from trivium.extras import extra_module

NEED = "BLEU and chrF need sacrebleu"
CHARACTERS, BETA = 6, 2  # of chrF: the longest sequence, and how much more recall counts than precision


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
    return float(bleu_of(bleu_counts(predicted, golds).sum(axis=0, keepdims=True))[0])


def chrf(predicted: Sequence[str], golds: Sequence[Sequence[str]]) -> float:
    """The same of chrF."""
    return float(chrf_of(chrf_counts(predicted, golds).sum(axis=0, keepdims=True))[0])


def bleu_counts(
    predicted: Sequence[str], golds: Sequence[Sequence[str]], tokenize: str = "13a", lowercase: bool = False
) -> np.ndarray:
    """(N, 10) of each text: n-grams that are right and all of them, by their length, and the lengths of the text and of
    its closest gold. BLEU is a function of their sums."""
    pairs = zip(predicted, golds, strict=True)
    return _together([_bleu_counts(said, tuple(each), tokenize, lowercase) for said, each in pairs])


def chrf_counts(predicted: Sequence[str], golds: Sequence[Sequence[str]], lowercase: bool = False) -> np.ndarray:
    """(N, 18) of each text and the gold that it is nearest to, for sequences of 1 to 6 characters: the text's, the
    gold's and those in common. chrF is a function of their sums."""
    pairs = zip(predicted, golds, strict=True)
    return _together([_chrf_counts(said, tuple(each), lowercase) for said, each in pairs])


def bleu_of(sums: np.ndarray) -> np.ndarray:
    """(R, 10) sums of counts to (R,) scores from 0 to 100."""
    metric = extra_module("sacrebleu.metrics", "eval", NEED).BLEU
    rows = ((row[:4], row[4:8], row[8], row[9]) for row in np.rint(sums).astype(int).tolist())
    return np.array([metric.compute_bleu(*each, smooth_method="exp").score for each in rows])


def chrf_of(sums: np.ndarray) -> np.ndarray:
    """(R, 18) sums of counts to (R,) scores from 0 to 100: F2 of the mean precision and the mean recall, over the
    lengths of which both sides have sequences."""
    said, gold, common = sums.reshape(len(sums), CHARACTERS, 3).transpose(2, 0, 1)  # (R, 6) each
    known = (said > 0) & (gold > 0)
    lengths = np.maximum(known.sum(axis=1), 1)
    precision, recall = (
        np.divide(common, all_, out=np.zeros(common.shape), where=known).sum(axis=1) / lengths for all_ in (said, gold)
    )
    below = BETA**2 * precision + recall
    above = 100 * (1 + BETA**2) * precision * recall
    return np.divide(above, below, out=np.zeros(len(sums)), where=below > 0)


def _together(rows: Sequence[tuple[int, ...]]) -> np.ndarray:
    if not rows:
        raise ValueError("no texts to score")
    return np.array(rows, np.float64)


@lru_cache(maxsize=1 << 14)
def _bleu_counts(said: str, golds: tuple[str, ...], tokenize: str, lowercase: bool) -> tuple[int, ...]:
    metric = extra_module("sacrebleu.metrics", "eval", NEED).BLEU(tokenize=tokenize, lowercase=lowercase)
    found = metric.corpus_score([said], [[gold] for gold in golds])
    return (*found.counts, *found.totals, found.sys_len, found.ref_len)


@lru_cache(maxsize=1 << 14)
def _chrf_counts(said: str, golds: tuple[str, ...], lowercase: bool) -> tuple[int, ...]:
    found = [_in_common(*("".join((t.lower() if lowercase else t).split()) for t in (said, gold))) for gold in golds]
    return found[int(chrf_of(np.array(found, np.float64)).argmax())]


def _in_common(said: str, gold: str) -> tuple[int, ...]:
    counts: list[int] = []
    for n in range(1, CHARACTERS + 1):
        here, there = (Counter(text[i : i + n] for i in range(len(text) - n + 1)) for text in (said, gold))
        counts += (here.total() if there else 0, there.total(), (here & there).total())
    return tuple(counts)
