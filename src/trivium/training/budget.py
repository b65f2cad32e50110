"""How many steps a run takes: said, from tokens or FLOPs, or from minutes by timing the first ones."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from trivium.training.settings import TrainingSettings
from trivium.training.trainer import Trainer

_WARM_UP = 2
_TIMED = 5  # at least
_SHARE = 0.05  # of the minutes may go into timing


def budget_steps(settings: TrainingSettings, tokens_per_step: int) -> int | None:
    """The number of steps, or None where ``settings`` give FLOPs or minutes. The last step may go past the tokens."""
    if settings.steps is not None:
        return settings.steps
    if settings.tokens is not None:
        return -(-settings.tokens // tokens_per_step)
    return None


def count_steps(feed: Callable[[int], Sequence[Any]], flops: Callable[[Any], float], budget: float) -> int:
    """The number of steps, at least 1, whose FLOPs come nearest to ``budget``.

    Batches are made and counted, not trained on: they are functions of their number, so that the run meets the very
    same ones. That costs what making them costs, a few hundredths of the run.
    """
    spent, steps = 0.0, 0
    while spent < budget:
        step = sum(map(flops, feed(steps)))
        if spent + step / 2 > budget:
            break
        spent, steps = spent + step, steps + 1
    return max(1, steps)


def time_steps(trainer: Trainer[Any, Any], minutes: float) -> int:
    """How many steps fit in ``minutes``, what the timing takes included. Leaves the trainer as it was before.

    The timed steps are ordinary ones from the start of the run, thrown away afterwards: the run itself depends on
    the number found here alone and on no clock.
    """
    began = time.monotonic()
    weights = {name: tensor.detach().clone() for name, tensor in trainer.optimizer.masters.items()}
    steps, trainer.steps = trainer.steps, max(trainer.steps, 1000)
    seconds: list[float] = []
    while len(seconds) < _WARM_UP + _TIMED or time.monotonic() - began < min(10.0, _SHARE * 60 * minutes):
        seconds.append(trainer.step().seconds)
        if time.monotonic() - began > 0.25 * 60 * minutes and len(seconds) > 1:
            break  # a short budget or slow steps: better a rough figure than none left
    trainer.load_state_dict(0, weights, {})
    trainer.steps = steps
    left = 60 * minutes - (time.monotonic() - began)
    return max(1, int(left / median(seconds[min(_WARM_UP, len(seconds) - 1) :])))
