"""What each token of a text costs a model, in bits, and what it would have held more likely there.

Surprisal is -log2 p(token | what the model sees) (Shannon 1948; in reading, Hale 2001 and Levy 2008). A decoder sees
what comes before, up to a context of it; an encoder-decoder is asked about an answer to a text; an encoder sees all but
the token, which is masked: its pseudo-log-likelihood (Salazar et al. 2020). Texts longer than the context are read in
windows, as ``surprise`` of a model reads them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any

import torch

from trivium.errors import SettingsError
from trivium.generation.completion import Likely
from trivium.generation.questions import about_continuation, about_text
from trivium.generation.score import read_by
from trivium.generation.score_rows import Question
from trivium.tokenizers import Tokenizer
from trivium.transformer import Network
from trivium.transformer.network import answers
from trivium.views.lens import likely, scores

_TOKENS = 4096  # of rows that are read side by side


@dataclass(frozen=True)
class TokenCost:
    """A token of the text: its characters from ``start`` to ``end``, and what it costs."""

    text: str
    start: int
    end: int
    log_probability: float  # natural
    top: tuple[Likely, ...]

    @property
    def bits(self) -> float:
        return -self.log_probability / log(2)


@dataclass(frozen=True)
class SurpriseView:
    """All tokens that are predicted. ``characters``: of the text that they are."""

    tokens: tuple[TokenCost, ...]
    characters: int

    @property
    def bits(self) -> float:
        return sum(each.bits for each in self.tokens)

    @property
    def perplexity(self) -> float:
        """2 to the mean bits of a token."""
        return float(2 ** (self.bits / len(self.tokens)))

    @property
    def bits_per_character(self) -> float:
        return self.bits / self.characters

    def to_json(self) -> dict[str, Any]:
        """Plain lists."""
        tokens = [
            {
                "text": each.text, "start": each.start, "end": each.end, "bits": round(each.bits, 4),
                "probability": exp(each.log_probability),
                "top": [
                    {"text": one.text, "id": one.token, "probability": exp(one.log_probability)} for one in each.top
                ],
            }
            for each in self.tokens
        ]  # fmt: skip
        return {
            "tokens": tokens, "bits": self.bits, "perplexity": self.perplexity,
            "bits_per_character": self.bits_per_character,
        }  # fmt: skip


def surprises(model: Network, tokenizer: Tokenizer, text: str, answer: str | None = None, top: int = 5) -> SurpriseView:
    """Of each token of ``text``, or of ``answer`` after it."""
    *_, view = read(model, tokenizer, text, answer, top)
    assert view is not None
    return view


def read(
    model: Network, tokenizer: Tokenizer, text: str, answer: str | None = None, top: int = 5
) -> Iterator[SurpriseView | None]:
    """The same in parts of bounded work, each None but the last: an encoder reads a text as often as it has tokens."""
    if model.vocabulary is None or model.config.vocabulary_head == "two-way":
        raise SettingsError("this model predicts no words: ask a model with a vocabulary projection")
    if top < 0:
        raise SettingsError(f"top is {top}: it must not be negative")
    if answer is None and answers(model.config):
        raise SettingsError("an encoder-decoder gives no probability to a text alone: give an answer to it, too")
    about = text if answer is None else answer
    if answer is None:
        questions, offsets = about_text(model, tokenizer, text), tokenizer.encode(text).offsets
    else:
        questions = about_continuation(model, tokenizer, text, answer)
        offsets = _offsets(model, tokenizer, text, answer)
    found: list[tuple[float, tuple[Likely, ...]]] = []
    for batch in _batches(questions):
        found += _costs(model, tokenizer, batch, top)
        yield None
    if not found:
        raise SettingsError("the text is too short for a token of it to be predicted: give more text")
    told = offsets[len(offsets) - len(found) :]  # the first is counted where there is a token to begin with
    tokens = tuple(
        TokenCost(about[start:end], start, end, chance, likeliest)
        for (start, end), (chance, likeliest) in zip(told, found, strict=True)
    )
    yield SurpriseView(tokens, max(1, len(about) - (tokens[0].start if len(told) < len(offsets) else 0)))


def _offsets(model: Network, tokenizer: Tokenizer, text: str, answer: str) -> list[tuple[int, int]]:
    if answers(model.config):
        return tokenizer.encode(answer).offsets
    whole = tokenizer.encode(text + answer).offsets
    return [(max(0, start - len(text)), end - len(text)) for start, end in whole if end > len(text)]


def _batches(questions: Sequence[Question]) -> Iterator[list[Question]]:
    batch: list[Question] = []
    for question in questions:
        if batch and (len(batch) + 1) * max(len(each.ids) for each in (*batch, question)) > _TOKENS:
            yield batch
            batch = []
        batch.append(question)
    if batch:
        yield batch


@torch.inference_mode()
def _costs(
    model: Network, tokenizer: Tokenizer, batch: Sequence[Question], top: int
) -> list[tuple[float, tuple[Likely, ...]]]:
    """The log-probability of each target, in order, and what is most probable there."""
    hidden = model(read_by(model, batch)).hidden  # (B, T, W)
    states = torch.cat([hidden[row, list(question.positions)] for row, question in enumerate(batch)])
    targets = torch.tensor([target for question in batch for target in question.targets], device=states.device)
    found: list[tuple[float, tuple[Likely, ...]]] = []
    for rows in scores(model, tokenizer, states):
        own = rows.gather(1, targets[len(found) : len(found) + len(rows), None])[:, 0].tolist()
        told = likely(tokenizer, rows, top) if top else [()] * len(rows)
        found += zip(own, told, strict=True)
    return found
