"""Pretraining objectives, one file each; ``OBJECTIVES`` is the table that recipes name them by, ``KINDS`` that with
mixtures of them."""

from trivium.objectives.bidirectional import Bidirectional
from trivium.objectives.causal import Causal
from trivium.objectives.corruption import Corruption
from trivium.objectives.distillation import Distillation, Taught
from trivium.objectives.masked import Masked
from trivium.objectives.mixed import Mixed
from trivium.objectives.objective import Batch, Loss, Objective
from trivium.objectives.permutation import Permutation

OBJECTIVES: dict[str, type[Objective]] = {
    "causal": Causal,
    "masked": Masked,
    "corruption": Corruption,
    "bidirectional": Bidirectional,
    "permutation": Permutation,
    "distillation": Distillation,
}

KINDS: dict[str, type[Objective] | type[Mixed]] = {**OBJECTIVES, "mixed": Mixed}

__all__ = [
    "KINDS",
    "OBJECTIVES",
    "Batch",
    "Bidirectional",
    "Causal",
    "Corruption",
    "Distillation",
    "Loss",
    "Masked",
    "Mixed",
    "Objective",
    "Permutation",
    "Taught",
]
