"""From logits to the next token: temperature, top-k, top-p, min-p and typical sampling, as pure functions.

Order and definitions are those of the field's common library, so that settings found elsewhere mean the same here:
the rules (``rules.py``), temperature, top-k (Fan et al. 2018), top-p or nucleus (Holtzman et al. 2020), min-p (Nguyen
et al. 2024), typical (Meister et al. 2022). One difference: tokens exactly as probable as the last one kept are kept
too, so that no choice hangs on the order of ties. R rows (sequences), V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
import torch
from torch import Tensor

from trivium.errors import SettingsError, TriviumError
from trivium.generation.constraints import Form, schema_text
from trivium.generation.rules import check_settings, text_limits
from trivium.randomness import Draws, key

_FIRST_LOOK = 1024  # top-p looks at this many tokens before it sorts the whole vocabulary


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen and when a text ends. ``temperature=0`` always takes the most probable token, and so
    does one below 1e-5, whose quotients no float32 holds."""

    max_tokens: int = 100
    temperature: float = 0.8
    top_k: int = 0  # 0: all
    top_p: float = 0.95  # 1: all
    min_p: float = 0.0  # 0: all; else at least this share of the most probable token's probability
    repetition_penalty: float = 1.0  # 1: none; above 1 makes tokens already in the text less likely
    seed: int = 0
    stop: tuple[str, ...] = ()
    min_tokens: int = 0  # no end before so many
    no_repeat_ngram: int = 0  # 0: all; else no sequence of so many tokens comes twice, the prompt included
    json_schema: str | None = None  # the text is JSON that fits it
    regex: str | None = None  # the text matches it as a whole
    choices: tuple[str, ...] = ()  # the text is one of them
    typical_p: float = 1.0  # 1: all; else the tokens whose surprise is nearest to the mean, that make up this share
    presence_penalty: float = 0.0  # taken from the logits of tokens that were written, the prompt's not among them
    frequency_penalty: float = 0.0  # the same for each time that a token was written
    logit_bias: tuple[str, ...] = ()  # "TOKEN=BIAS", a token's number or text and what is added to its logit
    banned_words: tuple[str, ...] = ()
    forced_words: tuple[str, ...] = ()  # the text does not end before all of these are in it
    top_log_probabilities: int = 0  # how many of the most probable tokens are told beside each

    @property
    def form(self) -> Form:
        """What the text may be."""
        return Form(self.json_schema, self.regex, self.choices)

    @property
    def greedy(self) -> bool:
        return self.temperature < 1e-5

    def biases(self) -> list[tuple[str, float]]:
        """``logit_bias`` in its two parts; there may be an equals sign in a token."""
        found = []
        for each in self.logit_bias:
            token, _, bias = each.rpartition("=")
            try:
                found.append((token, float(bias)))
            except ValueError:
                token = ""
            if not token or not isfinite(found[-1][1]):
                raise SettingsError(
                    f"logit_bias has {each!r}: it must look like ' the=-5', a token's text or number and what is added"
                )
        return found

    def __post_init__(self) -> None:
        for name in ("stop", "logit_bias", "banned_words", "forced_words"):
            if isinstance(getattr(self, name), str):
                object.__setattr__(self, name, (getattr(self, name),))
        if isinstance(self.logit_bias, Mapping):
            object.__setattr__(self, "logit_bias", tuple(f"{token}={bias}" for token, bias in self.logit_bias.items()))
        self.biases()  # refuses what is none
        object.__setattr__(self, "json_schema", schema_text(self.json_schema))
        assert self.form is not None  # it checks itself
        check_settings(
            self,
            *text_limits(self),
            ("temperature", 0 <= self.temperature < float("inf"), "0 (always the most probable token) or above"),
            ("top_k", self.top_k >= 0, "0 (all) or above"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
            ("min_p", 0 <= self.min_p <= 1, "between 0 and 1"),
            ("typical_p", 0 < self.typical_p <= 1, "above 0 and at most 1"),
            ("presence_penalty", isfinite(self.presence_penalty), "a finite number, 0 for none"),
            ("frequency_penalty", isfinite(self.frequency_penalty), "a finite number, 0 for none"),
            ("top_log_probabilities", self.top_log_probabilities >= 0, "0 (none) or above"),
        )


def nucleus_floor(logits: Tensor, top_p: float) -> Tensor:
    """(R, 1): the lowest logit of the smallest set of most probable tokens whose probabilities reach ``top_p``."""
    total = logits.logsumexp(dim=-1, keepdim=True)
    for count in (_FIRST_LOOK, logits.shape[-1]):
        ordered = logits.topk(min(count, logits.shape[-1]), dim=-1).values  # (R, count), falling
        through = (ordered - total).exp().cumsum(dim=-1)
        if bool((through[:, -1] >= top_p).all()):
            break
    before = through - (ordered - total).exp()  # probability of all that are more probable
    last = (before < top_p).sum(dim=-1, keepdim=True) - 1
    return ordered.gather(-1, last.clamp(min=0))


def typical(logits: Tensor, mass: float) -> Tensor:
    """(R, V) bool: the smallest set of tokens whose probabilities reach ``mass``, those first whose surprise (minus the
    log of their probability) is nearest to its mean, the entropy. At least one."""
    surprise = -logits.log_softmax(dim=-1)
    chances = (-surprise).exp()
    entropy = (surprise * chances).nansum(dim=-1, keepdim=True)  # what is ruled out counts nothing
    away = (surprise - entropy).abs()
    ordered, order = away.sort(dim=-1)
    through = chances.gather(-1, order).cumsum(dim=-1)
    last = (through < mass).sum(dim=-1, keepdim=True).clamp(max=logits.shape[-1] - 1)
    return away <= ordered.gather(-1, last)


def filtered(logits: Tensor, sampling: Sampling) -> Tensor:
    """(R, V) logits after temperature, top-k, top-p, min-p and typical sampling; what is ruled out is -inf. Not for
    greedy choice."""
    kept = (logits - logits.amax(dim=-1, keepdim=True)) / sampling.temperature  # no quotient can overflow
    if 0 < sampling.top_k < kept.shape[-1]:
        floor = kept.topk(sampling.top_k, dim=-1).values[:, -1:]
        kept = kept.masked_fill(kept < floor, -torch.inf)
    if sampling.top_p < 1:
        kept = kept.masked_fill(kept < nucleus_floor(kept, sampling.top_p), -torch.inf)
    if sampling.min_p > 0:
        floor = kept.amax(dim=-1, keepdim=True) + float(np.log(sampling.min_p))
        kept = kept.masked_fill(kept < floor, -torch.inf)
    if sampling.typical_p < 1:
        kept = kept.masked_fill(~typical(kept, sampling.typical_p), -torch.inf)
    return kept


def probabilities(logits: Tensor, sampling: Sampling) -> Tensor:
    """(R, V) float64: the distribution the next token is drawn from; all on one token at temperature 0."""
    if sampling.greedy:
        return exact(torch.zeros_like(logits)).scatter_(-1, exact(logits).argmax(dim=-1, keepdim=True), 1.0)
    return exact(filtered(logits, sampling)).softmax(dim=-1)


def exact(values: Tensor) -> Tensor:
    """As float64; on the CPU where the device has none (Apple's)."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def choose(logits: Tensor, sampling: Sampling, uniform: Tensor) -> Tensor:
    """(R,) next tokens for (R, V) float32 logits; row r is settled by ``uniform[r]`` in [0, 1) alone."""
    check_finite(logits)
    if sampling.greedy:
        return logits.argmax(dim=-1)
    return drawn(probabilities(logits, sampling), uniform).to(logits.device)


def drawn(weights: Tensor, uniform: Tensor) -> Tensor:
    """(R,) tokens for (R, V) weights of any sum; row r is settled by ``uniform[r]`` in [0, 1) alone."""
    through = weights.cumsum(dim=-1)
    # scaled by the last sum, so that rounding leaves no gap at the top; the first sum above has probability > 0
    threshold = uniform.to(through)[:, None] * through[:, -1:]
    return torch.searchsorted(through, threshold, right=True)[:, 0].clamp(max=weights.shape[-1] - 1)


def check_finite(logits: Tensor) -> None:
    """Refuses (R, V) logits of a model that computes nothing of use."""
    if not bool(torch.isfinite(logits.amax(dim=-1)).all()):
        raise not_finite()


def not_finite() -> TriviumError:
    """What to say of such a model."""
    return TriviumError("the model's output is not finite: its weights are damaged, or its training diverged")


def uniforms(seed: int, prompt: Sequence[int], sample: int, count: int, start: int = 0) -> np.ndarray:
    """(count,) numbers in [0, 1), one a position from ``start`` on: a function of seed, prompt and sample, not of the
    batch around it."""
    row = key(seed, "generate", sample, *prompt)
    return Draws(row, np.arange(start, start + count)).uniform("token", 1)[:, 0]
