"""Steps from tokens and minutes; timing leaves no trace in the run."""

import pytest
import torch
from toy_model import Toy, feed, loss, trainer, weights

from trivium.errors import SettingsError
from trivium.training.budget import budget_steps, count_steps, time_steps
from trivium.training.settings import Muon, TrainingSettings
from trivium.training.trainer import Trainer


def test_steps_tokens_and_minutes():
    assert budget_steps(TrainingSettings(steps=7), 100) == 7
    assert budget_steps(TrainingSettings(tokens=700), 100) == 7
    assert budget_steps(TrainingSettings(tokens=701), 100) == 8
    assert budget_steps(TrainingSettings(minutes=1.0), 100) is None
    assert budget_steps(TrainingSettings(flops=1e9), 100) is None
    assert budget_steps(TrainingSettings(steps=0), 100) == 0


@pytest.mark.parametrize(("budget", "steps"), [(1, 1), (24, 2), (26, 2), (44, 2), (46, 3), (60, 3), (150, 5), (151, 5)])
def test_steps_whose_flops_come_nearest_to_the_budget(budget, steps):
    """Step n has two parts of 5 (n + 1) each: 10, 30, 60, 100, 150 after so many."""
    assert count_steps(lambda number: [number + 1] * 2, lambda part: 5.0 * part, budget) == steps


@pytest.mark.parametrize("changes", [{}, {"precision": "bfloat16", "optimizer": Muon()}])
def test_a_timed_run_equals_one_that_was_not_timed(changes):
    timed, plain = trainer(steps=6, **changes), trainer(steps=6, **changes)
    assert time_steps(timed, minutes=0.02) > 1
    assert (timed.number, timed.steps) == (0, 6)
    assert timed.state_dict()[1] == {}
    list(timed)
    list(plain)
    assert all(torch.equal(weights(timed)[name], tensor) for name, tensor in weights(plain).items())


def test_steps_follow_from_the_time_of_one(monkeypatch):
    """A clock that each step moves on by 0.5 s, the first one by 10: the warm-up does not count."""
    now = [0.0]

    def slow(step):
        now[0] += 10.0 if step == 0 else 0.5
        return feed(step)

    for module in ("trainer", "budget"):
        monkeypatch.setattr(f"trivium.training.{module}.time.perf_counter", lambda: now[0])
        monkeypatch.setattr(f"trivium.training.{module}.time.monotonic", lambda: now[0])
    settings = TrainingSettings(minutes=10.0, precision="float32", device="cpu")
    ours = Trainer(Toy(), loss, slow, settings, steps=1)
    steps = time_steps(ours, 10.0)
    assert steps == int((600 - now[0]) / 0.5)
    assert now[0] <= 31


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "exactly one of steps, tokens, flops and minutes: it has none of them"),
        ({"steps": 3, "minutes": 2.0}, "it has steps = 3, minutes = 2.0"),
        ({"steps": -1}, "training.steps is -1: it must be at least 0"),
        ({"minutes": -1.0}, "training.minutes is -1.0"),
        ({"flops": 0.0}, "training.flops is 0.0: it must be above 0"),
        ({"flops": 1e9, "tokens": 5}, "it has tokens = 5, flops = 1000000000.0"),
        ({"steps": 1, "batch_tokens": 0}, "training.batch_tokens is 0"),
        ({"steps": 1, "micro_batch_tokens": 9000}, "between 1 and training.batch_tokens = 4096"),
        ({"steps": 1, "keep": 0}, "training.keep is 0"),
        ({"steps": 1, "clip": -1.0}, "training.clip is -1.0"),
        ({"steps": 1, "log_every": -1}, "training.log_every is -1"),
    ],
)
def test_impossible_settings_are_refused_with_their_values(fields, said):
    with pytest.raises(SettingsError, match=said.replace(".", r"\.")):
        TrainingSettings(**fields)
