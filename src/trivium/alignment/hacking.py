"""What a round's responses look like beside their reward, and in words what may be wrong with them.

A policy finds what its reward measures, which is not always what was meant (Gao et al. 2023): longer texts, repeated
ones, all texts alike. None of these figures proves it; each is a reason to read some responses.
"""

from collections.abc import Mapping, Sequence

import torch

from trivium.alignment.rollouts import Rollouts

FAR = 20.0  # nats a response
LOST = 0.1  # of a judge's win rate: worth a look


def distinct(responses: Sequence[Sequence[int]], size: int) -> float:
    """Different n-grams over all n-grams of the responses together (Li et al. 2016); 1 where there are none."""
    grams = [tuple(ids[n : n + size]) for ids in responses for n in range(len(ids) - size + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0


def repeated(responses: Sequence[Sequence[int]], size: int = 4) -> float:
    """Which share of the n-grams stands in the same response before."""
    again = total = 0
    for ids in responses:
        grams = [tuple(ids[n : n + size]) for n in range(len(ids) - size + 1)]
        again, total = again + len(grams) - len(set(grams)), total + len(grams)
    return again / total if total else 0.0


def looks(rollouts: Rollouts, names: Sequence[str], samples: int) -> dict[str, float]:
    """A round in figures. ``names``: of the rewards; ``samples``: responses to a prompt. ``kl``: nats a response away
    from the reference, on average; ``entropy``: nats a token; ``equal_groups``: the share of groups whose responses are
    worth the same, from which GRPO learns nothing."""
    said = rollouts.responses()
    away = (rollouts.policy - rollouts.reference).double().sum(dim=1)
    found = {
        "reward": float(rollouts.scores.mean()),
        "reward_deviation": float(rollouts.scores.std(correction=0)),
        "kl": float(away.mean()),
        "entropy": float(-rollouts.policy.double().sum() / rollouts.lengths.sum()),
        "length": float(rollouts.lengths.double().mean()),
        "ended": float(rollouts.ended.double().mean()),
        "distinct_1": distinct(said, 1),
        "distinct_2": distinct(said, 2),
        "repeated": repeated(said),
    }
    if samples > 1:
        groups = rollouts.scores.reshape(-1, samples)
        found["equal_groups"] = float((groups == groups[:, :1]).all(dim=1).double().mean())
    if len(names) > 1:
        found |= {f"reward.{n}": float(p) for n, p in zip(names, rollouts.parts.mean(dim=0), strict=True)}
    return found


def average(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of the figures of several rounds."""
    return {name: float(torch.tensor([each[name] for each in rounds]).double().mean()) for name in rounds[0]}


def warnings(first: Mapping[str, float], now: Mapping[str, float]) -> dict[str, str]:
    """What is to be looked at, by what it is about: figures of the present beside those of the beginning."""
    found = {}
    if now["length"] > 1.5 * first["length"] and now["reward"] > first["reward"]:
        found["length"] = (
            f"responses grew from {first['length']:.0f} to {now['length']:.0f} tokens while the reward rose: see "
            "whether they say more, or a longer text is simply worth more"
        )
    if now["length"] < 0.5 * first["length"]:
        found["length"] = (
            f"responses shrank from {first['length']:.0f} to {now['length']:.0f} tokens: see whether they still answer"
        )
    if now["ended"] < 0.5 and now["ended"] < first["ended"] - 0.2:
        found["ended"] = (
            f"{1 - now['ended']:.0%} of the responses do not end by themselves, {1 - first['ended']:.0%} at first: the "
            "reward does not miss their ends"
        )
    if now["repeated"] > first["repeated"] + 0.1:
        found["repeated"] = (
            f"{now['repeated']:.0%} of the sequences of four tokens stand in the same response before, "
            f"{first['repeated']:.0%} at first: the reward may be paid for repetition"
        )
    if now["distinct_2"] < 0.5 * first["distinct_2"]:
        found["distinct"] = (
            f"responses became alike: {now['distinct_2']:.0%} of their pairs of tokens differ, "
            f"{first['distinct_2']:.0%} at first"
        )
    if now["kl"] > FAR:
        found["kl"] = (
            f"the policy is {now['kl']:.0f} nats a response away from the reference: what it writes is hardly the "
            "model's language any more; raise method.kl, or take an earlier checkpoint"
        )
    if now.get("equal_groups", 0.0) > 0.9:
        found["groups"] = (
            f"in {now['equal_groups']:.0%} of the groups all responses are worth the same, so nothing is learnt from "
            "them: give easier or harder prompts, or a reward with more steps"
        )
    return found


def overoptimised(evaluations: Sequence[Mapping[str, float]]) -> dict[str, str]:
    """Where the reward went on to rise and a judge, from whom nothing is learnt, turned away (Gao et al. 2023)."""
    judged = [each for each in evaluations if "judge_win_rate" in each]
    if len(judged) < 2:
        return {}
    best, now = max(judged, key=lambda each: each["judge_win_rate"]), judged[-1]
    if now["reward"] > best["reward"] and now["judge_win_rate"] < best["judge_win_rate"] - LOST:
        return {
            "judge": f"by the judge {now['judge_win_rate']:.0%} of the responses win over the reference's, and after "
            f"update {best['step']:.0f} it was {best['judge_win_rate']:.0%}, while the reward rose from "
            f"{best['reward']:.3g} to {now['reward']:.3g}: it is over-optimised; raise method.kl, or stop earlier"
        }
    return {}
