"""Metrics: lists in, numbers out. ``METRICS`` names those that take gold and predicted labels."""

from trivium.metrics.classification import binary_f1, classification, confusion
from trivium.metrics.intervals import Interval, paired_bootstrap, paired_t, student_t, wilson
from trivium.metrics.likelihood import likelihood

METRICS = {"classification": classification, "binary_f1": binary_f1}

__all__ = [
    "METRICS",
    "Interval",
    "binary_f1",
    "classification",
    "confusion",
    "likelihood",
    "paired_bootstrap",
    "paired_t",
    "student_t",
    "wilson",
]
