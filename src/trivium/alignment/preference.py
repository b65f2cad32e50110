"""Direct preference optimisation: a language model learns from pairs of replies as its own reward model.

DPO (Rafailov et al. 2023, equation 7): -log s(beta h) with h = (log pi_w - log ref_w) - (log pi_l - log ref_l), log
probabilities of whole replies given the prompt. Conservative DPO (Mitchell 2023) takes a share of the labels for
wrong; IPO (Azar et al. 2024, equation 17) asks that h be 1 / (2 beta), not ever more. The reference is the model as it
was at the start, so its numbers are computed once (``reference.py``). Beside it, the chosen reply may be learnt as it
is (Pang et al. 2024). Left out: other divergences than Kullback and Leibler's, and losses for single replies.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trivium.alignment.pairs import PREFERENCE, TokenPairs, pair_batch
from trivium.alignment.reward import watched_losses, watching
from trivium.errors import SettingsError
from trivium.objectives import Batch, Loss

if TYPE_CHECKING:
    from trivium.transformer import Network

IMITATION = "imitation"
"""The name of the loss of the chosen replies' tokens."""


class ReplyScores(NamedTuple):
    """Log-probabilities of replies, summed over their tokens: (B,) each, or (2B,) with the rejected ones behind."""

    sums: Tensor
    tokens: Tensor

    def halves(self) -> tuple[Tensor, Tensor]:
        """The chosen replies' sums and the rejected ones'."""
        chosen, rejected = self.sums.chunk(2)
        return chosen, rejected


def token_log_probabilities(logits: Tensor, targets: Tensor) -> Tensor:
    """(N, V) logits of any float type and (N,) tokens -> (N,) float32."""
    return -F.cross_entropy(logits.float(), targets, reduction="none")


def reply_scores(model: "Network", batch: Batch) -> ReplyScores:
    """(2B,) of a batch of pairs."""
    targets = batch.targets
    logits = model(batch.inputs, at=targets["at"]).logits
    each = token_log_probabilities(logits, targets["tokens"])
    sums = each.new_zeros(len(targets["last"])).index_add(0, targets["sides"], each)
    return ReplyScores(sums, torch.bincount(targets["sides"], minlength=len(targets["last"])).to(each.dtype))


def preference_losses(
    apart: Tensor, beta: float, kind: Literal["dpo", "ipo"] = "dpo", label_smoothing: float = 0.0
) -> Tensor:
    """(B,) from h (B,): how much more the policy prefers the chosen reply than the reference does."""
    if kind == "ipo":
        return (apart - 1 / (2 * beta)).square()
    right, flipped = -F.logsigmoid(beta * apart), -F.logsigmoid(-beta * apart)
    return right if not label_smoothing else (1 - label_smoothing) * right + label_smoothing * flipped


@dataclass(frozen=True)
class PreferenceOptimisation:
    """``beta``: how dear it is to leave the reference; small values let the model go far. ``label_smoothing``: the
    share of pairs whose sides are taken to be confused. ``imitation``: times the mean loss of the chosen replies'
    tokens. ``per_token``: h is of means over a reply's tokens, not of sums, so that long replies do not weigh more."""

    variant: Literal["dpo", "ipo"] = "dpo"
    beta: float = 0.1
    label_smoothing: float = 0.0
    imitation: float = 0.0
    per_token: bool = False

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise SettingsError(f"beta = {self.beta}: it must be above 0")
        if not 0 <= self.label_smoothing < 0.5:
            raise SettingsError(
                f"label_smoothing = {self.label_smoothing}: it must be at least 0 and below 0.5, where the labels "
                "would say nothing"
            )
        if self.label_smoothing and self.variant == "ipo":
            raise SettingsError("label_smoothing is for variant dpo: leave it out, or leave out ipo")
        if self.imitation < 0:
            raise SettingsError(f"imitation = {self.imitation}: it must not be negative")

    watched: ClassVar[tuple[str, ...]] = (
        "accuracy", "margin", "reward_chosen", "reward_rejected", "log_probability_chosen", "log_probability_rejected",
    )  # fmt: skip

    def batch(self, pairs: TokenPairs, numbers: np.ndarray, reference: np.ndarray) -> Batch:
        """The pairs of these numbers; ``reference``: (pairs, 2) the reference's log-probabilities of all replies."""
        made = watching(pair_batch(pairs, numbers), self.watched)
        made.targets["reference"] = torch.from_numpy(reference[numbers].T.reshape(-1))
        if self.imitation:
            made.counts[IMITATION] = sum(len(pairs.pairs[number].chosen.said) for number in numbers)
            made = replace(made, weights={**made.weights, IMITATION: self.imitation})
        return made

    def apart(self, policy: ReplyScores, reference: Tensor) -> Tensor:
        """(B,) h, from (2B,) of the policy and of the reference."""
        ratios = policy.sums - reference
        if self.per_token:
            ratios = ratios / policy.tokens
        chosen, rejected = ratios.chunk(2)
        return chosen - rejected

    def loss(self, model: "Network", batch: Batch) -> dict[str, Loss]:
        """What is learnt, and beside it what is watched: how often the policy's implicit reward, beta (log pi - log
        ref), is the larger for the chosen reply, by how much, and the log-probabilities of both."""
        scores, count = reply_scores(model, batch), batch.counts[PREFERENCE]
        reference = batch.targets["reference"]
        apart = self.apart(scores, reference)
        losses = preference_losses(apart, self.beta, self.variant, self.label_smoothing)
        made = {PREFERENCE: Loss(losses.sum(), count)}
        chosen, rejected = scores.halves()
        if self.imitation:
            made[IMITATION] = Loss(-chosen.sum(), batch.counts[IMITATION])
        rewards = self.beta * (scores.sums - reference).detach()
        better, worse = rewards.chunk(2)
        figures = ((apart > 0).float(), better - worse, better, worse, chosen, rejected)
        named = {name: value.detach() for name, value in zip(self.watched, figures, strict=True)}
        return made | watched_losses(named, count)
