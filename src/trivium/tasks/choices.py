"""Multiple choice: every choice is read beside its question, a score each, and softmax over the choices of a question.

A row is ``[CLS] context [SEP] choice [SEP]`` (Devlin et al. 2019, 4.4, on SWAG), by the tokenizer's own layout; a
question beside a context goes before the choice, as RACE is read by RoBERTa. In GPT-1's way (Radford et al. 2018, 3.3)
it is ``_start_ context question _delimiter_ choice _classify_``. The head gives a row one number; the choices of one
question share a batch, and questions may have different numbers of them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trivium.errors import DataError, SettingsError
from trivium.objectives import Batch
from trivium.tasks.encoding import Encoded, Row
from trivium.tasks.task import Outcome
from trivium.tasks.texts import TextTask
from trivium.text.examples import Choices, Located
from trivium.text.fields import Columns, label_of, refuse_near_miss, text_of, texts_of
from trivium.transformer import CHOICE

if TYPE_CHECKING:
    from trivium.transformer import Network


@dataclass(frozen=True)
class Chosen:
    """The most probable choice, its number from 0, and the probability of each."""

    choice: str
    index: int
    probabilities: tuple[float, ...]

    def row(self) -> dict[str, object]:
        """Probabilities to six digits, in the order of the choices."""
        chances = [round(p, 6) for p in self.probabilities]
        return {"choice": self.choice, "index": self.index, "probabilities": chances}


@dataclass(frozen=True)
class MultipleChoice(TextTask):
    """Settings are those of all tasks on texts."""

    columns: ClassVar[tuple[str, ...]] = ("context", "question", "options", "label")
    main: ClassVar[str] = "accuracy"
    name: ClassVar[str] = CHOICE

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on_truncate == "split":
            raise SettingsError('choices cannot be split: set on_truncate = "warn" or "error"')
        if self.symmetric:
            raise SettingsError("a question and a choice are no symmetric pair: leave out symmetric")

    @property
    def outputs(self) -> int:
        return 1

    def example(self, place: str, row: Mapping[str, object], columns: Columns, gold: bool) -> Choices:
        """Fields ``context`` and ``question``, one of them or both; ``options``, a list; ``label``, the number of the
        right one from 0, its text, or its letter (A is the first)."""
        context, question, options, label = (columns.get(name, name) for name in self.columns)
        if context not in row and question not in row:
            refuse_near_miss(place, row, question, frozenset((options, label)), "to say what is asked")
            refuse_near_miss(place, row, context, frozenset((options, label)), "to say what is asked")
            raise DataError(f"{place}: no column {question!r} and no column {context!r}: one of them is needed")
        for name in (context, question):
            refuse_near_miss(place, row, name, frozenset((context, question, options, label)), "or remove it")
        given = texts_of(place, row, options)
        if len(given) < 2:
            raise DataError(f"{place}: {options!r} holds {len(given)} of at least two texts to choose among")
        known = _number(place, label_of(place, row, label), row[label], given) if gold or label in row else None
        texts = {name: text_of(place, row, name) for name in (context, question) if name in row}
        return Choices(texts.get(context, ""), texts.get(question, ""), given, known)

    def learn(self, train: Sequence[Located[Choices]], dev: Sequence[Located[Choices]]) -> Self:
        """Nothing; refuses examples that cannot be learnt from or scored."""
        for located in (*train, *dev):
            example = located.example
            if not (example.context + example.question).strip() or not all(each.strip() for each in example.options):
                raise DataError(f"{located.place}: the question or one of its options is empty: remove this example")
            if len(example.options) < 2:
                raise DataError(f"{located.place}: there is {len(example.options)} option, and at least two are needed")
            if example.label is None or not 0 <= example.label < len(example.options):
                raise DataError(
                    f"{located.place}: the label is {example.label}: it must be from 0 to {len(example.options) - 1}"
                )
        return self

    @classmethod
    def found(cls, model: "Network", labels: Mapping[str, tuple[str, ...]]) -> Self | None:
        shows = cls.settings_of(model, 1)
        return None if shows is None else cls(**shows)

    def rows(self, example: Choices) -> tuple[Row, ...]:
        """One for each choice."""
        context, question = example.context, example.question
        if not context or not question:
            return tuple(Row(context or question, option) for option in example.options)
        if self.inputs == "gpt1":
            return tuple(Row(context, option, f" {question}") for option in example.options)
        return tuple(Row(context, f"{question} {option}") for option in example.options)

    def targets(self, examples: Sequence[Choices]) -> np.ndarray:
        """(E,) numbers of choices; -1: not known."""
        return np.array([-1 if example.label is None else example.label for example in examples], np.int64)

    def total(self, scores: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        return F.cross_entropy(by_question(scores, targets["rows"]), targets[self.name], reduction="sum")

    def answers(self, model: "Network", batch: Batch) -> list[np.ndarray]:
        """(C,) float32 probabilities each."""
        counts = batch.targets["rows"]
        chances = by_question(self.scores(model, batch), counts).softmax(-1).detach().cpu().numpy()
        return [row[:count] for row, count in zip(chances, counts.tolist(), strict=True)]

    def predictions(self, examples: Sequence[Choices], items: Encoded, answers: Sequence[np.ndarray]) -> list[Chosen]:
        said = []
        for example, chances in zip(examples, answers, strict=True):
            index = int(chances.argmax())
            said.append(Chosen(example.options[index], index, tuple(chances.tolist())))
        return said

    def score(self, predicted: Sequence[Chosen], examples: Sequence[Choices]) -> dict[str, float]:
        """The share of right choices, and minus the mean log of the right ones' probabilities."""
        right = [each.index == example.label for each, example in zip(predicted, examples, strict=True)]
        losses = [outcome.loss for outcome in self.outcomes(predicted, examples)]
        return {"accuracy": float(np.mean(right)), "loss": float(np.mean(losses))}

    def outcomes(self, predicted: Sequence[Chosen], examples: Sequence[Choices]) -> list[Outcome]:
        found = []
        for each, example in zip(predicted, examples, strict=True):
            assert example.label is not None
            text = " | ".join(part for part in (example.context, example.question) if part)
            loss = -math.log(max(each.probabilities[example.label], 1e-30))
            found.append(Outcome(text, example.options[example.label], each.choice, loss))
        return found

    def settled(self, predicted: Sequence[Chosen], examples: Sequence[Choices]) -> Self:
        return self


def by_question(scores: Tensor, counts: Tensor) -> Tensor:
    """(R, 1) scores of all choices, side by side, to (B, C) by question; minus infinity where one has fewer."""
    there = torch.arange(int(counts.max()), device=scores.device) < counts[:, None]
    return scores.new_full(there.shape, -torch.inf).masked_scatter(there, scores[:, 0])


def _number(place: str, label: str, given: object, options: Sequence[str]) -> int:
    """Which option a label means: a number is one from 0; a text is an option's own, else a number or a letter."""
    same = [number for number, option in enumerate(options) if option.strip() == label]
    if isinstance(given, str) and same:
        if len(same) > 1:
            raise DataError(f"{place}: the label {label!r:.60} is the text of {len(same)} options: give its number")
        return same[0]
    number = int(label) if label.removeprefix("-").isdecimal() else -1
    if isinstance(given, str) and len(label) == 1 and label.isascii() and label.isupper():
        number = ord(label) - ord("A")
    if not 0 <= number < len(options) or isinstance(given, bool):
        raise DataError(
            f"{place}: the label {label!r:.60} is neither the number of an option (0 to {len(options) - 1}) nor the "
            "text of one"
        )
    return number
