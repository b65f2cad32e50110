"""Pretraining objectives, one file each; ``OBJECTIVES`` is the table that recipes name them by."""

from trivium.objectives.bidirectional import Bidirectional
from trivium.objectives.causal import Causal
from trivium.objectives.corruption import Corruption
from trivium.objectives.masked import Masked
from trivium.objectives.next_sentence import NextSentence
from trivium.objectives.objective import Batch, Loss, Objective
from trivium.objectives.span_boundary import SpanBoundary

OBJECTIVES: dict[str, type[Objective]] = {
    "causal": Causal,
    "masked": Masked,
    "corruption": Corruption,
    "bidirectional": Bidirectional,
    "next_sentence": NextSentence,
    "span_boundary": SpanBoundary,
}

__all__ = [
    "OBJECTIVES",
    "Batch",
    "Bidirectional",
    "Causal",
    "Corruption",
    "Loss",
    "Masked",
    "NextSentence",
    "Objective",
    "SpanBoundary",
]
