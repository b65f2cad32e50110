"""Scores of texts that were written against those that were wanted: what published figures of each kind of data are."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trivium.metrics import lead, rouge, translation
from trivium.metrics.rouge import sentences_of
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
    which stand beside it under ``lead3_``: a summary that is worse than those says little. ``distinct``: how many
    different texts there are for each one; a model that does not read its source says always the same."""
    golds = [[_lines(each) for each in references(example)] for example in examples]
    first = rouge([lead(example.source, LEAD) for example in examples], golds)
    return {
        **rouge([_lines(text) for text in said], golds),
        **{f"lead{LEAD}_{name}": first[name] for name in _SHOWN},
        "distinct": len(set(said)) / len(said),
    }


def translations(said: Sequence[str], examples: Sequence[Rewrite]) -> Scores:
    """BLEU and chrF of the whole, from 0 to 100."""
    found = translation(said, [references(example) for example in examples])
    return {"bleu": found.bleu, "chrf": found.chrf}


def translation_signature(golds: Sequence[Sequence[str]]) -> str:
    found = translation([""] * len(golds), golds)
    return f"BLEU {found.bleu_signature}; chrF {found.chrf_signature}"


def exact(said: Sequence[str], examples: Sequence[Rewrite]) -> Scores:
    """The share of texts that are just as one that is right, but for white space."""
    right = [
        any(text.split() == gold.split() for gold in references(example))
        for text, example in zip(said, examples, strict=True)
    ]
    return {"exact": sum(right) / len(right)}


TEXT_METRICS: Mapping[str, TextMetric] = {
    "rouge": TextMetric(summaries, "rougeLsum"),
    "bleu": TextMetric(translations, "bleu", translation_signature),
    "chrf": TextMetric(translations, "chrf", translation_signature),
    "exact": TextMetric(exact, "exact"),
}
"""By the names that the task's setting ``metric`` has for them."""


def _lines(text: str) -> str:
    return "\n".join(sentences_of(text))
