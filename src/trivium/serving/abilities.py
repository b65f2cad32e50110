"""What a model can be asked: the words of ``house.ABILITIES`` that hold for it."""

from typing import TYPE_CHECKING

from trivium.tasks import (
    Answering,
    MultiLabel,
    MultipleChoice,
    Regression,
    Rewriting,
    SequenceClassification,
    SpanLabelling,
    SpanRelations,
    Tagging,
)
from trivium.verbs.reward_models import is_reward_model
from trivium.verbs.tuning import Tuned
from trivium.views.attention import stacks
from trivium.views.lens import has_lens

if TYPE_CHECKING:
    from trivium.tokenizers import Tokenizer
    from trivium.verbs.load import LanguageModel
    from trivium.verbs.predict import Predictor

_OF_TASKS = {
    SequenceClassification: "classify",
    Regression: "classify",
    MultiLabel: "classify",
    MultipleChoice: "classify",
    Tagging: "tag",
    SpanLabelling: "spans",
    SpanRelations: "spans",
    Answering: "answer",
    Rewriting: "rewrite",
}
_INFILLING = (  # what tokenizers call the three: before the prefix, the suffix, and the middle
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),
)


def abilities_of(model: "LanguageModel", predictor: "Predictor | None", talks: bool) -> frozenset[str]:
    """``talks``: it has a chat template."""
    found = set()
    if isinstance(predictor, Tuned):
        found.add(_OF_TASKS[type(predictor.task)])
    elif is_reward_model(model.directory):
        found.add("score")
    words = model.model.vocabulary is not None and model.config.vocabulary_head != "two-way"
    writes = words and model.kind != "encoder"
    if writes:
        found.add("complete")
        if talks:
            found.add("chat")
        if infilling_tokens(model.tokenizer) or (model.kind == "encoder-decoder" and model.tokenizer.sentinels):
            found.add("infill")
    if words and model.kind == "encoder" and model.tokenizer.mask is not None:
        found.add("fill")
    if words and model.kind == "encoder-decoder" and model.tokenizer.sentinels:
        found.add("fill")
    if model.kind == "encoder" or predictor is None:
        found.add("embed")
    if stacks(model.model):
        found.add("attention")
    if words and has_lens(model.model):
        found.add("lens")
    return frozenset({*found, "words"})


def infilling_tokens(tokenizer: "Tokenizer") -> tuple[int, int, int] | None:
    """The control tokens of a decoder that was trained to fill in the middle (Bavarian et al. 2022)."""
    for names in _INFILLING:
        ids = [number for name in names if (number := tokenizer.whole.token_to_id(name)) is not None]
        if len(ids) == len(names):
            return ids[0], ids[1], ids[2]
    return None
