"""Denoising for encoder-decoders: T5's objectives as rows of one table (Raffel et al. 2020, section 3.3 and table 3),
and MASS (Song et al. 2019) as one more.

A scheme is a composition: where the noise falls, what the encoder sees, what the decoder writes. The default, random
spans of mean length 3 over 15% of the tokens, is T5's choice. Inputs and targets both end in the end token. The paper's
format opens every target with the first span's sentinel and closes it with one more; T5's code leaves the last one out
(and opens with none where a text begins with noise): ``t5_code_compat``.

MASS hides one fragment of half the text, and the decoder writes that fragment alone. Left out: its decoder's positions
are those of the whole text; here they begin at 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np
from torch import nn

from trivium.errors import SettingsError
from trivium.objectives import noise, sentinels
from trivium.objectives.objective import Batch, Loss
from trivium.objectives.sentinels import Noised, Ragged
from trivium.objectives.sequence_to_sequence import pair_batch, pair_loss, refuse_others
from trivium.objectives.vocabulary import text_tokens
from trivium.randomness import Draws
from trivium.text.rows import Layout, Rows
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config

if TYPE_CHECKING:
    from trivium.transformer import Network

SchemeName = Literal[
    "prefix", "bert_style", "deshuffling", "iid_mask", "replace_spans", "drop", "random_spans", "mass"
]


@dataclass(frozen=True)
class Scheme:
    """Where noise falls, what the encoder sees and what the decoder writes (``code_targets``: as T5's code does)."""

    noise: Callable[[np.ndarray, int, Draws, float, float], np.ndarray]
    inputs: Callable[[Noised], Ragged]
    targets: Callable[[Noised], Ragged]
    code_targets: Callable[[Noised], Ragged] | None = None
    rate: float = 0.15
    uses: Literal["sentinels", "blank", "nothing"] = "nothing"  # one for each run, one for all, or none

    @property
    def spans(self) -> bool:
        """Whether the noise is spans of a mean length, and shortens the inputs by a known number of tokens."""
        return self.noise is noise.random_spans


SCHEMES: dict[str, Scheme] = {
    "prefix": Scheme(noise.prefix, sentinels.noise_alone, sentinels.text_alone, rate=0.5),
    "bert_style": Scheme(noise.iid, sentinels.blank_or_random, sentinels.original, uses="blank"),
    "deshuffling": Scheme(noise.iid, sentinels.noise_shuffled, sentinels.original, rate=1.0),
    "iid_mask": Scheme(noise.iid, sentinels.blank_for_noise, sentinels.original, uses="blank"),
    "replace_spans": Scheme(
        noise.iid, sentinels.sentinel_for_noise, sentinels.noise_after_sentinels, sentinels.sentinel_for_text,
        uses="sentinels",
    ),
    "drop": Scheme(noise.iid, sentinels.text_alone, sentinels.noise_alone),
    "random_spans": Scheme(
        noise.random_spans, sentinels.sentinel_for_noise, sentinels.noise_after_sentinels, sentinels.sentinel_for_text,
        uses="sentinels",
    ),
    "mass": Scheme(noise.fragment, sentinels.blank_random_or_kept, sentinels.noise_alone, rate=0.5, uses="blank"),
}  # fmt: skip


@dataclass(frozen=True)
class Corruption:
    """``rate`` of the tokens are noise (None: the scheme's own), in spans of ``mean_length`` where it has spans."""

    decoder_start: ClassVar[Literal["pad", "end"]] = "pad"

    kind: Literal["corruption"] = "corruption"
    scheme: SchemeName = "random_spans"
    rate: float | None = None
    mean_length: float = 3.0
    t5_code_compat: bool = False

    def __post_init__(self) -> None:
        if self.scheme not in get_args(SchemeName):
            raise SettingsError(f"objective.scheme = {self.scheme!r}: choose one of {', '.join(SCHEMES)}")
        if self.rate is not None and not 0 < self.rate < 1:
            raise SettingsError(f"objective.rate = {self.rate}: it must lie between 0 and 1, such as 0.15")
        if self.mean_length < 1:
            raise SettingsError(f"objective.mean_length = {self.mean_length}: a span has at least 1 token")

    @property
    def density(self) -> float:
        """The share of the tokens that are noise."""
        return SCHEMES[self.scheme].rate if self.rate is None else self.rate

    def lengths(self, raw: int) -> tuple[int, int]:
        """(input, target) lengths, end tokens included, that random spans make of ``raw`` tokens."""
        noised, spans = (int(count[0]) for count in noise.span_counts(np.array([raw]), self.density, self.mean_length))
        return raw - noised + spans + 1, noised + spans + 1 + (not self.t5_code_compat)

    def raw_length(self, length: int) -> int:
        """The longest text whose corrupted input still fits ``length``: 512 -> 568, 128 -> 141, 64 -> 70."""
        raw = length - 1
        while self.lengths(raw + 1)[0] <= length:
            raw += 1
        return raw

    def layout(self, tokenizer: Tokenizer, length: int) -> Layout:
        """Rows longer than ``length``, by as much as the corruption will shorten them."""
        scheme = SCHEMES[self.scheme]
        _end_and_start(tokenizer)
        raw = self.raw_length(length) if scheme.spans else length - 1  # coins promise no shortening
        if scheme.spans and self.mean_length > raw:
            raise SettingsError(
                f"objective.mean_length = {self.mean_length:g}: rows have {raw} tokens, and a span must be shorter"
            )
        needed = self._spans(raw) + 1 if scheme.uses == "sentinels" else 0
        if needed > len(tokenizer.sentinels):
            raise SettingsError(
                f"rows of {length} tokens have about {needed - 1} spans and need {needed} sentinels, but the tokenizer "
                f"has {len(tokenizer.sentinels)}: shorten the rows, or use random_spans with a larger "
                "objective.mean_length, or a tokenizer with more sentinels"
            )
        _marks(tokenizer, scheme)
        return Layout("stream", raw)

    def _spans(self, raw: int) -> int:
        """How many spans ``raw`` tokens have; for coins the expected number."""
        if SCHEMES[self.scheme].spans:
            return int(noise.span_counts(np.array([raw]), self.density, self.mean_length)[1][0])
        return round(raw * self.density * (1 - self.density))

    def heads(self, config: Config) -> dict[str, nn.Module]:
        """None of its own; refuses a model that is not an encoder-decoder started by its padding token."""
        refuse_others("corruption", config)
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
        mask = scheme.noise(real.sum(axis=1), real.shape[1], draws, self.density, self.mean_length)
        if scheme.uses == "sentinels":
            mask = sentinels.within_sentinels(mask, len(tokenizer.sentinels))
        noised = Noised(rows.tokens, real, mask, _marks(tokenizer, scheme), draws, text_tokens(tokenizer))
        write = scheme.code_targets if self.t5_code_compat and scheme.code_targets else scheme.targets
        return scheme.inputs(noised).closed(end), write(noised).closed(end)

    def batch(self, rows: Rows, draws: Draws, tokenizer: Tokenizer) -> Batch:
        """The decoder's inputs are the targets moved right by one, after the padding token, as T5 begins."""
        _, start = _end_and_start(tokenizer)
        return pair_batch("corruption", *self.corrupt(rows, draws, tokenizer), start, rows.draws)

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        return pair_loss("corruption", model, batch)


def _end_and_start(tokenizer: Tokenizer) -> tuple[int, int]:
    if tokenizer.end is None or tokenizer.pad is None:
        raise SettingsError(
            "the corruption objective needs a tokenizer with end and padding tokens: train one with "
            "`trivium tokenizer train`, or use T5's"
        )
    return tokenizer.end, tokenizer.pad


def _marks(tokenizer: Tokenizer, scheme: Scheme) -> np.ndarray:
    """(S,) the sentinels. What one token stands for all noise by is the first of them, as in T5's code, or the mask
    token of a tokenizer without any."""
    found = tokenizer.sentinels
    if not found and scheme.uses == "blank" and tokenizer.mask is not None:
        found = (tokenizer.mask,)
    if len(found) < {"sentinels": 2, "blank": 1, "nothing": 0}[scheme.uses]:
        raise SettingsError(
            "this scheme of the corruption objective needs a tokenizer with sentinels (<extra_id_0> ...): train one "
            "with `trivium tokenizer train`, or use T5's"
        )
    return np.array(found, np.int64)
