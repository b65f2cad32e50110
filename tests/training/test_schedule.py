"""Schedules against their closed forms, written for one step at a time."""

import math

import pytest

from trivium.training.schedule import factor, length
from trivium.training.settings import ConstantThenDecay, Cosine, InverseSqrt, Linear

STEPS = 100


@pytest.mark.parametrize(
    "schedule",
    [Cosine(warmup=0.1), Linear(warmup=10), InverseSqrt(warmup=10), ConstantThenDecay(warmup=0.1, decay=0.2)],
)
def test_warm_up_rises_by_equal_amounts_to_the_peak(schedule):
    for step in range(10):
        assert factor(schedule, step, STEPS) == pytest.approx((step + 1) / 11)
    assert factor(schedule, 10, STEPS) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "schedule", [Cosine(warmup=0), Linear(warmup=0), InverseSqrt(warmup=0), ConstantThenDecay(warmup=0)]
)
def test_without_warm_up_the_first_step_is_at_the_peak(schedule):
    assert factor(schedule, 0, STEPS) == 1.0


@pytest.mark.parametrize("step", [10, 33, 55, 99])
def test_decays(step):
    part = (step - 10) / 90
    assert factor(Cosine(warmup=10, floor=0.1), step, STEPS) == pytest.approx(
        0.1 + 0.45 * (1 + math.cos(math.pi * part))
    )
    assert factor(Linear(warmup=10, floor=0.2), step, STEPS) == pytest.approx(1 - 0.8 * part)
    assert factor(InverseSqrt(warmup=10), step, STEPS) == pytest.approx(math.sqrt(10 / step))


def test_constant_then_decay_is_constant_then_falls_and_ends_above_the_floor():
    schedule = ConstantThenDecay(warmup=10, decay=20, floor=0.0)
    values = [factor(schedule, step, STEPS) for step in range(STEPS)]
    assert values[10:80] == [1.0] * 70
    assert values[80] == pytest.approx(1 - math.sqrt(1 / 21))
    assert values[99] == pytest.approx(1 - math.sqrt(20 / 21))
    assert all(a > b > 0 for a, b in zip(values[79:], values[80:], strict=False))


def test_shares_and_counts():
    assert (length(0.05, 200), length(7, 200), length(1, 200), length(0, 200)) == (10, 7, 1, 0)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("schedule", [Cosine(), Linear(), InverseSqrt(), ConstantThenDecay(), Linear(warmup=5)])
def test_runs_of_a_few_steps_have_a_rate_above_zero(schedule, steps):
    assert all(0 < factor(schedule, step, steps) <= 1 for step in range(steps))
