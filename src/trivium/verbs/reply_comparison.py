"""What a model that was aligned writes, beside what its reference writes to the same prompts.

Replies are drawn at temperature 1 from the whole distribution, so that the mean of log pi - log ref over the model's
replies estimates the Kullback-Leibler distance to the reference. A reward model may say which of the two is better; how
long replies are and how much they repeat shows where a reward is won by neither being better.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from trivium.alignment.reward_model import RewardModel
from trivium.errors import SettingsError
from trivium.generation.engine import Written, run
from trivium.generation.prompts import Prompt
from trivium.generation.sampling import Sampling
from trivium.generation.score import answers
from trivium.generation.score_rows import Question
from trivium.metrics.intervals import Interval, mean_t, paired_t
from trivium.randomness import key
from trivium.text.chats import Message, Preference
from trivium.transformer import Network
from trivium.transformer.adapters import Adapters
from trivium.verbs.alignment_parts import Start
from trivium.verbs.reward_models import open_reward_model

AT_ONCE = 32  # replies that are written side by side
SHOWN = 2


@dataclass(eq=False)
class ReplyComparison:
    """``prompts``: what is answered, as messages and as ids; ``chosen``: the replies that people preferred there."""

    start: Start
    prompts: Sequence[tuple[tuple[Message, ...], tuple[int, ...]]]
    chosen: Sequence[tuple[Message, ...]]
    sampling: Sampling
    ends: frozenset[int]
    judge: RewardModel | None
    _reference: list[Written] = field(default_factory=list)
    _judged: list[list[float]] = field(default_factory=list)  # the reference's rewards and the chosen replies'

    @classmethod
    def of(
        cls, start: Start, preferences: Sequence[Preference], samples: int, tokens: int, judge: str | None
    ) -> Self:
        """Of the first ``samples`` different prompts, as far as a reply to them fits into the context."""
        renderer = start.renderer()
        limit = start.model.config.limit
        found: dict[tuple[Message, ...], tuple[tuple[int, ...], tuple[Message, ...]]] = {}
        for each in preferences:
            if len(found) < samples and each.prompt not in found:
                ids = tuple(renderer.ids(each.prompt))
                if limit is None or len(ids) + tokens <= limit:
                    found[each.prompt] = ids, each.chosen
        if not found:
            raise SettingsError(
                f"no prompt of dev leaves room for a reply of {tokens} tokens in the context of {limit}: lower "
                "method.reply_tokens, or set method.samples=0"
            )
        model = open_reward_model(judge, start.training.device) if judge is not None else None
        sampling = Sampling(
            max_tokens=tokens, temperature=1.0, top_k=0, top_p=1.0, seed=key(start.training.seed, "replies") >> 1
        )
        return cls(
            start, [(prompt, ids) for prompt, (ids, _) in found.items()], [chosen for _, chosen in found.values()],
            sampling, start.generation(renderer).ends, model,
        )  # fmt: skip

    def figures(self, model: Network) -> dict[str, float]:
        """How far the model went (the mean over its replies of log pi - log ref, in nats a reply), how its replies look
        beside the reference's, and which of them the judge prefers; means with 95% intervals."""
        own = self._written(model)
        theirs = self._theirs(model)
        found = spread("kl", self._distance(model, own))
        for name, written in (("", own), ("reference_", theirs)):
            found[f"{name}reply_tokens"] = float(np.mean([len(each.tokens) for each in written]))
            found[f"{name}repetition"] = float(np.mean([repetition(each.tokens) for each in written]))
        longer = [float(len(mine.tokens) - len(other.tokens)) for mine, other in zip(own, theirs, strict=True)]
        found |= spread("reply_tokens_difference", mean_t(longer))
        if self.judge is not None:
            rewards = self._rewards(own)
            reference, preferred = self._beside(theirs)
            found |= spread("win_rate", win_rate(rewards, reference))
            found |= spread("win_rate_over_chosen", win_rate(rewards, preferred))
            found |= spread("reward_difference", paired_t(rewards, reference))
            found |= {
                "reward": float(np.mean(rewards)), "reference_reward": float(np.mean(reference)),
                "chosen_reward": float(np.mean(preferred)),
            }  # fmt: skip
        return found

    def shown(self, model: Network) -> str:
        """What the model writes to the first prompts."""
        written = self._written(model, SHOWN)
        pairs = zip(self.prompts, written, strict=False)
        decode = self.start.tokenizer.decode
        return "\n".join(f"{prompt[-1].content} -> {decode(each.tokens).strip()}" for (prompt, _), each in pairs)

    def _written(self, model: Network, most: int | None = None) -> list[Written]:
        asked = [Prompt(ids) for _, ids in self.prompts[:most]]
        vocabulary = self.start.tokenizer.vocab_size
        return [
            each for at in range(0, len(asked), AT_ONCE)
            for each in run(model, asked[at : at + AT_ONCE], self.sampling, self.ends, vocabulary)
        ]  # fmt: skip

    def _theirs(self, model: Network) -> list[Written]:
        if not self._reference:
            with self._as_reference(model) as reference:
                self._reference = self._written(reference)
        return self._reference

    def _beside(self, theirs: Sequence[Written]) -> list[list[float]]:
        """The rewards of the reference's replies and of the chosen ones, which do not change."""
        assert self.judge is not None
        if not self._judged:
            pairs = zip(self.prompts, self.chosen, strict=True)
            preferred = self.judge.rewards([(*prompt, *chosen) for (prompt, _), chosen in pairs])
            self._judged = [self._rewards(theirs), preferred]
        return self._judged

    def _distance(self, model: Network, written: Sequence[Written]) -> Interval:
        questions = []
        for (_, ids), each in zip(self.prompts, written, strict=True):
            said = self._said(each)
            places = tuple(range(len(ids) - 1, len(ids) - 1 + len(said)))
            questions.append(Question((*ids, *said), places, said, known=len(ids)))
        own = [score.log_probability for score in answers(model, questions)]
        with self._as_reference(model) as reference:
            theirs = [score.log_probability for score in answers(reference, questions)]
        return mean_t(np.array(own) - np.array(theirs))

    def _said(self, written: Written) -> tuple[int, ...]:
        """The reply's tokens, with the one that ended it where it is known which that was."""
        known = written.finish == "end" and len(self.ends) == 1
        return (*written.tokens, *self.ends) if known or not written.tokens else tuple(written.tokens)

    def _rewards(self, written: Sequence[Written]) -> list[float]:
        assert self.judge is not None
        judge, own, reads = self.judge, self.start, self.judge.renderer
        if reads.tokenizer.fingerprint == own.tokenizer.fingerprint and reads.template == own.template:
            rows = [(*ids, *self._said(each)) for (_, ids), each in zip(self.prompts, written, strict=True)]
            return judge.token_rewards(rows)
        # A reply without words is judged, too, and no template writes an empty one.
        replies = [own.tokenizer.decode(each.tokens).strip() or "..." for each in written]
        return judge.rewards(
            [(*prompt, Message("assistant", reply)) for (prompt, _), reply in zip(self.prompts, replies, strict=True)]
        )

    @contextmanager
    def _as_reference(self, model: Network) -> Iterator[Network]:
        """The model as it was before it learnt: with LoRA itself without its adapter."""
        adapters = Adapters(model)
        if not adapters.names:
            yield self.start.model.model.to(next(model.parameters()).device)
            return
        parts = adapters.selection.parts
        adapters.use(None)
        try:
            yield model
        finally:
            adapters.selection.parts = parts


def spread(name: str, found: Interval) -> dict[str, float]:
    """A figure and the ends of its interval, where there is more than one reply."""
    ends = {f"{name}_low": found.low, f"{name}_high": found.high}
    return {name: found.value, **{end: value for end, value in ends.items() if math.isfinite(value)}}


def win_rate(first: Sequence[float], second: Sequence[float]) -> Interval:
    """How often the first of two rewards is the larger, equal ones half, with a 95% interval."""
    outcome = np.sign(np.array(first) - np.array(second)) / 2 + 0.5
    found = mean_t(outcome)
    return Interval(found.value, max(0.0, found.low), min(1.0, found.high))


def repetition(tokens: Sequence[int], size: int = 3) -> float:
    """The share of a reply's runs of three tokens that stood in it before; 0 where it has none."""
    runs = [tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)]
    return 1 - len(set(runs)) / len(runs) if runs else 0.0
