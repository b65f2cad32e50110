"""How much examples count in training, by their class, where some classes are rare."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from trivium.errors import SettingsError

ClassWeights = Literal["balanced"] | dict[str, float] | None
"""By class, 1 where none is said; "balanced": so much that every class counts the same in all."""


def check_weights(weights: ClassWeights) -> None:
    for label, weight in weights.items() if isinstance(weights, dict) else ():
        if not 0 < weight < math.inf:
            raise SettingsError(f"class_weights has {weight} for {label!r}: it must be above 0, and finite")


def learnt_weights(weights: ClassWeights, labels: Sequence[str], counts: Mapping[str, int]) -> dict[str, float] | None:
    """``counts``: how often training has each class. Balanced weights are 1 on average over the examples."""
    if weights == "balanced":
        known = {label: counts[label] for label in labels if counts.get(label)}
        return {label: sum(known.values()) / (len(known) * count) for label, count in known.items()}
    for label in weights or ():
        if label not in labels:
            raise SettingsError(
                f"class_weights names {label!r}, which training does not have: choose among {', '.join(labels[:20])}"
            )
    return weights


def weight_vector(weights: ClassWeights, labels: Sequence[str], like: Tensor) -> Tensor | None:
    """(K,) in the order of ``labels``."""
    if not isinstance(weights, dict):
        return None
    return torch.tensor([weights.get(label, 1.0) for label in labels], device=like.device, dtype=like.dtype)
