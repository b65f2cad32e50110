"""SpanBERT (Joshi et al. 2020): BERT's layout with the cased vocabulary, and no next-sentence head.

The head of its objective, which predicts a span from its borders, was published for no size: it is an objective's
module (``transformer/span_boundary_head.py``), not a part of the encoder.
"""

from dataclasses import replace

from trivium.families.bert import BERT

SPANBERT = replace(
    BERT,
    name="spanbert",
    paper="Joshi et al. 2020, SpanBERT: Improving Pre-training by Representing and Predicting Spans",
    sizes={
        "tiny": BERT.sizes["tiny"],
        "mini": BERT.sizes["mini"],
        "base": BERT.sizes["base-cased"],
        "large": BERT.sizes["large-cased"],
    },
    size_aliases={},
    known_as={"spanbert-base-cased": "base", "spanbert-large-cased": "large"},
)
