"""The reward model's losses against numbers worked by hand, and against trl."""

import math
from types import SimpleNamespace

import pytest
import torch

from trivium.alignment.reward import RewardModelling, preference_losses
from trivium.errors import SettingsError


@pytest.mark.parametrize(("chosen", "rejected", "loss"), [(1.0, 0.0, 0.313262), (0.2, 0.5, 0.854355)])
def test_the_loss_of_a_pair_is_bradley_and_terrys(chosen: float, rejected: float, loss: float) -> None:
    found = preference_losses(torch.tensor([chosen]), torch.tensor([rejected]))
    assert found.tolist() == pytest.approx([loss], abs=1e-6)


def test_the_pairs_of_three_ranked_replies() -> None:
    better, worse = torch.tensor([2.0, 2.0, 1.0]), torch.tensor([1.0, 0.0, 0.0])
    assert preference_losses(better, worse).mean().item() == pytest.approx(0.251150, abs=1e-6)


def test_a_margin_is_taken_off_the_difference() -> None:
    found = preference_losses(torch.tensor([1.0]), torch.tensor([0.0]), torch.tensor([1.0]))
    assert found.item() == pytest.approx(math.log(2))


def test_a_very_large_difference_overflows_nothing() -> None:
    found = preference_losses(torch.tensor([1e4, 0.0]), torch.tensor([0.0, 1e4]))
    assert found.tolist() == [0.0, 1e4]


def test_a_negative_center_is_refused() -> None:
    with pytest.raises(SettingsError, match="center = -1"):
        RewardModelling(center=-1)


@pytest.mark.parametrize("center", [None, 0.01])
@pytest.mark.parametrize("margins", [None, [0.5, 1.0, 0.0]])
def test_the_loss_is_trls(center: float | None, margins: list[float] | None) -> None:
    trl = pytest.importorskip("trl")
    try:
        compute = trl.RewardTrainer.compute_loss
    except RuntimeError as problem:
        pytest.skip(f"trl is there, but not all that it needs: {problem}")
    chosen, rejected = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([0.1, 0.4, -2.0])
    outputs = SimpleNamespace(logits=torch.cat((chosen, rejected))[:, None])
    logged: dict = {mode: {name: [] for name in FIGURES} for mode in ("train", "eval")}
    gather = SimpleNamespace(gather=lambda x: x, gather_for_metrics=lambda x: x)
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=False), accelerator=gather, _metrics=logged,
        args=SimpleNamespace(center_rewards_coefficient=center), _total_train_tokens=0,
    )  # fmt: skip
    inputs = {} if margins is None else {"margin": torch.tensor(margins)}
    expected = compute(trainer, lambda **_: outputs, inputs)
    ours = preference_losses(chosen, rejected, torch.tensor(margins or [0.0] * 3)).mean()
    ours = ours + (center or 0.0) * (chosen + rejected).square().mean()
    torch.testing.assert_close(ours, expected)


FIGURES = ("min_reward", "mean_reward", "max_reward", "accuracy", "margin")
