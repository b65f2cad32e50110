"""One label for a text or a pair of texts: y = softmax(W h), with h a summary of the text (Devlin et al. 2019, 4.1).

The summary is the family's, with the head of its published class: BERT's pooled first token, RoBERTa's first token
through a layer of the head, GPT-2's last token, T5's and BART's last state of the decoder; or the mean over tokens,
which small models that never trained a first-token summary learn fastest from.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, Self

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from trivium.errors import DataError, SettingsError
from trivium.families.family import Head
from trivium.metrics import classification
from trivium.objectives import Batch, Loss
from trivium.recurrent.characters import place_spellings
from trivium.tasks.encoding import Encoded, encode
from trivium.tasks.task import Outcome
from trivium.text.examples import Labelled, Located, Pair
from trivium.text.fields import Columns, label_of, refuse_near_miss, text_of
from trivium.tokenizers import Tokenizer
from trivium.transformer import SEQUENCE, Config, Inputs, Pooled, SequenceHead, Tokens, make_head, moved_right
from trivium.transformer.network import changed

if TYPE_CHECKING:
    from trivium.transformer import Network

Example = Labelled | Pair


@dataclass(frozen=True)
class Classified:
    """The most probable label, and the probability of each."""

    label: str
    probabilities: dict[str, float]

    def row(self) -> dict[str, object]:
        """Probabilities to six digits, the most probable label first."""
        ordered = sorted(self.probabilities.items(), key=lambda item: -item[1])
        return {"label": self.label, "probabilities": {label: round(p, 6) for label, p in ordered}}


@dataclass(frozen=True)
class SequenceClassification:
    """``labels`` in the order of the head's rows; ``length``: the longest input in tokens, None for the context."""

    columns: ClassVar[tuple[str, ...]] = ("text", "text2", "label")
    main: ClassVar[str] = "accuracy"

    labels: tuple[str, ...] = ()  # empty: those of the training examples
    pooling: Literal["family", "first", "last", "mean", "mix"] = "family"
    length: int | None = None
    mix_norm: bool = False  # each layer is normed before it is mixed
    mix_penalty: float = 0.0  # times the sum of squares of the mixture's scores; ELMo: 0.001, or 1 for even weights

    def __post_init__(self) -> None:
        if len(self.labels) == 1:
            raise SettingsError(f"there is only one class ({', '.join(self.labels)}): nothing can be learned")
        if self.mix_penalty < 0:
            raise SettingsError(f"mix_penalty = {self.mix_penalty}: it must not be negative")
        if (self.mix_norm or self.mix_penalty) and self.pooling not in ("mix", "family"):
            raise SettingsError(f"pooling {self.pooling!r} mixes no layers: leave out mix_norm and mix_penalty, or mix")

    def example(self, place: str, row: Mapping[str, object], columns: Columns, gold: bool) -> Example:
        """Fields ``text`` and ``label``, for pairs also ``text2``."""
        first, second, label = (columns.get(name, name) for name in self.columns)
        refuse_near_miss(place, row, second, frozenset((first, label)), "for text pairs")
        text = text_of(place, row, first)
        name = label_of(place, row, label) if gold or label in row else ""
        return Pair(text, text_of(place, row, second), name) if second in row else Labelled(text, name)

    def learn(self, train: Sequence[Located[Example]], dev: Sequence[Located[Example]]) -> Self:
        """The labels of the training examples, sorted (numbers by value); every label of dev must be among them."""
        labels = self.labels or tuple(sorted({located.example.label for located in train}, key=_by_value))
        if len(labels) < 2:
            raise DataError(
                f"{train[0].place.rpartition(':')[0] or 'train'}: all {len(train)} examples have the label "
                f"{labels[0]!r}: a classifier needs at least two classes in the label field"
            )
        pairs = isinstance(train[0].example, Pair)
        for located in (*train, *dev):
            if located.example.label not in labels:
                raise DataError(
                    f"{located.place}: {located.example.label!r} in the label field does not occur in the training "
                    f"examples, whose labels are {', '.join(labels[:20])}: correct it, or add examples of it to train"
                )
            if isinstance(located.example, Pair) is not pairs:
                raise DataError(f"{located.place}: train and dev must both have one text, or both two")
            if not all(text.strip() for text in _texts(located.example)):
                raise DataError(f"{located.place}: the text is empty: remove this example")
        return replace(self, labels=labels)

    @classmethod
    def found(cls, model: "Network", labels: Mapping[str, tuple[str, ...]]) -> Self | None:
        head = model.heads[SEQUENCE] if SEQUENCE in model.heads else None
        named = labels.get(SEQUENCE)
        return cls(named, head.pooling) if named and isinstance(head, SequenceHead) else None

    def head(self, config: Config, published: Mapping[str, Head]) -> Pooled:
        """What stands on top: with pooling "family" the published class's head, where the family has one."""
        if self.pooling == "family" and SEQUENCE in published:
            made = published[SEQUENCE].made
            assert isinstance(made, Pooled)
            return replace(made, labels=len(self.labels))
        if config.encoder_layers and config.decoder_layers:
            raise SettingsError(
                "an encoder-decoder has no one summary of a text but its family's: leave out the pooling, or classify "
                "with an encoder or a decoder"
            )
        pooling = config.pooling if self.pooling == "family" else self.pooling
        return Pooled(len(self.labels), pooling, bias=pooling != "last", mix_norm=self.mix_norm)

    def configure(self, config: Config, published: Mapping[str, Head]) -> Config:
        """The classifier's configuration: no vocabulary projection, and BERT's pooler just where it is read."""
        head = self.head(config, published)
        return changed(config, vocabulary_head="none", pooler=head.pooling == "first" and head.dense is None)

    def heads(self, config: Config, published: Mapping[str, Head]) -> dict[str, nn.Module]:
        return {SEQUENCE: make_head(config, self.head(config, published))}

    def layout(self, tokenizer: Tokenizer, config: Config) -> Tokenizer:
        """The tokenizer with control tokens around the text; one that has a layout of its own keeps it."""
        own = tokenizer.layout()
        if own.before or own.after:
            return tokenizer
        if config.decoder_layers:
            return tokenizer.with_layout("end")
        return tokenizer.with_layout("classify-last" if config.pooling == "last" else "classify")

    def encode(self, examples: Sequence[Example], tokenizer: Tokenizer, config: Config) -> Encoded:
        length = self.length or config.context
        if config.limit is not None:
            length = min(length, config.limit)
        numbers = {label: number for number, label in enumerate(self.labels)}
        return encode(examples, tokenizer, length, numbers, config.segments > 1, config.characters)

    def batch(self, encoded: Encoded, numbers: np.ndarray) -> Batch:
        """(B, T) ids, right-padded; ``targets``: (B,) label numbers."""
        lengths = np.array([len(encoded.ids[n]) for n in numbers])
        real = np.arange(lengths.max()) < lengths[:, None]

        def padded(rows: list[np.ndarray]) -> torch.Tensor:
            array = np.zeros(real.shape, np.int64)
            array[real] = np.concatenate([rows[n] for n in numbers])
            return torch.from_numpy(array)

        unknown = [encoded.unknown[n] for n in numbers] if encoded.unknown else []
        spelt = place_spellings(unknown, real.shape[1], encoded.characters)
        side = Tokens(
            ids=padded(encoded.ids),
            documents=None if real.all() else torch.from_numpy(np.where(real, 0, -1)),
            segments=None if encoded.segments is None else padded(encoded.segments),
            characters=None if spelt is None else torch.from_numpy(spelt),
        )
        targets = {SEQUENCE: torch.from_numpy(encoded.labels[numbers])}
        # Both sides are given: an encoder reads its source, a decoder its target.
        return Batch(Inputs(side, side), targets, {SEQUENCE: len(numbers)}, int(lengths.sum()), numbers.tolist())

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        total = F.cross_entropy(self.scores(model, batch), batch.targets[SEQUENCE], reduction="sum")
        mix = getattr(model.heads[SEQUENCE], "mix", None)
        if self.mix_penalty and mix is not None:
            total = total + self.mix_penalty * batch.counts[SEQUENCE] * mix.penalty()
        return {SEQUENCE: Loss(total, batch.counts[SEQUENCE])}

    def scores(self, model: "Network", batch: Batch) -> torch.Tensor:
        """(B, labels) float32. The decoder of an encoder-decoder reads the same text moved right by one, as BART's."""
        inputs, config = batch.inputs, model.config
        if config.encoder_layers and config.decoder_layers and inputs.source is not None:
            start = config.pad_token if config.start_token is None else config.start_token
            inputs = Inputs(inputs.source, moved_right(inputs.source, start))
        return model.scores(inputs, SEQUENCE).float()

    def answers(self, model: "Network", batch: Batch) -> list[np.ndarray]:
        """(labels,) float32 probabilities each."""
        return list(self.scores(model, batch).softmax(-1).detach().cpu().numpy())

    def predictions(
        self, examples: Sequence[Example], items: Encoded, answers: Sequence[np.ndarray]
    ) -> list[Classified]:
        return [
            Classified(self.labels[row.argmax()], dict(zip(self.labels, row.tolist(), strict=True))) for row in answers
        ]

    def score(self, predicted: Sequence[Classified], examples: Sequence[Example]) -> dict[str, float]:
        """Accuracy, F1 and Matthews correlation against the true labels, and the mean cross-entropy in nats."""
        gold = [example.label for example in examples]
        loss = float(np.mean([_surprise(each, label) for each, label in zip(predicted, gold, strict=True)]))
        return {**classification(gold, [each.label for each in predicted]), "loss": loss}

    def outcomes(self, predicted: Sequence[Classified], examples: Sequence[Example]) -> list[Outcome]:
        return [
            Outcome(" | ".join(_texts(example)), example.label, each.label, _surprise(each, example.label))
            for each, example in zip(predicted, examples, strict=True)
        ]

    def settled(self, predicted: Sequence[Classified], examples: Sequence[Example]) -> Self:
        return self


def _surprise(predicted: Classified, label: str) -> float:
    """Minus the log of the true label's probability."""
    return -math.log(max(predicted.probabilities.get(label, 0.0), 1e-30))


def _texts(example: Example) -> tuple[str, ...]:
    return (example.first, example.second) if isinstance(example, Pair) else (example.text,)


def _by_value(label: str) -> tuple[bool, int, str]:
    number = label.lstrip("-").isdecimal()
    return (not number, int(label) if number else 0, label)
