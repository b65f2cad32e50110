"""What labelling spans and relating them have in common: the body, the head's form, batches, loss and answers."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.errors import DataError, SettingsError
from trivium.families.family import Head
from trivium.objectives import Batch, Loss
from trivium.tasks.span_items import SpanItems, placed_rows
from trivium.tasks.task import Outcome
from trivium.text.examples import Located, Related, Span, Spans
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config, EachSpan, make_head
from trivium.transformer.network import changed

if TYPE_CHECKING:
    from trivium.transformer import Network

NONE = "none"
"""The label of what is not labelled; the first of every head."""


@dataclass(frozen=True)
class SpanReading:
    """``labels`` in the order of the head's rows, "none" first; ``ends`` and ``summary``: what a span's vector is made
    of (``EachSpan``); ``hidden``: the units of its layers; ``length``: the longest window in tokens, None for the
    context."""

    head: ClassVar[str]  # its name in the model

    labels: tuple[str, ...] = ()  # empty: those of the training examples
    hidden: int = 256
    ends: Literal["networks", "plain"] = "networks"
    summary: Literal["attention", "mean", "none"] = "attention"
    length: int | None = None

    def __post_init__(self) -> None:
        if self.labels and (self.labels[0] != NONE or len(set(self.labels)) < max(2, len(self.labels))):
            raise SettingsError(
                f"labels = {', '.join(self.labels)}: they must be {NONE!r}, which is what has no label, and others "
                "behind it, each once"
            )

    @property
    def main(self) -> str:
        return "f1"

    @property
    def widths(self) -> int:
        """How many widths have vectors of their own."""
        return 0

    def configure(self, config: Config, published: Mapping[str, Head]) -> Config:
        """No vocabulary projection; of an encoder-decoder the encoder alone."""
        both = config.encoder_layers and config.decoder_layers
        return changed(config, vocabulary_head="none", pooler=False, **({"decoder_layers": 0} if both else {}))

    def heads(self, config: Config, published: Mapping[str, Head]) -> dict[str, nn.Module]:
        made = EachSpan(len(self.labels), self.hidden, self.ends, self.summary, self.widths, self.head == "relations")
        return {self.head: make_head(config, made)}

    def layout(self, tokenizer: Tokenizer, config: Config) -> Tokenizer:
        """An encoder's has control tokens around the text; one that has a layout of its own keeps it."""
        own = tokenizer.layout()
        return tokenizer if own.before or own.after or not config.encoder_layers else tokenizer.with_layout("classify")

    def window(self, config: Config) -> int:
        """Tokens, control ids included."""
        length = self.length or config.context
        return length if config.limit is None else min(length, config.limit)

    def batch(self, items: SpanItems, numbers: np.ndarray) -> Batch:
        """``targets``: labels as the model scores what is asked, and how the answers are put in the rows' order."""
        rows = [items.rows[number] for number in numbers]
        placed = placed_rows(rows, items.characters)
        labels = np.concatenate([row.labels for row in rows])
        order = placed.order if rows[0].pairs is None else np.arange(len(labels))
        targets = {
            self.head: torch.from_numpy(labels[order].astype(np.int64)),
            "order": torch.from_numpy(order),
            "counts": torch.tensor([len(row.labels) for row in rows]),
        }
        return Batch(placed.inputs, targets, {self.head: len(labels)}, placed.tokens, numbers.tolist())

    def scores(self, model: "Network", batch: Batch) -> Tensor:
        """(N, K) float32 of the spans, or (P, K) of the pairs."""
        found = model(batch.inputs, heads=(self.head,)).heads
        scores: Tensor = found[self.head].float()
        return scores

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        total = F.cross_entropy(self.scores(model, batch), batch.targets[self.head], reduction="sum")
        return {self.head: Loss(total, batch.counts[self.head])}

    def answers(self, model: "Network", batch: Batch) -> list[np.ndarray]:
        """(N, K) probabilities of each row, its spans or pairs in their order."""
        said = self.scores(model, batch).softmax(1).detach()
        whole = torch.empty_like(said).index_copy_(0, batch.targets["order"], said).cpu()
        return [part.numpy() for part in whole.split(batch.targets["counts"].tolist())]

    def numbers(self) -> dict[str, int]:
        """Of the labels."""
        return {label: number for number, label in enumerate(self.labels)}

    def check_label(self, place: str, what: str, label: str, labels: Sequence[str]) -> None:
        """A ``DataError`` for one that the training examples do not have."""
        if label == NONE or not label:
            raise DataError(
                f"{place}: {what} has the label {label!r}, and {NONE!r} is what has no label: leave it out, or choose "
                "another name"
            )
        if label not in labels:
            raise DataError(
                f"{place}: {what} has the label {label!r}, which does not occur in the training examples, whose labels "
                f"are {', '.join(labels[1:21])}: correct it, or add examples of it to train"
            )


def check_words(located: Located[Spans] | Located[Related]) -> None:
    """Words are there, and every span lies in them."""
    example = located.example
    if not example.words:
        raise DataError(f"{located.place}: there are no words: remove this example")
    for label, first, last in example.spans:
        if not 0 <= first <= last < len(example.words):
            named = f"the span {label!r}" if label else "a span"
            raise DataError(
                f"{located.place}: {named} is words {first} to {last}, and the example has the words 0 to "
                f"{len(example.words) - 1}: correct it"
            )


class Answered(Protocol):
    """What a model said of one text."""

    @property
    def asked(self) -> np.ndarray: ...  # (N, 2) two numbers that tell a decision
    @property
    def probabilities(self) -> np.ndarray: ...  # (N, K)
    @property
    def found(self) -> Sequence[tuple[str, int, int]]: ...


def mean_loss(predicted: Sequence[Answered], gold: Sequence[np.ndarray]) -> float:
    """Minus the mean log of the true labels' probabilities, over all decisions."""
    true = [each.probabilities[np.arange(len(labels)), labels] for each, labels in zip(predicted, gold, strict=True)]
    whole = np.concatenate(true).astype(np.float64)
    return float(-np.log(np.maximum(whole, 1e-30)).mean()) if len(whole) else 0.0


def outcomes_of(
    each: Answered, gold: Sequence[tuple[str, int, int]], labels: Sequence[str], text: Callable[[int, int], str]
) -> list[Outcome]:
    """One for each decision with a label, true or said, in order; the many others are left out."""
    true = {(one, two): label for label, one, two in reversed(gold)}
    said = {(one, two): label for label, one, two in each.found}
    places = {(one, two): place for place, (one, two) in enumerate(each.asked.tolist())}
    outcomes = []
    for key in sorted(true.keys() | said.keys()):
        label, place = true.get(key, NONE), places.get(key)
        known = place is not None and label in labels
        chance = float(each.probabilities[place, labels.index(label)]) if known else 0.0
        outcomes.append(Outcome(text(*key), label, said.get(key, NONE), -math.log(max(chance, 1e-30))))
    return outcomes


def described(example: Spans | Related, span: Span) -> dict[str, object]:
    """``first``, ``last`` and the ``text``; of a text that was cut also its characters from ``start`` up to, not with,
    ``end``."""
    _, first, last = span
    said: dict[str, object] = {"first": first, "last": last}
    if not example.places:
        return {**said, "text": " ".join(example.words[first : last + 1])}
    start, end = example.places[first][0], example.places[last][1]
    return {**said, "start": start, "end": end, "text": example.text[start:end]}
