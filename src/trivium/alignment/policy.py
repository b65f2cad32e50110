"""Proximal policy optimisation of a language model, as formulas on tensors (Schulman et al. 2017; Ziegler et al. 2019,
section 2 and their code's ``train_policy.py``; Ouyang et al. 2022, section 3.5 and appendix C).

A response is an episode, a token an action. Its reward is the price of leaving the reference at every token, and what
the text is worth at the last one. B responses, R their places, padded on the right; ``real`` (B, R) bool says which
places are tokens. Left out: separate networks for policy and value (the value is a head on the policy, as in Ziegler et
al.; InstructGPT began another network from the reward model), and sampling that cuts the distribution (top-k, top-p),
for which the ratio would not be that of what was drawn from.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from trivium.errors import SettingsError


@dataclass(frozen=True)
class Ppo:
    """``kl``: the price of a nat away from the reference; it stays, or with ``kl_target`` follows the measured distance
    (nats a response). The defaults are the published code's; InstructGPT has ``kl=0.02``, ``epochs=1`` and rounds of
    512 responses in minibatches of 64.
    """

    kind: Literal["ppo"] = "ppo"
    minibatches: int = 1  # the responses of a round in so many updates
    epochs: int = 4  # over the responses of a round
    kl: float = 0.2
    kl_target: float | None = None
    kl_horizon: int = 10_000  # responses
    gamma: float = 1.0
    lambda_: float = 0.95
    clip: float = 0.2
    value_clip: float = 0.2
    value_weight: float = 0.1
    whiten_rewards: bool = True

    def __post_init__(self) -> None:
        check_limits(
            self,
            ("minibatches", self.minibatches >= 1, "at least 1"),
            ("epochs", self.epochs >= 1, "at least 1"),
            ("kl", 0 <= self.kl < float("inf"), "0 (no price) or above"),
            ("kl_target", self.kl_target is None or self.kl_target > 0, "above 0"),
            ("kl_horizon", self.kl_horizon >= 1, "at least 1"),
            ("gamma", 0 < self.gamma <= 1, "above 0 and at most 1"),
            ("lambda_", 0 <= self.lambda_ <= 1, "between 0 and 1"),
            ("clip", 0 < self.clip < 1, "between 0 and 1"),
            ("value_clip", self.value_clip > 0, "above 0"),
            ("value_weight", 0 < self.value_weight < float("inf"), "above 0"),
        )
        if self.kl_target is not None and self.kl == 0:
            raise SettingsError("method.kl is 0, and kl_target multiplies it: begin with a kl above 0")

    @property
    def samples(self) -> int:
        """Responses to a prompt in a round."""
        return 1


def check_limits(settings: object, *limits: tuple[str, bool, str]) -> None:
    """Refuses the first setting that is not allowed: its name, whether it is, what is."""
    for name, holds, allowed in limits:
        if not holds:
            raise SettingsError(f"method.{name.rstrip('_')} is {getattr(settings, name)!r}: it must be {allowed}")


def token_rewards(scores: Tensor, policy: Tensor, reference: Tensor, real: Tensor, kl: float) -> Tensor:
    """(B, R): at every token the price ``kl`` of its log-ratio to the reference, at the last one the text's score (B,)
    as well. ``policy`` and ``reference``: (B, R) log-probabilities."""
    rewards = -kl * (policy - reference) * real
    last = real.sum(dim=1, keepdim=True) - 1
    return rewards.scatter_add(1, last, scores[:, None])


def whitened(values: Tensor, real: Tensor, shift_mean: bool = True) -> Tensor:
    """(B, R) values with variance 1, and mean 0 unless the mean is kept; statistics of real places alone, as a
    population's. Other places are 0."""
    count = real.sum()
    mean = (values * real).sum() / count
    variance = ((values - mean).square() * real).sum() / count
    white = (values - mean) * torch.rsqrt(variance + 1e-8)
    return (white if shift_mean else white + mean) * real


def advantages_and_returns(
    rewards: Tensor, values: Tensor, real: Tensor, gamma: float, lambda_: float
) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimation (Schulman et al. 2016): (B, R) each. ``values[:, t]`` is what is expected from
    token t on, said before it is chosen; after the last token nothing is to come."""
    advantages = torch.zeros_like(rewards)
    ahead = torch.zeros_like(rewards[:, 0])
    following = torch.zeros_like(rewards[:, 0])
    for t in range(rewards.shape[1] - 1, -1, -1):
        surprise = rewards[:, t] + gamma * following - values[:, t]
        here = real[:, t]
        ahead = torch.where(here, surprise + gamma * lambda_ * ahead, 0.0)
        following = torch.where(here, values[:, t], 0.0)
        advantages[:, t] = ahead
    return advantages, (advantages + values) * real


def policy_loss(new: Tensor, old: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """-min(ratio A, clip(ratio) A) of each token (any shape): nothing is gained by a ratio outside 1 +- ``clip``."""
    ratio = (new - old).exp()
    return torch.maximum(-advantages * ratio, -advantages * ratio.clamp(1 - clip, 1 + clip))


def value_loss(new: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Half the squared error of each value (any shape), or of the value moved by ``clip`` at most, if that is worse."""
    near = old + (new - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((new - returns).square(), (near - returns).square())


def adapted(kl: float, measured: float, target: float, responses: int, horizon: int) -> float:
    """The price after a step: higher by up to 20% a horizon where the distance is above its target, or lower."""
    error = min(max(measured / target - 1, -0.2), 0.2)
    return kl * (1 + error * responses / horizon)
