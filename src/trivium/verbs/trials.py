"""Several fine-tunings as one: each with several seeds, over growing parts of the training examples (a learning curve)
or over combinations of settings (a sweep). One model is kept in the end: the best seed's of all training examples, or
of the combination whose mean is best.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import mean
from typing import Any

import numpy as np

from trivium.errors import SettingsError
from trivium.randomness import key
from trivium.settings import Layer, build, dump, merge, override
from trivium.tasks import Task
from trivium.text.examples import Located
from trivium.text.order import permuted
from trivium.verbs.finetuning_result import Run, Spread, Trial
from trivium.verbs.forgetting import Forgetting
from trivium.verbs.judging import Change
from trivium.verbs.tuning import DivergedError, FineTuning, Fitted, merit

ALL = "all"


@dataclass(frozen=True)
class Asked:
    """One trial that is to be made: the training examples by their numbers."""

    name: str
    settings: FineTuning
    numbers: Sequence[int]


def curve_sizes(text: str) -> tuple[int | None, ...]:
    """``50,100,all`` of a command line; None: all."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part == ALL or part.isdecimal() for part in parts):
        raise SettingsError(f"curve {text!r} must look like 50,100,500,all: numbers of training examples")
    return tuple(None if part == ALL else int(part) for part in parts)


def curve_of(settings: FineTuning, count: int, sizes: Sequence[int | None]) -> list[Asked]:
    """Trials over parts of ``count`` examples, each contained in the next, the last all of them."""
    numbers = sorted({size for size in sizes if size is not None and size != count})
    if any(size < 1 for size in numbers) or (numbers and numbers[-1] > count):
        raise SettingsError(
            f"curve asks for {max(numbers)} training examples, and there are {count}: ask for fewer, or all"
            if numbers[-1] > count else "curve asks for no training examples: ask for at least 1"
        )  # fmt: skip
    order = permuted(key(settings.seed, "learning curve"), 0, count, np.arange(count))
    parts = [Asked(f"{size:,} examples", settings, np.sort(order[:size]).tolist()) for size in numbers]
    return [*parts, Asked(f"all {count:,} examples", settings, range(count))]


def sweep_of(settings: FineTuning, assignments: Sequence[str], count: int) -> list[Asked]:
    """Trials over every combination of values: ``lora.rank=1/2/8`` and ``lora.targets=query/query,value`` make six.
    What a method does not read is not combined with it: ``method=full/lora`` and ``lora.rank=1/8`` make three."""
    axes = []
    for assignment in assignments:
        name, equals, values = assignment.partition("=")
        given = [value.strip() for value in values.split("/")]
        if not equals or not all(given) or len(set(given)) < len(given):
            raise SettingsError(f"sweep {assignment!r} must look like lora.rank=1/2/8: a setting, and different values")
        if name.strip() == "seed":
            raise SettingsError("seed is no setting of a sweep: ask for several seeds")
        axes.append([f"{name.strip()}={value}" for value in given])
    found: dict[str, Asked] = {}
    for chosen in itertools.product(*axes):
        made, _ = merge([Layer(each, table) for each, table in [("", dump(settings)), *_tables(chosen)]])
        own = build(FineTuning, made)
        name = " ".join(each for each in chosen if own.method == "lora" or not each.startswith("lora."))
        found.setdefault(name, Asked(name, own, range(count)))
    if "" in found:
        raise SettingsError(f"the method {settings.method} reads no settings of lora: add method=lora to the sweep")
    return list(found.values())


def _tables(assignments: Sequence[str]) -> list[tuple[str, dict[str, Any]]]:
    return [(each, override(FineTuning, each)) for each in assignments]


@dataclass(frozen=True, eq=False)
class Best:
    """The best seed's model of a trial, and the settings that made it."""

    fitted: Fitted
    settings: FineTuning


Fit = Callable[[Asked, Sequence[Any], FineTuning], Fitted]


def run_trials(
    planned: Sequence[Asked], seeds: int, examples: Sequence[Located[Any]], fit: Fit, forgetting: Forgetting | None,
    by_size: bool,
) -> tuple[list[Trial], Best, list[str]]:  # fmt: skip
    """Every trial, and the model to keep: of a curve the last one's, of all examples; else that of the best mean. Of
    several trials those that diverge are left out, and what is to be said of them is the last part."""
    trials: list[Trial] = []
    diverged: list[str] = []
    kept: tuple[Trial, Best] | None = None
    for asked in planned:
        try:
            trial, best = run_trial(asked, seeds, examples, fit, forgetting)
        except DivergedError as error:
            if by_size or (not trials and asked is planned[-1]):
                raise
            diverged.append(f"{asked.name} is left out: {error}")
            continue
        trials.append(trial)
        task = best.fitted.tuned.task
        if kept is None or by_size or mean_merit(task, trial) > mean_merit(task, kept[0]):
            kept = trial, best
    assert kept is not None
    return trials, kept[1], diverged


def run_trial(
    asked: Asked, seeds: int, examples: Sequence[Located[Any]], fit: Fit, forgetting: Forgetting | None
) -> tuple[Trial, Best]:
    """Every seed's fine-tuning; of their models the best."""
    part = [examples[number].example for number in asked.numbers]
    best: Best | None = None
    runs: list[Run] = []
    after: list[float] = []
    tokens = seconds = 0.0
    for seed in range(asked.settings.seed, asked.settings.seed + seeds):
        settings = replace(asked.settings, seed=seed)
        fitted = fit(asked, part, settings)
        runs.append(Run(seed, fitted.scores or {}, fitted.best_step, fitted.steps, fitted.seconds))
        tokens, seconds = tokens + fitted.tokens, seconds + fitted.training_seconds
        if forgetting is not None:
            after.append(forgetting.after(fitted.tuned.model))
        if best is None or better(fitted, best.fitted):
            best = Best(fitted, settings)
    assert best is not None
    sizes = {name: weight.numel() for name, weight in best.fitted.tuned.model.named_parameters()}
    made = Trial(
        name=asked.name,
        examples=len(part),
        learning_rate=best.fitted.learning_rate,
        runs=tuple(runs),
        spread={name: Spread.of([run.scores[name] for run in runs]) for name in best.fitted.scores or {}},
        trained_parameters=sum(sizes[name] for name in best.fitted.trained),
        training_bytes=best.fitted.training_bytes,
        tokens_per_second=tokens / seconds,
        old=Change(forgetting.before, mean(after)) if forgetting is not None else None,
    )
    return made, best


def better(one: Fitted, other: Fitted) -> bool:
    """On dev; without dev nothing is."""
    if one.scores is None or other.scores is None:
        return False
    return merit(one.tuned.task, one.scores) > merit(other.tuned.task, other.scores)


def mean_merit(task: Task[Any, Any], trial: Trial) -> tuple[float, float]:
    """By which trials are compared: the mean over seeds."""
    return merit(task, {name: spread.mean for name, spread in trial.spread.items()})
