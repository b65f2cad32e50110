"""The feed and the loss with which a ``Trainer`` improves a policy on its own texts, by PPO or GRPO.

A round: prompts are drawn, the policy of that moment answers them, the answers are scored, and ``epochs`` times
``minibatches`` updates learn from them. What a round made is remembered between its updates and saved with the
optimizer's state, as is the price of the distance where it adapts; prompts, random numbers and the order of updates are
functions of the seed and the round's number. So a run that was killed within a round goes on with the very same texts.

The policy learns as it writes, without dropout: the ratio compares one function with itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from trivium.alignment import group_policy, policy
from trivium.alignment.group_policy import Grpo
from trivium.alignment.policy import Ppo
from trivium.alignment.rewards import Asked, Reward, total
from trivium.alignment.rollouts import Rollouts, Texts, Writing, log_probabilities, measured, reading, written
from trivium.errors import SettingsError
from trivium.objectives.causal import Causal
from trivium.objectives.objective import Batch, Loss
from trivium.randomness import key
from trivium.tasks.batching import within_budget
from trivium.text.chats import Message
from trivium.text.order import drawn, permuted
from trivium.tokenizers import Tokenizer
from trivium.transformer import VALUE, Config, Inputs, Network, TokenHead

PRETRAINING = "pretraining"
"""The loss of the text to be remembered."""

CLIPPED = "clipped"
"""The share of tokens whose ratio is outside the limits: a figure that is logged beside the losses."""

Settings = Ppo | Grpo


@dataclass(frozen=True)
class PolicyPrompt:
    """What is answered: the tokens that the model reads, and for rewards the messages and the row they came from."""

    ids: tuple[int, ...]
    messages: tuple[Message, ...]
    example: Mapping[str, object]
    place: str


def heads(settings: Settings, config: Config) -> dict[str, nn.Module]:
    """What the policy has beside its vocabulary's scores."""
    return {VALUE: TokenHead(config, 1, dropout=0.0)} if isinstance(settings, Ppo) else {}


@torch.no_grad()
def expect_nothing(model: Network) -> None:
    """A value head's first weights are 0, as in the published code: the first advantages are the rewards'."""
    if VALUE in model.heads:
        for parameter in model.heads[VALUE].parameters():
            parameter.zero_()


@dataclass(eq=False)
class PolicyLearning:
    """``Trainer(policy, learning.loss, learning, ...)``. ``batch``: prompts of a round. ``micro_tokens``: with padding,
    of one pass with gradients. ``remember``: for each update a batch of text that is not to be forgotten, of which a
    nat counts ``mix`` (InstructGPT's PPO-ptx and its gamma)."""

    policy: Network
    reference: Network
    prompts: Sequence[PolicyPrompt]
    rewards: Sequence[Reward]
    tokenizer: Tokenizer
    writing: Writing
    settings: Settings
    batch: int
    seed: int = 0
    micro_tokens: int = 8192
    remember: Callable[[int], Batch] | None = None
    mix: float = 0.0
    price: float = field(init=False)  # of the distance, in the present round
    rollouts: Rollouts | None = field(init=False, default=None)
    round: int = field(init=False, default=-1)  # that the rollouts are of

    def __post_init__(self) -> None:
        self.price = self.settings.kl
        responses, least = self.batch * self.settings.samples, 2 * self.settings.minibatches
        if responses < least:
            raise SettingsError(
                f"a round has {responses} responses, which do not fill {self.settings.minibatches} minibatches of at "
                f"least 2: raise training.batch"
            )

    @property
    def updates(self) -> int:
        """Of each round."""
        return self.settings.epochs * self.settings.minibatches

    def __call__(self, number: int) -> list[Batch]:
        self.policy.eval()
        number_of_round, update = divmod(number, self.updates)
        if number_of_round != self.round:
            self._begin(number_of_round)
        rollouts = self.rollouts
        assert rollouts is not None
        epoch, part = divmod(update, self.settings.minibatches)
        count = len(rollouts.scores)
        order = permuted(key(self.seed, "minibatches", number_of_round), epoch, count, np.arange(count))
        rows = np.sort(np.array_split(order, self.settings.minibatches)[part])
        batches = self._batches(rollouts, rows)
        if self.remember is not None:
            made = self.remember(number)
            batches.append(
                replace(
                    made,
                    targets={PRETRAINING if name == "causal" else name: t for name, t in made.targets.items()},
                    counts={PRETRAINING: made.counts["causal"]},
                    weights={PRETRAINING: self.mix},
                )
            )
        return batches

    def loss(self, model: Network, batch: Batch) -> dict[str, Loss]:
        """Named sums: ``policy``, PPO's ``value`` and ``clipped``, or of text to be remembered ``pretraining``."""
        targets, settings = batch.targets, self.settings
        if PRETRAINING in batch.counts:
            as_causal = {"causal" if name == PRETRAINING else name: t for name, t in targets.items()}
            counted = replace(batch, targets=as_causal, counts={"causal": batch.counts[PRETRAINING]})
            return {PRETRAINING: Causal().loss(model, counted)["causal"]}
        out = model(batch.inputs, at=targets["at"], heads=(VALUE,) if isinstance(settings, Ppo) else ())
        new = log_probabilities(out.logits, targets["policy"], self.writing)
        old, advantages = targets["old"], targets["advantages"]
        limits = (1 - settings.clip, 1 + settings.clip)
        if isinstance(settings, Grpo):
            limits = settings.limits
            each = group_policy.group_loss(new, old, targets["reference"], advantages, settings)
            losses = {"policy": Loss((each * targets["counting"]).sum(), batch.counts["policy"])}
        else:
            expected = out.heads[VALUE].float().reshape(-1)[targets["at"]]
            gain = policy.policy_loss(new, old, advantages, settings.clip)
            error = policy.value_loss(expected, targets["expected"], targets["returns"], settings.value_clip)
            losses = {"policy": Loss(gain.sum(), len(new)), "value": Loss(error.sum(), len(new))}
        with torch.no_grad():
            ratio = (new - old).exp()
            outside = (ratio < limits[0]) | (ratio > limits[1])
        return losses | {CLIPPED: Loss(outside.float().sum(), len(new))}

    def state_dict(self) -> dict[str, Tensor]:
        if self.rollouts is None:
            return {}
        now = {"price": torch.tensor(self.price, dtype=torch.float64), "round": torch.tensor(self.round)}
        return now | self.rollouts.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if not state:
            self.price, self.round, self.rollouts = self.settings.kl, -1, None
            return
        self.price, self.round = float(state["price"]), int(state["round"])
        self.rollouts = Rollouts.from_state(state)

    def scored(self, texts: Texts, prompts: Sequence[PolicyPrompt]) -> tuple[Tensor, Tensor]:
        """(B,) what each response is worth, and (B, P) by each reward, both float64."""
        sums, parts = total(self.rewards, self.asked(texts, prompts))
        return torch.tensor(sums, dtype=torch.float64), torch.tensor(list(parts.values()), dtype=torch.float64).T

    def asked(self, texts: Texts, prompts: Sequence[PolicyPrompt]) -> list[Asked]:
        """The responses as text, each with what it answers."""
        said = [self.tokenizer.decode(ids) for ids in texts.responses()]
        return [Asked(p.messages, text, p.example, p.place) for p, text in zip(prompts, said, strict=True)]

    def _begin(self, number: int) -> None:
        """The texts of a round, by the policy as it is now; the price follows the distance of the round before."""
        settings = self.settings
        if isinstance(settings, Ppo) and settings.kl_target is not None and self.rollouts is not None:
            before = self.rollouts
            away = float((before.policy - before.reference).sum(dim=1).double().mean())
            self.price = policy.adapted(
                self.price, away, settings.kl_target, len(before.scores), settings.kl_horizon
            )
        numbers = np.arange(number * self.batch, (number + 1) * self.batch)
        chosen = drawn(key(self.seed, "prompts"), len(self.prompts), numbers).repeat(settings.samples)
        answered = [self.prompts[n] for n in chosen]
        texts = written(
            self.policy, [each.ids for each in answered], range(len(answered)), self.writing,
            key(self.seed, "rollouts", number) >> 1,
        )  # fmt: skip
        scores, parts = self.scored(texts, answered)
        chances, values = measured(self.policy, texts, self.writing)
        reference, _ = measured(self.reference, texts, self.writing)
        self.rollouts = Rollouts(
            texts.ids, texts.starts, texts.lengths, texts.ended, torch.from_numpy(chosen), scores, parts, chances,
            reference, values,
        )  # fmt: skip
        self.round = number

    def _batches(self, rollouts: Rollouts, rows: np.ndarray) -> list[Batch]:
        """Some responses, as micro-batches. Advantages are computed of all of them together."""
        per_token = self._targets(rollouts, rows)
        chosen = torch.from_numpy(rows)
        lengths = rollouts.lengths[chosen]
        real = rollouts.real[chosen]
        whole = (rollouts.starts[chosen] + lengths).numpy()
        settings, made = self.settings, []
        for part in within_budget(whole, np.arange(len(rows)), self.micro_tokens):
            read, at, tokens = reading(rollouts, rows[part], self.policy.config.pad_token)
            here = real[part]
            targets = {name: values[part][here] for name, values in per_token.items()}
            targets |= {"at": at, "policy": tokens}
            if isinstance(settings, Grpo):
                counting = group_policy.token_weights(lengths[part], settings, self.writing.max_tokens)
                targets["counting"] = counting[:, None].expand(here.shape)[here]
                counts, weights = {"policy": len(tokens) if settings.average == "token" else len(part)}, {CLIPPED: 0.0}
            else:
                counts = {"policy": len(tokens), "value": len(tokens)}
                weights = {"value": settings.value_weight, CLIPPED: 0.0}
            counts[CLIPPED] = len(tokens)
            made.append(
                Batch(
                    Inputs(target=read), targets, counts, int(whole[part].sum()), rows[part].tolist(), weights=weights
                )
            )
        return made

    def _targets(self, rollouts: Rollouts, rows: np.ndarray) -> dict[str, Tensor]:
        """(b, R) float32 each."""
        chosen, settings = torch.from_numpy(rows), self.settings
        old, reference, real = rollouts.policy[chosen], rollouts.reference[chosen], rollouts.real[chosen]
        if isinstance(settings, Grpo):
            advantages = group_policy.group_advantages(rollouts.scores, settings.group, settings.scale)[chosen]
            spread = advantages.float()[:, None].expand(old.shape)
            return {"old": old, "reference": reference, "advantages": spread}
        values = rollouts.values[chosen]
        rewards = policy.token_rewards(rollouts.scores[chosen].float(), old, reference, real, self.price)
        if settings.whiten_rewards:
            rewards = policy.whitened(rewards, real, shift_mean=False)
        advantages, returns = policy.advantages_and_returns(rewards, values, real, settings.gamma, settings.lambda_)
        white = policy.whitened(advantages, real)
        return {"old": old, "expected": values, "returns": returns, "advantages": white}

