"""Pretraining objectives, one file each; ``OBJECTIVES`` is the table that recipes name them by, ``KINDS`` that with
mixtures of them."""

from trivium.objectives.bidirectional import Bidirectional
from trivium.objectives.causal import Causal
from trivium.objectives.cloze import Cloze
from trivium.objectives.corruption import Corruption
from trivium.objectives.denoising import Denoising
from trivium.objectives.distillation import Distillation, Taught
from trivium.objectives.masked import Masked
from trivium.objectives.mixed import Mixed
from trivium.objectives.next_sentence import NextSentence
from trivium.objectives.objective import Batch, Loss, Objective
from trivium.objectives.permutation import Permutation
from trivium.objectives.prefix import PrefixLanguageModel
from trivium.objectives.span_boundary import SpanBoundary

OBJECTIVES: dict[str, type[Objective]] = {
    "causal": Causal,
    "masked": Masked,
    "corruption": Corruption,
    "bidirectional": Bidirectional,
    "permutation": Permutation,
    "distillation": Distillation,
    "next_sentence": NextSentence,
    "span_boundary": SpanBoundary,
    "denoising": Denoising,
    "cloze": Cloze,
    "prefix": PrefixLanguageModel,
}

KINDS: dict[str, type[Objective] | type[Mixed]] = {**OBJECTIVES, "mixed": Mixed}

__all__ = [
    "KINDS",
    "OBJECTIVES",
    "Batch",
    "Bidirectional",
    "Causal",
    "Cloze",
    "Corruption",
    "Denoising",
    "Distillation",
    "Loss",
    "Masked",
    "Mixed",
    "NextSentence",
    "Objective",
    "Permutation",
    "PrefixLanguageModel",
    "SpanBoundary",
    "Taught",
]
