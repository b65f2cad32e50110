"""Transfer as a score of a comparison: a trained model fine-tuned on a task, some times, with its examples by key.

Everything is in memory, by the same ``fit`` as ``trivium finetune``. Baselines without a network answer the same
examples.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import mean
from typing import Any

import numpy as np

from trivium.errors import TriviumError
from trivium.families import Family
from trivium.lab.baselines import BaselineResult, averaged_vectors, bag_of_words, majority
from trivium.metrics import classification
from trivium.randomness import Draws
from trivium.tasks import SequenceClassification, Task
from trivium.text import python_docs
from trivium.text.examples import Labelled, Located, Pair
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config, Network
from trivium.vectors.vectors import Vectors
from trivium.verbs.data_checks import checked
from trivium.verbs.examples import read_examples
from trivium.verbs.experiment import Transfer
from trivium.verbs.tuning import FineTuning, fit, placed

Items = list[Located[Any]]


@dataclass(frozen=True)
class Transferred:
    """What a task says of one model. ``values``: the ``metric`` of each fine-tuning; ``items``: the same of each
    scored example, the mean over fine-tunings, where the metric is a mean over examples. ``error``: why there is none.
    """

    identity: str
    metric: str
    values: list[float]
    scores: list[dict[str, float]]
    items: list[float] | None
    examples: int
    scored: int
    learning_rate: float | None
    seconds: float
    error: str = ""

    @property
    def value(self) -> float | None:
        return mean(self.values) if self.values else None


@dataclass(frozen=True)
class TaskExamples:
    """A task that has seen its examples; ``test`` empty: scored on dev."""

    task: Task[Any, Any]
    train: list[Any]
    dev: list[Any]
    test: list[Any]


def stack_of(config: Config) -> str:
    """encoder, decoder or encoder-decoder."""
    if config.encoder_layers and config.decoder_layers:
        return "encoder-decoder"
    return "encoder" if config.encoder_layers else "decoder"


def task_examples(transfer: Transfer, stack: str = "") -> TaskExamples:
    """Read, checked and drawn; training examples that are among the scored ones are left out."""
    return _read(transfer, stack, transfer.located())


@lru_cache(maxsize=16)
def _read(transfer: Transfer, stack: str, files: tuple[str | None, ...]) -> TaskExamples:
    task = transfer.definition(stack)
    if transfer.corpus is not None:
        train, dev, test = (placed(_embedded(transfer.corpus, part), part) for part in python_docs.SPLITS)
    else:
        columns = dict(each.partition("=")[::2] for each in transfer.columns)
        train, dev, test = (
            read_examples(task, path, columns, name, transfer.format) if path is not None else []
            for name, path in zip(python_docs.SPLITS, files, strict=True)
        )
    task.learn(train, [*dev, *test])  # refuses what is wrong with any of them
    train, _ = checked(train, [*dev, *test], "drop")
    train = _drawn(train, transfer.examples)
    if test:
        dev, test = _drawn(dev, transfer.examples), _drawn(test, transfer.scored)
    else:
        dev = _drawn(dev, transfer.scored)
    definition = task.learn(train, [*dev, *test])
    return TaskExamples(definition, *([each.example for each in part] for part in (train, dev, test)))


def _embedded(corpus: str, split: python_docs.Split) -> list[Any]:
    if corpus == "chapters":
        return list(python_docs.chapters(split))
    return list(python_docs.signatures(split) if corpus == "signatures" else python_docs.first_sentences(split))


def transferred(
    transfer: Transfer, model: Network, tokenizer: Tokenizer, family: Family, seed: int, tell: Callable[[str], None]
) -> Transferred:
    """Fine-tunes ``model`` with ``transfer.seeds`` seeds, which differ between the seeds of the cells."""
    given = task_examples(transfer, stack_of(model.config))
    started = time.monotonic()
    values, scores, rate = [], [], None
    items: list[list[float]] = []
    try:
        for number in range(transfer.seeds):
            settings = FineTuning(
                method=transfer.method, learning_rate=transfer.learning_rate, epochs=transfer.epochs,
                steps=transfer.steps, batch=transfer.batch, seed=seed * transfer.seeds + number,
            )  # fmt: skip
            fitted = fit(model, tokenizer, given.task, given.train, given.dev, settings, published=family.heads)
            task, rate = fitted.tuned.task, fitted.learning_rate
            gold = given.test or given.dev
            said = fitted.tuned.predict(gold) if given.test else fitted.predicted
            score = task.score(said, gold)
            values.append(score[task.main])
            scores.append(score)
            items.append(_items(task, said, gold, score[task.main]))
            tell(f"{transfer.name}, fine-tuning {number + 1} of {transfer.seeds}: {task.main} {score[task.main]:.4g}")
    except TriviumError as error:  # a task that this model cannot do, or a rate at which it diverges: told, not fatal
        return _without(transfer, given, str(error))
    return _made(transfer, given, values, scores, items, rate, time.monotonic() - started)


def baseline_transferred(transfer: Transfer, baseline: str, vectors: Vectors | None) -> Transferred:
    """The same of a classifier without a network: of averaged ``vectors``, a bag of words, or the majority."""
    given = task_examples(transfer)
    started = time.monotonic()
    if not isinstance(given.task, SequenceClassification):
        return _without(transfer, given, f"{baseline} is a baseline for classification, not for {transfer.task}")
    train, dev, test = (_texts(part) for part in (given.train, given.dev, given.test or given.dev))
    result: BaselineResult
    if baseline == "majority":
        result = majority(train, test)
    elif vectors is None:
        result = bag_of_words(train, dev, test)
    else:
        result = averaged_vectors(vectors, train, dev, test)
    gold = [example.label for example in test]
    score = classification(gold, result.predicted)
    items = [float(label == guess) for label, guess in zip(gold, result.predicted, strict=True)]
    shown = items if given.task.main == "accuracy" else []
    return _made(transfer, given, [score[given.task.main]], [score], [shown], None, time.monotonic() - started)


def _made(
    transfer: Transfer, given: TaskExamples, values: list[float], scores: list[dict[str, float]],
    items: list[list[float]], rate: float | None, seconds: float,
) -> Transferred:  # fmt: skip
    every = [round(float(each), 4) for each in np.mean(items, axis=0)] if all(items) else None
    return Transferred(
        transfer.identity, given.task.main, values, scores, every, len(given.train), len(given.test or given.dev), rate,
        round(seconds, 2),
    )  # fmt: skip


def _without(transfer: Transfer, given: TaskExamples, why: str) -> Transferred:
    return Transferred(transfer.identity, given.task.main, [], [], None, len(given.train), 0, None, 0.0, why)


def _items(task: Task[Any, Any], said: Sequence[Any], gold: Sequence[Any], whole: float) -> list[float]:
    """The main score of each example, where their mean is that of all; else nothing."""
    if len(said) != len(gold):
        return []
    try:
        each = [task.score([one], [true])[task.main] for one, true in zip(said, gold, strict=True)]
    except (ValueError, ZeroDivisionError):  # a score, such as a correlation, that one example has none of
        return []
    return each if abs(float(np.mean(each)) - whole) < 1e-6 else []


def _drawn(examples: Items, most: int | None) -> Items:
    """At most so many, by a keyed draw, in their order."""
    if most is None or len(examples) <= most:
        return examples
    drawn = np.argsort(Draws(0, np.arange(len(examples))).bits("transfer", 1)[:, 0], kind="stable")[:most]
    return [examples[int(i)] for i in np.sort(drawn)]


def _texts(examples: Sequence[Any]) -> list[Labelled]:
    """Pairs become one text."""
    return [Labelled(f"{e.first} {e.second}", e.label) if isinstance(e, Pair) else e for e in examples]
