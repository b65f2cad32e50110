"""Does pretraining pay off? The pretrained encoder against the same encoder from scratch, and against classical rivals.

Both networks get the same examples, the same number of fine-tuning steps and the same choice of learning rates, each
its own best one; every choice is made on the development split, and the test split is read once at the end. Intervals
are a paired bootstrap over the test examples, with each example's score the mean over the seeds.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from trivium.families.bodies import initialise, network
from trivium.lab.baselines import bag_of_words, latent_semantics_transform, majority, tuned_latent_semantics
from trivium.metrics.intervals import Interval, paired_bootstrap, paired_t
from trivium.tasks import SequenceClassification
from trivium.text.examples import Labelled, few
from trivium.tokenizers import Tokenizer
from trivium.transformer import Network
from trivium.verbs.tuning import FineTuning, fit

Precision = Literal["auto", "float32", "bfloat16"]

PRETRAINED, SCRATCH = "pretrained encoder", "same encoder from scratch"
RATES = (5e-4, 1e-3, 2e-3)
SEEDS = (0, 1, 2)
STEPS = 100
_EXAMPLES = 600  # of dev at most, by a keyed draw: enough to choose a learning rate


@dataclass(frozen=True)
class LabelTask:
    """A classification task: labelled splits that share no source, and what the classes are."""

    name: str
    question: str
    train: Sequence[Labelled]
    dev: Sequence[Labelled]
    test: Sequence[Labelled]
    unlabelled: Sequence[str]  # the text that the models were pretrained on

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(sorted({example.label for example in self.train}))

    def most_per_class(self) -> int:
        """Examples of the rarest class."""
        return min(sum(example.label == label for example in self.train) for label in self.labels)


@dataclass(frozen=True)
class Outcome:
    """One method at one number of labels: right or wrong for every test example (seeds, N), and what dev chose."""

    method: str
    per_class: int
    right: np.ndarray  # (seeds, N) 0 or 1
    chosen: str

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())

    @property
    def by_seed(self) -> list[float]:
        return [float(value) for value in self.right.mean(axis=1)]

    def interval(self) -> Interval:
        """95% over test examples."""
        mean = self.right.mean(axis=0)
        return paired_bootstrap(mean, np.zeros_like(mean))


@dataclass(frozen=True)
class Difference:
    """Pretrained minus from-scratch at one number of labels: over test examples, and over seeds."""

    per_class: int
    examples: Interval
    seeds: Interval

    @property
    def holds(self) -> bool:
        """Above 0 with 95% confidence, and for every seed on average."""
        return self.examples.low > 0


@dataclass(frozen=True)
class Transfer:
    """The whole comparison."""

    task: LabelTask
    outcomes: Sequence[Outcome]
    differences: Sequence[Difference]
    per_class: Sequence[int]
    seconds: float

    def outcome(self, method: str, per_class: int) -> Outcome:
        return next(o for o in self.outcomes if o.method == method and o.per_class == per_class)

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(outcome.method for outcome in self.outcomes))

    @property
    def holds(self) -> bool:
        return all(difference.holds for difference in self.differences)


def compare(
    task: LabelTask,
    pretrained: Network,
    tokenizer: Tokenizer,
    *,
    per_class: Sequence[int] = (8, 16, 32),
    seconds: float = math.inf,
    precision: Precision = "auto",
    tell: Callable[[str], None] = lambda text: None,
) -> Transfer:
    """All methods at each number of labels a class; at fewer of them when ``seconds`` would be passed.

    Raises ``DataError`` when a class has fewer training examples than the smallest number of ``per_class``.
    """
    started = time.perf_counter()
    wanted = [n for n in per_class if n <= task.most_per_class()] or list(per_class[:1])
    order = sorted(wanted, key=lambda n: abs(math.log2(n / wanted[len(wanted) // 2])))  # the middle one first
    dev = _some(task.dev, _EXAMPLES)
    gold = np.array([example.label for example in task.test])
    arms = {PRETRAINED: pretrained, SCRATCH: None}
    project = latent_semantics_transform(task.unlabelled)
    outcomes: list[Outcome] = []
    rates: dict[str, float] = {}
    draws = {count: [few(task.train, count, seed) for seed in SEEDS] for count in order}
    for name, model in arms.items():
        fresh, body = model is None, model or pretrained
        rates[name] = _best_rate(
            task, body, fresh, tokenizer, draws[order[0]], dev, precision, partial(_tell_rate, tell, name)
        )
    done: list[int] = []
    for number, count in enumerate(order):
        begun = time.perf_counter()
        for name, model in arms.items():
            right = []
            for seed, train in zip(SEEDS, draws[count], strict=True):
                tell(f"{name}, {count} labels a class, seed {seed}")
                settings = _settings(rates[name], seed, precision)
                right.append(_predict(task, model or pretrained, model is None, tokenizer, train, task.test, settings))
            outcomes.append(Outcome(name, count, np.stack(right) == gold, f"learning rate {rates[name]:g}"))
        outcomes += _rivals(task, draws[count], dev, gold, count, project)
        done.append(count)
        spent, last = time.perf_counter() - started, time.perf_counter() - begun
        if number + 1 < len(order) and spent + last > seconds:
            tell(f"time is up: {', '.join(map(str, sorted(order[number + 1 :])))} labels a class are left out")
            break
    done.sort()
    differences = [_difference(outcomes, count) for count in done]
    return Transfer(task, outcomes, differences, done, time.perf_counter() - started)


def _best_rate(
    task: LabelTask,
    model: Network,
    fresh: bool,
    tokenizer: Tokenizer,
    draws: Sequence[Sequence[Labelled]],
    dev: Sequence[Labelled],
    precision: Precision,
    tell: Callable[[float], None],
) -> float:
    """The learning rate with the highest mean dev accuracy on two draws of labels; the smaller one among equals."""
    gold = np.array([example.label for example in dev])

    def score(rate: float) -> float:
        tell(rate)
        tried = [
            _predict(task, model, fresh, tokenizer, draw, dev, _settings(rate, seed, precision))
            for seed, draw in zip(SEEDS[:2], draws, strict=False)
        ]
        return float((np.stack(tried) == gold).mean())

    return max(RATES, key=lambda rate: (score(rate), -rate))


def _tell_rate(tell: Callable[[str], None], name: str, rate: float) -> None:
    tell(f"{name}: choosing the learning rate on dev, {RATES.index(rate) + 1} of {len(RATES)}: {rate:g}")


def _settings(rate: float, seed: int, precision: Precision) -> FineTuning:
    return FineTuning(learning_rate=rate, steps=STEPS, seed=seed, precision=precision)


def _predict(
    task: LabelTask,
    model: Network,
    fresh: bool,
    tokenizer: Tokenizer,
    train: Sequence[Labelled],
    examples: Sequence[Labelled],
    settings: FineTuning,
) -> np.ndarray:
    """Labels that a classifier fine-tuned on ``train`` gives to ``examples``; ``fresh``: from new weights."""
    body = initialise(network(model.config), 1000 + settings.seed) if fresh else model
    kind = SequenceClassification(task.labels, pooling="mean")
    fitted = fit(body, tokenizer, kind, train, None, settings)
    return np.array([prediction.label for prediction in fitted.tuned.predict(examples)])


def _rivals(
    task: LabelTask,
    draws: Sequence[Sequence[Labelled]],
    dev: Sequence[Labelled],
    gold: np.ndarray,
    count: int,
    project: Callable[[Sequence[str]], Any],
) -> list[Outcome]:
    """Bag of words, the same with an SVD of the unlabelled text, and the majority class."""
    every = [
        (
            bag_of_words(train, dev, task.test),
            tuned_latent_semantics(project, train, dev, task.test),
            majority(train, task.test),
        )
        for train in draws
    ]
    outcomes = []
    for results in zip(*every, strict=True):  # one method, a result for each seed
        right = np.stack([np.array(result.predicted) for result in results]) == gold
        chosen = "; ".join(dict.fromkeys(result.chosen for result in results))
        outcomes.append(Outcome(results[0].name, count, right, chosen))
    return outcomes


def _difference(outcomes: Sequence[Outcome], count: int) -> Difference:
    first, second = (
        next(o for o in outcomes if o.method == name and o.per_class == count) for name in (PRETRAINED, SCRATCH)
    )
    over_examples = paired_bootstrap(first.right.mean(axis=0), second.right.mean(axis=0))
    return Difference(count, over_examples, paired_t(first.by_seed, second.by_seed))


def _some(examples: Sequence[Labelled], most: int) -> list[Labelled]:
    """At most so many, evenly from the whole."""
    if len(examples) <= most:
        return list(examples)
    return [examples[int(i)] for i in np.linspace(0, len(examples) - 1, most).round()]
