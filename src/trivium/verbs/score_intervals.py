"""How sure the scores on dev are: Wilson's interval for a share of examples, a bootstrap over examples for the others
(Efron and Tibshirani 1993, section 13.3: percentiles).

A score that is the mean of what its examples score alone is resampled as their mean, ten thousand times. Any other,
such as F1, is computed again on each draw, two hundred to a thousand times; of many examples a draw has 250, and what
it lies beside the mean draw is made smaller by the root of its share (Bickel, Goetze and van Zwet 1997).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from trivium.errors import TriviumError
from trivium.metrics.intervals import Interval, paired_bootstrap, wilson
from trivium.randomness import Draws
from trivium.tasks import Task

COMPUTED = 50_000  # examples that are scored again, in all
LARGEST, MOST = 250, 1000  # examples of a draw, draws


def score_intervals(task: Task[Any, Any], predicted: Sequence[Any], examples: Sequence[Any]) -> dict[str, Interval]:
    """95% intervals of the scores; none for fewer than two examples, or where a score is not there for most draws."""
    count = len(examples)
    if count < 2:
        return {}
    whole = task.score(predicted, examples)
    found: dict[str, Interval] = {}
    for name, each in _alone(task, predicted, examples).items():
        if name in whole and abs(each.mean() - whole[name]) < 1e-9:
            share = bool(np.isin(each, (0.0, 1.0)).all())
            found[name] = wilson(int(each.sum()), count) if share else paired_bootstrap(each.tolist(), [0.0] * count)
    rest = [name for name in whole if name not in found]
    if rest:
        size = min(count, LARGEST)
        numbers = np.arange(min(MOST, COMPUTED // size))
        picked = Draws(0, numbers).integers("bootstrap", size, count)  # (draws, size)
        again = [task.score([predicted[i] for i in row], [examples[i] for i in row]) for row in picked.tolist()]
        for name in rest:
            drawn = np.array([scores[name] for scores in again if np.isfinite(scores.get(name, np.nan))])
            if len(drawn) < len(again) / 2:  # most draws have not what it is a score of
                continue
            if size < count:
                drawn = whole[name] + (drawn - drawn.mean()) * (size / count) ** 0.5
            low, high = np.quantile(drawn, [0.025, 0.975])
            found[name] = Interval(whole[name], float(low), float(high))
    return {name: found[name] for name in whole if name in found}


def _alone(task: Task[Any, Any], predicted: Sequence[Any], examples: Sequence[Any]) -> dict[str, np.ndarray]:
    """What each example scores by itself, by score; none where a score needs more than one."""
    try:
        scores = [task.score([one], [other]) for one, other in zip(predicted, examples, strict=True)]
    except (TriviumError, ValueError):
        return {}
    names = [name for name in scores[0] if all(name in each for each in scores)]
    return {name: np.array([each[name] for each in scores], float) for name in names}
