"""Metrics: lists in, numbers out, from 0 to 1 unless said. ``METRICS`` names the functions, ``LOWER_IS_BETTER`` the
scores that are better when low."""

from collections.abc import Callable
from typing import Any

from trivium.metrics.answers import best_threshold, exact_match, multirc, record, squad, token_f1
from trivium.metrics.calibration import calibration
from trivium.metrics.classification import binary_f1, classification, confusion, multi_label
from trivium.metrics.correlation import pearson, regression, spearman
from trivium.metrics.diversity import diversity
from trivium.metrics.entities import entities, entity_scores, span_scores
from trivium.metrics.intervals import Interval, paired_bootstrap, paired_t, student_t, wilson
from trivium.metrics.likelihood import likelihood
from trivium.metrics.rouge import lead, rouge
from trivium.metrics.significance import (
    McNemar,
    benjamini_hochberg,
    holm,
    mcnemar,
    minimal_detectable,
    paired_permutation,
    paired_t_p,
)
from trivium.metrics.translation import translation

METRICS: dict[str, Callable[..., Any]] = {
    "classification": classification,
    "binary_f1": binary_f1,
    "multi_label": multi_label,
    "regression": regression,
    "calibration": calibration,
    "entity_scores": entity_scores,
    "span_scores": span_scores,
    "squad": squad,
    "multirc": multirc,
    "record": record,
    "rouge": rouge,
    "translation": translation,
    "likelihood": likelihood,
    "diversity": diversity,
}

LOWER_IS_BETTER = frozenset(
    "loss perplexity word_perplexity bits_per_byte bits_per_character mse ece mce brier".split()
)
"""Names of scores; of all others higher is better."""

__all__ = [
    "LOWER_IS_BETTER",
    "METRICS",
    "Interval",
    "McNemar",
    "benjamini_hochberg",
    "best_threshold",
    "binary_f1",
    "calibration",
    "classification",
    "confusion",
    "diversity",
    "entities",
    "entity_scores",
    "exact_match",
    "holm",
    "lead",
    "likelihood",
    "mcnemar",
    "minimal_detectable",
    "multi_label",
    "multirc",
    "paired_bootstrap",
    "paired_permutation",
    "paired_t",
    "paired_t_p",
    "pearson",
    "record",
    "regression",
    "rouge",
    "span_scores",
    "spearman",
    "squad",
    "student_t",
    "token_f1",
    "translation",
    "wilson",
]
