"""Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300, section 4.1): PPO without a value.

Several responses to one prompt are each other's baseline: a response's advantage, the same at all of its tokens, is its
reward less the group's mean, over the group's standard deviation. The distance from the reference stands in the loss,
not in the reward, by an estimate that is never negative (Schulman's k3). Its gradient, on the policy's own responses,
is that of KL(reference || policy): what is best for reward and price together is not the reference tilted by
exp(reward / price), as in PPO, but at every token reference * price / (c - reward). Left out: process rewards, and new
rounds of the reward model and the reference (the paper's outer loop: start another run from the trained model).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from trivium.alignment.policy import check_limits


@dataclass(frozen=True)
class Grpo:
    """``kl``: what a nat away from the reference costs (the paper's beta). ``scale``: "group" divides advantages by the
    group's deviation; "none" does not (Liu et al. 2025: dividing favours prompts that are almost always or almost never
    solved). ``average``: over what the loss is a mean: "response" (the paper: every response counts the same, so that a
    token of a long one counts less), "token" (Yu et al. 2025, DAPO) or "length" (Liu et al. 2025: a sum over tokens,
    divided by the longest length allowed). ``clip_above``: another limit for ratios above 1 (DAPO's 0.28).
    """

    kind: Literal["grpo"] = "grpo"
    group: int = 8  # responses to a prompt; the paper has 64
    minibatches: int = 1  # the responses of a round in so many updates
    epochs: int = 1  # over the responses of a round
    kl: float = 0.04
    clip: float = 0.2
    clip_above: float | None = None
    scale: Literal["group", "none"] = "group"
    average: Literal["response", "token", "length"] = "response"

    def __post_init__(self) -> None:
        check_limits(
            self,
            ("group", self.group >= 2, "at least 2, for the responses of a group are compared with each other"),
            ("minibatches", self.minibatches >= 1, "at least 1"),
            ("epochs", self.epochs >= 1, "at least 1"),
            ("kl", 0 <= self.kl < float("inf"), "0 (no price) or above"),
            ("clip", 0 < self.clip < 1, "between 0 and 1"),
            ("clip_above", self.clip_above is None or self.clip_above > 0, "above 0"),
        )

    @property
    def samples(self) -> int:
        """Responses to a prompt in a round."""
        return self.group

    @property
    def limits(self) -> tuple[float, float]:
        """Between which a ratio counts as it is."""
        return 1 - self.clip, 1 + (self.clip if self.clip_above is None else self.clip_above)


def group_advantages(rewards: Tensor, group: int, scale: Literal["group", "none"] = "group") -> Tensor:
    """(B,) rewards, groups side by side, to (B,) advantages. The deviation is a sample's (over group - 1), and 1e-4 is
    added to it, as the field's common library has it; equal rewards give 0."""
    each = rewards.reshape(-1, group)
    advantages = each - each.mean(dim=1, keepdim=True)
    if scale == "group":
        advantages = advantages / (each.std(dim=1, keepdim=True) + 1e-4)
    return advantages.reshape(-1)


def distance(new: Tensor, reference: Tensor) -> Tensor:
    """k3, an estimate of KL(policy || reference) at each token (any shape) that the policy has drawn: never negative,
    right on average, and less scattered than the log-ratio itself."""
    away = reference - new
    return away.exp() - away - 1


def group_loss(new: Tensor, old: Tensor, reference: Tensor, advantages: Tensor, settings: Grpo) -> Tensor:
    """Of each token (any shape): the clipped gain, and the price of the distance."""
    ratio = (new - old).exp()
    gain = torch.minimum(advantages * ratio, advantages * ratio.clamp(*settings.limits))
    return settings.kl * distance(new, reference) - gain


def token_weights(lengths: Tensor, settings: Grpo, longest: int) -> Tensor:
    """(B,) what each token of a response counts in the loss, which is then a mean over responses; with ``average``
    "token" over tokens."""
    if settings.average == "token":
        return torch.ones_like(lengths, dtype=torch.float32)
    if settings.average == "length":
        return torch.full_like(lengths, 1 / longest, dtype=torch.float32)
    return 1 / lengths.float()
