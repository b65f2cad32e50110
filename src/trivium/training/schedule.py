"""The learning rate as a pure function of the step: nothing to save, nothing to restore."""

import math

from trivium.training.settings import ConstantThenDecay, Cosine, InverseSqrt, Linear, Schedule


def factor(schedule: Schedule, step: int, steps: int) -> float:
    """What the peak learning rate is multiplied by at ``step`` (0-based) of a run of ``steps``; in (0, 1] mostly.

    Warm-up gives step s the factor (s + 1) / (warmup + 1), so that the first step already learns and the first step
    after the warm-up is at the peak. Decays run from there and would end one step after the last, as no step is to
    be wasted on a rate of 0.
    """
    warmup = length(schedule.warmup, steps)
    if step < warmup:
        return (step + 1) / (warmup + 1)
    after = step - warmup
    through = after / max(1, steps - warmup)  # 0 at the peak; 1 would be the step after the last
    match schedule:
        case Cosine(floor=floor):
            return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, through)))
        case Linear(floor=floor):
            return floor + (1 - floor) * (1 - min(1.0, through))
        case InverseSqrt():
            return math.sqrt(max(1, warmup) / max(1, warmup + after))
        case ConstantThenDecay(decay=decay, floor=floor):
            last = length(decay, steps)
            left = steps - 1 - step  # steps still to come
            if left >= last:
                return 1.0
            return floor + (1 - floor) * (1 - math.sqrt((last - left) / (last + 1)))


def length(share: float, steps: int) -> int:
    """A number of steps from a setting that is a share of the run below 1 and a count from 1 on."""
    return round(share * steps) if share < 1 else round(share)
