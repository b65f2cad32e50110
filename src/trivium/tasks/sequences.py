"""One label for a text or a pair of texts: y = softmax(W h), with h a summary of the text (Devlin et al. 2019, 4.1).

The summary is the family's: BERT's pooled first token, GPT-2's last token; or the mean over tokens, which small models
that never trained a first-token summary learn fastest from.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from trivium.errors import SettingsError
from trivium.metrics import classification
from trivium.objectives import Batch, Loss
from trivium.recurrent.characters import place_spellings
from trivium.tasks.batching import within_budget
from trivium.tasks.encoding import Encoded, encode
from trivium.tasks.task import Prediction
from trivium.text.examples import Labelled, Pair
from trivium.tokenizers import Tokenizer
from trivium.transformer import SEQUENCE, Config, Inputs, SequenceHead, Tokens
from trivium.transformer.network import changed

if TYPE_CHECKING:
    from trivium.transformer import Network

Summary = Literal["first", "last", "mean", "mix"]


@dataclass(frozen=True)
class SequenceClassification:
    """``labels`` in the order of the head's rows; ``length``: the longest input in tokens, None for the context."""

    labels: tuple[str, ...]
    pooling: Literal["family", "first", "last", "mean", "mix"] = "family"
    length: int | None = None
    mix_norm: bool = False  # each layer is normed before it is mixed
    mix_penalty: float = 0.0  # times the sum of squares of the mixture's scores; ELMo: 0.001, or 1 for even weights

    def __post_init__(self) -> None:
        if len(self.labels) < 2:
            raise SettingsError(f"there is only one class ({', '.join(self.labels)}): nothing can be learned")
        if self.mix_penalty < 0:
            raise SettingsError(f"mix_penalty = {self.mix_penalty}: it must not be negative")
        if (self.mix_norm or self.mix_penalty) and self.pooling not in ("mix", "family"):
            raise SettingsError(f"pooling {self.pooling!r} mixes no layers: leave out mix_norm and mix_penalty, or mix")

    def summary(self, config: Config) -> Summary:
        """The pooling with "family" resolved; refuses encoder-decoders."""
        if config.encoder_layers and config.decoder_layers:
            raise SettingsError(
                "an encoder-decoder has no one summary of a text: classify with an encoder or a decoder"
            )
        if self.pooling != "family":
            return self.pooling
        return config.pooling

    def configure(self, config: Config) -> Config:
        """The classifier's configuration: no vocabulary projection, and BERT's pooler just where it is read."""
        return changed(config, vocabulary_head="none", pooler=self.summary(config) == "first")

    def heads(self, config: Config) -> dict[str, nn.Module]:
        return {SEQUENCE: SequenceHead(config, len(self.labels), self.summary(config), mix_norm=self.mix_norm)}

    def layout(self, tokenizer: Tokenizer, config: Config) -> Tokenizer:
        """The tokenizer with control tokens around the text; one that has a layout of its own keeps it."""
        own = tokenizer.layout()
        if own.before or own.after:
            return tokenizer
        return tokenizer.with_layout("classify" if config.encoder_layers else "end")

    def encode(self, examples: Sequence[Labelled | Pair], tokenizer: Tokenizer, config: Config) -> Encoded:
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
        """(B, labels) float32."""
        heads = model(batch.inputs, heads=(SEQUENCE,)).heads
        scores: torch.Tensor = heads[SEQUENCE].float()
        return scores

    @torch.no_grad()
    def predict(self, model: "Network", batch: Batch) -> list[Prediction]:
        return self._predictions(self.scores(model, batch).softmax(-1).cpu().numpy())

    def predict_all(self, model: "Network", encoded: Encoded, tokens: int = 8192) -> Iterator[Prediction]:
        """Predictions in the order of the examples, computed in batches of similar length with at most ``tokens``."""
        probabilities = np.zeros((len(encoded), len(self.labels)), np.float32)
        device = next(model.parameters()).device
        training = model.training
        model.eval()
        with torch.no_grad():
            for numbers in within_budget(encoded.lengths, np.arange(len(encoded)), tokens):
                batch = self.batch(encoded, numbers).to(device)
                probabilities[numbers] = self.scores(model, batch).softmax(-1).cpu().numpy()
        model.train(training)
        yield from self._predictions(probabilities)

    def score(self, predicted: Sequence[Prediction], gold: Sequence[str]) -> dict[str, float]:
        """Accuracy, F1 and Matthews correlation against the true labels."""
        return classification(gold, [prediction.label for prediction in predicted])

    def _predictions(self, probabilities: np.ndarray) -> list[Prediction]:
        return [
            Prediction(self.labels[row.argmax()], dict(zip(self.labels, row.tolist(), strict=True)))
            for row in probabilities
        ]
