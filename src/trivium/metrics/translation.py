"""BLEU (Papineni et al. 2002) and chrF (Popović 2015), computed by sacrebleu, with the signatures that make them
comparable (Post 2018).
"""

from collections.abc import Sequence
from dataclasses import dataclass

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
