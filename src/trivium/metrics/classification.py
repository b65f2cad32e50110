"""Accuracy, F1 and Matthews correlation: two lists of labels in, numbers out. Undefined quotients (0 / 0) are 0."""

from collections.abc import Collection, Hashable, Sequence

import numpy as np


def confusion(gold: Sequence[Hashable], predicted: Sequence[Hashable]) -> tuple[list[Hashable], np.ndarray]:
    """(labels, (K, K) counts): rows are gold, columns predicted, labels in order of first appearance."""
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold labels but {len(predicted)} predictions")
    if not gold:
        raise ValueError("no examples to score")
    labels = list(dict.fromkeys([*gold, *predicted]))
    number = {label: i for i, label in enumerate(labels)}
    counts = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(counts, ([number[g] for g in gold], [number[p] for p in predicted]), 1)
    return labels, counts


def classification(gold: Sequence[Hashable], predicted: Sequence[Hashable]) -> dict[str, float]:
    """Accuracy, macro F1 (over every label met), micro F1 (equal to accuracy for one label an example) and Matthews."""
    _, counts = confusion(gold, predicted)
    right, golds, guesses = np.diag(counts), counts.sum(1), counts.sum(0)
    accuracy = float(right.sum() / counts.sum())
    f1 = 2 * right / np.maximum(golds + guesses, 1)
    return {"accuracy": accuracy, "macro_f1": float(f1.mean()), "micro_f1": accuracy, "matthews": _matthews(counts)}


def binary_f1(gold: Sequence[Hashable], predicted: Sequence[Hashable], positive: Hashable = 1) -> dict[str, float]:
    """Precision, recall and F1 of one label (GLUE's MRPC and QQP: 1)."""
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold labels but {len(predicted)} predictions")
    right = sum(g == p == positive for g, p in zip(gold, predicted, strict=True))
    wanted, guessed = sum(g == positive for g in gold), sum(p == positive for p in predicted)
    return {
        "precision": right / guessed if guessed else 0.0,
        "recall": right / wanted if wanted else 0.0,
        "f1": 2 * right / (wanted + guessed) if wanted + guessed else 0.0,
    }


def multi_label(gold: Sequence[Collection[Hashable]], predicted: Sequence[Collection[Hashable]]) -> dict[str, float]:
    """Of sets of labels: ``accuracy`` counts sets that are right as a whole; F1 over all decisions, and the unweighted
    mean over the labels that occur."""
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold sets but {len(predicted)} predictions")
    if not gold:
        raise ValueError("no examples to score")
    pairs = [(set(g), set(p)) for g, p in zip(gold, predicted, strict=True)]
    labels = set().union(*(g | p for g, p in pairs))
    f1 = []
    for label in labels:
        right = sum(label in g and label in p for g, p in pairs)
        f1.append(2 * right / sum((label in g) + (label in p) for g, p in pairs))
    hits, total = sum(len(g & p) for g, p in pairs), sum(len(g) + len(p) for g, p in pairs)
    return {
        "accuracy": sum(g == p for g, p in pairs) / len(pairs),
        "micro_f1": 2 * hits / total if total else 0.0,
        "macro_f1": float(np.mean(f1)) if f1 else 0.0,
    }


def _matthews(counts: np.ndarray) -> float:
    """Matthews correlation for any number of classes (Gorodkin 2004); 0 for a constant prediction."""
    total, right = float(counts.sum()), float(np.trace(counts))
    golds, guesses = counts.sum(1).astype(float), counts.sum(0).astype(float)
    spread = (total**2 - guesses @ guesses) * (total**2 - golds @ golds)
    return float((right * total - golds @ guesses) / spread**0.5) if spread > 0 else 0.0
