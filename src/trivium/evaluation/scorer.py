"""A language model as suites use it: how probable continuations are after prompts, and texts in sliding windows.

What is asked twice is computed once, and similar lengths share a batch. Whatever is longer than the model's context
loses its beginning, which is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from trivium.errors import SettingsError
from trivium.generation.questions import about_continuation, about_text
from trivium.generation.score import Score, answers, joined
from trivium.generation.score_rows import Question
from trivium.tokenizers import Tokenizer
from trivium.transformer import Network
from trivium.transformer.network import answers as replies
from trivium.transformer.network import writes

TOKENS = 8192  # in a batch, with padding


@dataclass(frozen=True, eq=False)
class Scorer:
    """``tokens``: of a batch."""

    model: Network
    tokenizer: Tokenizer
    tokens: int = TOKENS

    @property
    def kind(self) -> str:
        """decoder, encoder or encoder-decoder."""
        if not writes(self.model.config):
            return "encoder"
        return "encoder-decoder" if replies(self.model.config) else "decoder"

    def continuations(self, pairs: Sequence[tuple[str, str]]) -> tuple[list[Score], int]:
        """The score of each (prompt, continuation), and how many prompts were cut."""
        unique = list(dict.fromkeys(pairs))
        asked = [about_continuation(self.model, self.tokenizer, *pair) for pair in unique]
        limit = self.model.config.limit
        cut = [[shortened(question, limit) for question in each] for each in asked]
        found = iter(answers(self.model, [question for each in cut for question in each], self.tokens))
        scores = {pair: joined([next(found) for _ in each]) for pair, each in zip(unique, cut, strict=True)}
        shorter = {pair for pair, old, new in zip(unique, asked, cut, strict=True) if old != new}
        return [scores[pair] for pair in pairs], sum(pair in shorter for pair in pairs)

    def text(self, text: str, context: int | None = None, stride: int | None = None) -> list[Score]:
        """One score for each window (by an encoder: for each masked token) of a text."""
        questions = about_text(self.model, self.tokenizer, text, stride, context)
        return answers(self.model, questions, self.tokens)


def shortened(question: Question, limit: int | None) -> Question:
    """A question that fits: the beginning of what is only read is left out."""
    if limit is None:
        return question
    source = question.source
    if source is not None and len(source) > limit:
        question = replace(question, source=source[-limit:])
    extra = len(question.ids) - limit
    if extra <= 0:
        return question
    if question.source is not None or extra > min(question.positions):
        raise SettingsError(
            f"a continuation of {len(question.targets)} tokens does not fit into this model's context of {limit}: "
            "leave it out, or take a model with a longer context"
        )
    positions = tuple(place - extra for place in question.positions)
    return replace(question, ids=question.ids[extra:], positions=positions, known=max(0, question.known - extra))
