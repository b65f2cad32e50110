"""GRPO's formulas against hand-computed values and ``trl``, and a policy whose optimum is known."""

import math
from types import SimpleNamespace

import pytest
import torch
from toy_policy import TEXTS, divergence, group_optimum, learn, tilted

from trivium.alignment import group_policy
from trivium.alignment.group_policy import Grpo, distance, group_advantages, group_loss, token_weights
from trivium.errors import SettingsError

WORTH = torch.tensor([text.count(1) / 3 for text in TEXTS], dtype=torch.float64)


def test_group_advantages_of_the_worked_example():
    """Rewards 1 0 0 1 0: mean .4, deviation of a sample .547723, of a population .489898."""
    rewards = torch.tensor([1.0, 0, 0, 1, 0], dtype=torch.float64)
    sample = group_advantages(rewards, 5)
    assert sample.tolist() == pytest.approx([1.095445, -0.730297, -0.730297, 1.095445, -0.730297], abs=3e-4)
    exact = torch.tensor([0.6 / 0.5478226, -0.4 / 0.5478226], dtype=torch.float64)
    assert sample[:2].tolist() == pytest.approx(exact.tolist(), abs=1e-6)
    assert group_advantages(rewards, 5, "none").tolist() == pytest.approx([0.6, -0.4, -0.4, 0.6, -0.4])
    population = (rewards - 0.4) / rewards.std(correction=0)
    assert population[:2].tolist() == pytest.approx([1.224745, -0.816497], abs=1e-6)


def test_groups_are_of_their_own_and_equal_rewards_teach_nothing():
    advantages = group_advantages(torch.tensor([1.0, 0.0, 5.0, 5.0]), 2)
    assert advantages[2:].tolist() == [0.0, 0.0]
    assert advantages[:2].tolist() == pytest.approx([0.5 / (math.sqrt(0.5) + 1e-4), -0.5 / (math.sqrt(0.5) + 1e-4)])


def test_the_distance_of_the_worked_example():
    assert distance(torch.tensor(0.3), torch.tensor(0.0)).item() == pytest.approx(0.040818, abs=1e-6)
    assert distance(torch.tensor(-1.0), torch.tensor(-1.0)).item() == 0.0


def test_the_distance_is_the_divergence_on_average():
    policy, reference = torch.tensor([0.5, 0.3, 0.2]).log(), torch.tensor([0.2, 0.2, 0.6]).log()
    average = float((policy.exp() * distance(policy, reference)).sum())
    assert average == pytest.approx(float((policy.exp() * (policy - reference)).sum()), abs=1e-6)


def test_every_average_counts_tokens_as_its_paper_has_it():
    lengths = torch.tensor([1, 4])
    assert token_weights(lengths, Grpo(average="response"), 10).tolist() == [1.0, 0.25]
    assert token_weights(lengths, Grpo(average="token"), 10).tolist() == [1.0, 1.0]
    assert token_weights(lengths, Grpo(average="length"), 10).tolist() == pytest.approx([0.1, 0.1])


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("group", 1, "group is 1: it must be at least 2"),
        ("minibatches", 0, "minibatches is 0"),
        ("epochs", 0, "epochs is 0"),
        ("kl", -1.0, "kl is -1.0"),
        ("clip", 0.0, "clip is 0.0"),
        ("clip_above", -0.1, "clip_above is -0.1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(field, value, said):
    with pytest.raises(SettingsError, match=said):
        Grpo(**{field: value})


AVERAGES = {"response": "grpo", "token": "bnpo", "length": "dr_grpo"}


@pytest.mark.parametrize("average", AVERAGES)
def test_the_loss_is_that_of_trl(average):
    """Its own loss function on a stand-in for its trainer: clipping above and below, the distance, every average."""
    pytest.importorskip("trl")
    pytest.importorskip("pandas")  # its GRPO trainer imports it
    pytest.importorskip("datasets")
    from trl import GRPOTrainer

    draw = torch.Generator().manual_seed(1)
    lengths, longest = torch.tensor([5, 2, 3, 1]), 5
    mask = (torch.arange(longest) < lengths[:, None]).int()
    new, old, reference = torch.randn(3, 4, longest, generator=draw) * 0.4 - 1
    advantages = torch.randn(4, generator=draw)
    settings = Grpo(kl=0.04, clip=0.2, clip_above=0.28, average=average)
    stand_in = SimpleNamespace(
        _get_per_token_logps_and_entropies=lambda *given, **named: (new, torch.zeros_like(new), None),
        top_entropy_quantile=1.0, _entropy_bonus_enabled=False, off_policy_mask_threshold=None,
        importance_sampling_level="token", beta=0.04,
        loss_type=AVERAGES[average], epsilon_low=0.2, epsilon_high=0.28, use_vllm=False,
        model=SimpleNamespace(training=False),
        max_completion_length=longest, aux_loss_enabled=False, current_gradient_accumulation_steps=1,
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False),
        accelerator=SimpleNamespace(gather=lambda x: x, reduce=lambda x, reduction: x, num_processes=1),
        _metrics={"eval": Lists(), "train": Lists()},
    )  # fmt: skip
    inputs = {
        "prompt_ids": torch.zeros(4, 1, dtype=torch.int64), "prompt_mask": torch.ones(4, 1, dtype=torch.int64),
        "completion_ids": torch.zeros(4, longest, dtype=torch.int64), "completion_mask": mask,
        "advantages": advantages, "old_per_token_logps": old, "ref_per_token_logps": reference,
    }  # fmt: skip
    theirs = GRPOTrainer._compute_loss(stand_in, None, inputs)
    each = group_loss(new, old, reference, advantages[:, None].expand(4, longest), settings)
    weights = token_weights(lengths, settings, longest)[:, None]
    count = int(lengths.sum()) if average == "token" else 4
    assert ((each * weights * mask).sum() / count).item() == pytest.approx(theirs.item(), rel=1e-5)


class Lists(dict):
    def __missing__(self, name):
        return self.setdefault(name, [])


TOY = Grpo(group=128, kl=0.2, epochs=2, scale="none")
NEAR = 0.03  # nats from the optimum; the reference is more than 0.8 away, PPO's optimum 0.034


def test_grpo_reaches_the_optimum_that_is_known():
    """Not PPO's: the gradient of k3 is that of KL(reference || policy)."""
    reference, learnt = learn(TOY, 1, 50, rate=0.012)
    optimum = group_optimum(reference, WORTH, TOY.kl)
    assert divergence(reference, optimum) > 0.8
    assert divergence(learnt, optimum) < NEAR
    assert divergence(learnt, optimum) < divergence(learnt, tilted(reference, WORTH, TOY.kl)) / 2


def test_a_distance_of_the_wrong_sign_fails_the_same_check(monkeypatch):
    right = group_policy.distance
    monkeypatch.setattr(group_policy, "distance", lambda new, reference: -right(new, reference))
    reference, learnt = learn(TOY, 1, 20, rate=0.012)
    assert divergence(learnt, group_optimum(reference, WORTH, TOY.kl)) > 4 * NEAR


def test_advantages_of_the_neighbouring_response_fail_the_same_check(monkeypatch):
    right = group_policy.group_advantages
    monkeypatch.setattr(group_policy, "group_advantages", lambda *given: right(*given).roll(1))
    reference, learnt = learn(TOY, 1, 20, rate=0.012)
    assert divergence(learnt, group_optimum(reference, WORTH, TOY.kl)) > 4 * NEAR
