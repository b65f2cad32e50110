"""PPO's formulas against hand-computed values, a brute-force loop, and a policy whose optimum is known."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toy_policy import TEXTS, divergence, learn, tilted

from trivium.alignment import learning, policy
from trivium.alignment.policy import (
    Ppo,
    adapted,
    advantages_and_returns,
    policy_loss,
    token_rewards,
    value_loss,
    whitened,
)
from trivium.errors import SettingsError

WORTH = torch.tensor([text.count(1) / 3 for text in TEXTS], dtype=torch.float64)


def test_advantages_and_returns_of_the_worked_example():
    real = torch.ones(1, 3, dtype=torch.bool)
    rewards, values = torch.tensor([[-0.02, 0.01, 0.5]]), torch.tensor([[0.2, 0.3, 0.4]])
    advantages, returns = advantages_and_returns(rewards, values, real, 1.0, 0.95)
    assert advantages[0].tolist() == pytest.approx([0.27475, 0.205, 0.1], abs=1e-6)
    assert returns[0].tolist() == pytest.approx([0.47475, 0.505, 0.5], abs=1e-6)


@given(
    st.lists(st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=5), min_size=1, max_size=3),
    st.floats(0.1, 1), st.floats(0, 1),
)  # fmt: skip
def test_advantages_are_the_sum_of_discounted_surprises(episodes, gamma, lambda_):
    """Eq. 16 of Schulman et al. 2016, summed term by term; padding has none and gives none."""
    width = max(map(len, episodes))
    rewards, values = torch.full((2, len(episodes), width), 7.0, dtype=torch.float64)
    real = torch.zeros(len(episodes), width, dtype=torch.bool)
    for row, episode in enumerate(episodes):
        rewards[row, : len(episode)], values[row, : len(episode)] = torch.tensor(episode, dtype=torch.float64).T
        real[row, : len(episode)] = True
    advantages, returns = advantages_and_returns(rewards, values, real, gamma, lambda_)
    for row, episode in enumerate(episodes):
        ahead = [value for _, value in episode[1:]] + [0.0]
        surprises = [r + gamma * v - own for (r, own), v in zip(episode, ahead, strict=True)]
        for t in range(width):
            expected = sum((gamma * lambda_) ** (k - t) * surprises[k] for k in range(t, len(episode)))
            assert advantages[row, t].item() == pytest.approx(expected, abs=1e-9)
            known = episode[t][1] if t < len(episode) else 0.0
            assert returns[row, t].item() == pytest.approx(expected + known, abs=1e-9)


def test_clipped_policy_loss_of_the_worked_example():
    ratios = torch.tensor([0.7, 1.1, 1.3], dtype=torch.float64)
    old = torch.full((3,), -1.0, dtype=torch.float64)
    new = old + ratios.log()
    for advantage, losses in ((1.5, [-1.05, -1.65, -1.8]), (-1.5, [1.2, 1.65, 1.95])):
        given = torch.full((3,), advantage, dtype=torch.float64)
        assert policy_loss(new, old, given, 0.2).tolist() == pytest.approx(losses, abs=1e-9)


def test_clipped_value_loss_takes_the_worse_of_the_two():
    """By hand: 0.5 * max((v - R)^2, (v_old +- 0.2 - R)^2)."""
    new, old, returns = torch.tensor([1.0, 0.1, 0.5]), torch.tensor([0.0, 0.0, 0.5]), torch.tensor([1.0, 1.0, 2.0])
    assert value_loss(new, old, returns, 0.2).tolist() == pytest.approx([0.32, 0.405, 1.125])


def test_the_reward_is_the_price_at_every_token_and_the_score_at_the_last():
    policy_says = torch.tensor([[-1.0, -2.0, -0.5], [-1.0, -1.0, 0.0]])
    reference = torch.tensor([[-1.5, -1.0, -0.5], [-2.0, -3.0, 0.0]])
    real = torch.tensor([[True, True, True], [True, True, False]])
    rewards = token_rewards(torch.tensor([3.0, -1.0]), policy_says, reference, real, 0.2)
    assert torch.allclose(rewards, torch.tensor([[-0.1, 0.2, 3.0], [-0.2, -1.4, 0.0]]))


def test_whitening_is_of_real_places_as_a_population():
    values = torch.tensor([[1.0, 2.0], [3.0, 100.0]])
    real = torch.tensor([[True, True], [True, False]])
    deviation = math.sqrt(2 / 3)
    white = [[-1 / deviation, 0.0], [1 / deviation, 0.0]]
    assert torch.allclose(whitened(values, real), torch.tensor(white))
    kept = [[2 - 1 / deviation, 2.0], [2 + 1 / deviation, 0.0]]
    assert torch.allclose(whitened(values, real, shift_mean=False), torch.tensor(kept))
    assert whitened(torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool)).tolist() == [[0.0, 0.0]]


def test_the_price_follows_the_distance():
    """mult = 1 + clip(kl / target - 1, -.2, .2) * n / horizon."""
    assert adapted(0.2, 9.0, 6.0, 512, 10_000) == pytest.approx(0.2 * (1 + 0.2 * 0.0512))
    assert adapted(0.2, 6.6, 6.0, 512, 10_000) == pytest.approx(0.2 * (1 + 0.1 * 0.0512))
    assert adapted(0.2, 0.0, 6.0, 512, 10_000) == pytest.approx(0.2 * (1 - 0.2 * 0.0512))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("minibatches", 0, "method.minibatches is 0: it must be at least 1"),
        ("epochs", 0, "epochs is 0"),
        ("kl", -0.1, "kl is -0.1"),
        ("kl_target", 0.0, "kl_target is 0.0"),
        ("kl_horizon", 0, "kl_horizon is 0"),
        ("gamma", 1.5, "gamma is 1.5"),
        ("lambda_", 2.0, "lambda is 2.0"),
        ("clip", 1.0, "clip is 1.0"),
        ("value_clip", 0.0, "value_clip is 0.0"),
        ("value_weight", 0.0, "value_weight is 0.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(field, value, said):
    with pytest.raises(SettingsError, match=said):
        Ppo(**{field: value})


def test_a_price_of_nothing_cannot_follow_a_target():
    with pytest.raises(SettingsError, match="begin with a kl above 0"):
        Ppo(kl=0.0, kl_target=6.0)


TOY = Ppo(kl=0.2, epochs=2)
NEAR = 0.05  # nats from the optimum; the reference is 1.07 away


def far_from_optimum(settings=TOY, rounds=40):
    reference, learnt = learn(settings, 128, rounds, rate=0.015)
    return divergence(learnt, tilted(reference, WORTH, settings.kl))


def test_ppo_reaches_the_optimum_that_is_known():
    """E[share] - price * KL is greatest at reference * exp(share / price): all 64 texts are as probable as there."""
    reference, learnt = learn(TOY, 128, 40, rate=0.015)
    optimum = tilted(reference, WORTH, TOY.kl)
    assert divergence(reference, optimum) > 1
    assert divergence(learnt, optimum) < NEAR
    assert float((learnt * WORTH).sum()) == pytest.approx(float((optimum * WORTH).sum()), abs=0.03)


def test_a_price_of_the_wrong_sign_fails_the_same_check(monkeypatch):
    right = policy.token_rewards
    monkeypatch.setattr(policy, "token_rewards", lambda s, p, r, real, kl: right(s, p, r, real, -kl))
    assert far_from_optimum(rounds=25) > 4 * NEAR


def test_advantages_one_token_late_fail_the_same_check(monkeypatch):
    right = policy.advantages_and_returns

    def late(rewards, values, real, gamma, lambda_):
        advantages, returns = right(rewards, values, real, gamma, lambda_)
        return advantages.roll(1, dims=1), returns

    monkeypatch.setattr(policy, "advantages_and_returns", late)
    assert far_from_optimum() > 2 * NEAR


def test_probabilities_read_one_place_late_fail_the_same_check(monkeypatch):
    right = learning.reading

    def late(*given):
        read, at, tokens = right(*given)
        return read, (at + 1).clamp(max=read.ids.numel() - 1), tokens

    monkeypatch.setattr(learning, "reading", late)
    assert far_from_optimum(rounds=25) > 4 * NEAR
