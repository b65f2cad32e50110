"""Denoising for encoder-decoders: T5's objectives as rows of one table (Raffel et al. 2020, section 3.3 and table 3).

A scheme is a composition: where the noise falls, what the encoder sees, what the decoder writes. The default, random
spans of mean length 3 over 15% of the tokens, is T5's choice. Inputs and targets both end in the end token. The paper's
format opens every target with the first span's sentinel and closes it with one more; T5's code leaves the last one out
(and opens with none where a text begins with noise): ``t5_code_compat``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from trivium.errors import SettingsError
from trivium.objectives import noise, sentinels
from trivium.objectives.cross_entropy import cross_entropy
from trivium.objectives.objective import Batch, Loss
from trivium.objectives.packing import pack, places
from trivium.objectives.sentinels import Noised, Ragged
from trivium.randomness import Draws
from trivium.text.rows import Layout, Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config, Inputs

if TYPE_CHECKING:
    from trivium.transformer import Network


@dataclass(frozen=True)
class Scheme:
    """Where noise falls, what the encoder sees and what the decoder writes (the paper's way and the code's)."""

    noise: Callable[[np.ndarray, int, Draws, float, float], np.ndarray]
    inputs: Callable[[Noised], Ragged]
    targets: Callable[[Noised], Ragged]
    code_targets: Callable[[Noised], Ragged]
    marked: bool = True  # each run of noise takes a sentinel


SCHEMES = {
    "random_spans": Scheme(
        noise.random_spans, sentinels.sentinel_for_noise, sentinels.noise_after_sentinels, sentinels.sentinel_for_text
    ),
    "replace_spans": Scheme(
        noise.iid, sentinels.sentinel_for_noise, sentinels.noise_after_sentinels, sentinels.sentinel_for_text
    ),
    "drop": Scheme(noise.iid, sentinels.text_alone, sentinels.noise_alone, sentinels.noise_alone, marked=False),
}


@dataclass(frozen=True)
class Corruption:
    """``rate`` of the tokens are noise, in spans of ``mean_length`` where the scheme has spans."""

    kind: Literal["corruption"] = "corruption"
    scheme: Literal["random_spans", "replace_spans", "drop"] = "random_spans"
    rate: float = 0.15
    mean_length: float = 3.0
    t5_code_compat: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1:
            raise SettingsError(f"objective.rate = {self.rate}: it must lie between 0 and 1, such as 0.15")
        if self.mean_length < 1:
            raise SettingsError(f"objective.mean_length = {self.mean_length}: a span has at least 1 token")
        if self.scheme not in SCHEMES:
            raise SettingsError(f"objective.scheme = {self.scheme!r}: choose one of {', '.join(SCHEMES)}")

    def lengths(self, raw: int) -> tuple[int, int]:
        """(input, target) lengths, end tokens included, that random spans make of ``raw`` tokens."""
        noised, spans = (int(count[0]) for count in noise.span_counts(np.array([raw]), self.rate, self.mean_length))
        return raw - noised + spans + 1, noised + spans + 1 + (not self.t5_code_compat)

    def raw_length(self, length: int) -> int:
        """The longest text whose corrupted input still fits ``length``: 512 -> 568, 128 -> 141, 64 -> 70."""
        raw = length - 1
        while self.lengths(raw + 1)[0] <= length:
            raw += 1
        return raw

    def layout(self, tokenizer: Tokenizer, length: int) -> Layout:
        """Rows longer than ``length``, by as much as the corruption will shorten them."""
        _end_and_start(tokenizer)
        raw = self.raw_length(length) if self.scheme == "random_spans" else length - 1  # coins promise no shortening
        needed = self._spans(raw) + 1
        if SCHEMES[self.scheme].marked and needed > len(tokenizer.sentinels):
            raise SettingsError(
                f"rows of {length} tokens have about {needed - 1} spans and need {needed} sentinels, but the tokenizer "
                f"has {len(tokenizer.sentinels)}: shorten the rows, or use random_spans with a larger "
                "objective.mean_length, or a tokenizer with more sentinels"
            )
        return Layout("stream", raw)

    def _spans(self, raw: int) -> int:
        """How many spans ``raw`` tokens have; for coins the expected number."""
        if self.scheme == "random_spans":
            return int(noise.span_counts(np.array([raw]), self.rate, self.mean_length)[1][0])
        return round(raw * self.rate * (1 - self.rate))

    def heads(self, config: Config) -> dict[str, nn.Module]:
        """None of its own; refuses a model that is not an encoder-decoder started by its padding token."""
        if not (config.encoder_layers and config.decoder_layers):
            raise SettingsError(
                f"the corruption objective trains an encoder-decoder, but the model has {config.encoder_layers} "
                f"encoder and {config.decoder_layers} decoder layers: set both"
            )
        if config.start_token not in (None, config.pad_token):
            raise SettingsError(
                f"the corruption objective starts the decoder with the padding token, as T5 does, but "
                f"model.start_token = {config.start_token} and model.pad_token = {config.pad_token}: make them equal"
            )
        return {}

    def corrupt(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> tuple[Ragged, Ragged]:
        """(inputs, targets) of a batch, both closed by the end token."""
        end, _ = _end_and_start(tokenizer)
        scheme = SCHEMES[self.scheme]
        real = rows.documents >= 0
        mask = scheme.noise(real.sum(axis=1), real.shape[1], draws, self.rate, self.mean_length)
        if scheme.marked:
            mask = sentinels.within_sentinels(mask, len(tokenizer.sentinels))
        noised = Noised(rows.tokens, real, mask, np.array(tokenizer.sentinels, np.int64))
        write = scheme.code_targets if self.t5_code_compat else scheme.targets
        return scheme.inputs(noised).closed(end), write(noised).closed(end)

    def batch(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        """The decoder's inputs are the targets moved right by one, after the padding token, as T5 begins."""
        _, start = _end_and_start(tokenizer)
        inputs, targets = self.corrupt(rows, draws, tokenizer)
        real = targets.real
        shifted = np.pad(targets.tokens[:, :-1], ((0, 0), (1, 0)), constant_values=start)
        sides = Inputs(
            source=pack(inputs.tokens, np.where(inputs.real, 0, -1)), target=pack(shifted, np.where(real, 0, -1))
        )
        wanted = {"corruption": torch.from_numpy(targets.tokens[real])}
        if (at := places(real)) is not None:
            wanted["at"] = at
        count = int(targets.lengths.sum())
        return Batch(sides, wanted, {"corruption": count}, int(inputs.lengths.sum()) + count, rows.draws.tolist())

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        logits = model(batch.inputs, at=batch.targets.get("at", "all")).logits
        return {"corruption": Loss(cross_entropy(logits, batch.targets["corruption"]), batch.counts["corruption"])}


def _end_and_start(tokenizer: Tokenizer) -> tuple[int, int]:
    if tokenizer.end is None or tokenizer.pad is None or len(tokenizer.sentinels) < 2:
        raise SettingsError(
            "the corruption objective needs a tokenizer with end and padding tokens and sentinels (<extra_id_0> ...): "
            "train one with `trivium tokenizer train`, or use T5's"
        )
    return tokenizer.end, tokenizer.pad
