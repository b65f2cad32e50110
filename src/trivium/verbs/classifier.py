"""Fine-tuning in memory: a pretrained model and labelled examples in, a classifier out. No files.

The pretrained model is copied, never changed, so that one can be fine-tuned many times (seeds, learning rates).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from trivium.errors import DataError, SettingsError, StoppedError, TriviumError
from trivium.families.bodies import initialise, network
from trivium.objectives import Batch
from trivium.randomness import key
from trivium.tasks import Encoded, Prediction, SequenceClassification
from trivium.tasks.batching import training_batches, within_budget
from trivium.text.examples import Labelled, Pair
from trivium.tokenizers import Tokenizer
from trivium.training.settings import AdamW, Linear, TrainingSettings
from trivium.training.trainer import Step, Trainer
from trivium.transformer import Config, Network

MICRO_TOKENS = 16_384  # a batch that is larger with its padding goes through the model in parts


@dataclass(frozen=True)
class FineTuning:
    """``method``: "full", "frozen" (the head alone) or "last:N" (the last N layers and the head).

    The length is ``steps``, or ``epochs`` (3 when neither is given). The recipe is BERT's (Devlin et al. 2019, appendix
    A.3): AdamW, 10% warm-up, linear decay to 0, decay 0.01, clipping at 1; with Adam's bias correction.
    """

    method: str = "full"
    learning_rate: float | None = None  # None: by the model's width, see default_learning_rate
    epochs: int | None = None
    steps: int | None = None
    batch: int = 32
    weight_decay: float = 0.01
    warmup: float = 0.1
    evaluations: int = 10  # at most, on dev; 1: at the end only
    seed: int = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        layers_of(self.method)
        if self.epochs is not None and self.steps is not None:
            raise SettingsError(f"epochs = {self.epochs} and steps = {self.steps}: give one of them")
        for name in ("epochs", "steps", "batch", "evaluations"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} = {value}: it must be at least 1")
        if self.learning_rate is not None and self.learning_rate <= 0:
            raise SettingsError(f"learning_rate = {self.learning_rate}: it must be above 0")


@dataclass(frozen=True)
class Evaluation:
    """The dev examples after so many steps."""

    step: int
    accuracy: float
    loss: float


@dataclass(frozen=True, eq=False)
class Classifier:
    """A model with its tokenizer and the task that reads its scores."""

    model: Network
    tokenizer: Tokenizer
    task: SequenceClassification

    def encode(self, examples: Sequence[Labelled | Pair]) -> Encoded:
        return self.task.encode(examples, self.tokenizer, self.model.config)

    def predict(self, examples: Sequence[Labelled | Pair]) -> list[Prediction]:
        """In the order of the examples."""
        return list(self.task.predict_all(self.model, self.encode(examples)))

    def score(self, examples: Sequence[Labelled | Pair]) -> dict[str, float]:
        """Accuracy, macro and micro F1, Matthews correlation."""
        return self.task.score(self.predict(examples), [example.label for example in examples])


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fine-tuning gave: the weights of the best evaluation on dev, or the last ones without dev."""

    classifier: Classifier
    scores: dict[str, float] | None  # on dev, of these very weights in float32
    evaluations: tuple[Evaluation, ...]
    losses: tuple[float, ...]  # of each step
    best_step: int
    steps: int
    learning_rate: float
    tokens: int
    seconds: float
    truncated: int  # training examples that were cut to the model's length


def fit_classifier(
    model: Network,
    tokenizer: Tokenizer,
    task: SequenceClassification,
    train: Sequence[Labelled | Pair],
    dev: Sequence[Labelled | Pair] | None = None,
    settings: FineTuning | None = None,
    watch: Callable[[Step, int], None] | None = None,
) -> Fitted:
    """Fine-tunes a copy of ``model``. ``watch`` is told each step and the number of steps there will be."""
    settings, started = settings or FineTuning(), time.perf_counter()
    classifier = classifier_of(model, tokenizer, task, settings.seed)
    freeze(classifier.model, settings.method)
    encoded = _encoded(classifier, train, "train")
    dev_encoded = _encoded(classifier, dev, "dev") if dev else None
    per_epoch = -(-len(train) // settings.batch)
    steps = settings.steps or (settings.epochs or 3) * per_epoch
    rate = settings.learning_rate or default_learning_rate(model.config, settings.method)
    training = TrainingSettings(
        steps=steps,
        optimizer=AdamW(learning_rate=rate, beta2=0.999, weight_decay=settings.weight_decay),
        schedule=Linear(warmup=settings.warmup),
        precision=settings.precision,
        device=settings.device,
        seed=settings.seed,
    )
    feed = _feed(task, encoded, settings)
    trainer = Trainer(classifier.model, task.loss, feed, training, steps=steps)
    every = max(per_epoch, -(-steps // settings.evaluations))
    evaluations: list[Evaluation] = []
    losses: list[float] = []
    best: Mapping[str, Tensor] = {}
    best_step, tokens = steps, 0
    try:
        for step in trainer:
            losses.append(step.loss)
            tokens += step.tokens
            if dev_encoded is not None and (trainer.number % every == 0 or trainer.number == steps):
                evaluations.append(_evaluate(classifier, dev_encoded, trainer.number))
                if evaluations[-1] is max(evaluations, key=lambda e: (e.accuracy, -e.loss)):
                    best_step, best = trainer.number, _copied(trainer)
            if watch is not None:
                watch(step, steps)
    except StoppedError as error:
        raise TriviumError(f"fine-tuning diverged at a learning rate of {rate:g}: lower it ({error})") from error
    _restore(classifier.model, best or _copied(trainer))
    scores = None
    if dev and dev_encoded is not None:
        predicted = list(task.predict_all(classifier.model, dev_encoded))
        scores = task.score(predicted, [example.label for example in dev])
    return Fitted(
        classifier=classifier,
        scores=scores,
        evaluations=tuple(evaluations),
        losses=tuple(losses),
        best_step=best_step,
        steps=steps,
        learning_rate=rate,
        tokens=tokens,
        seconds=time.perf_counter() - started,
        truncated=encoded.truncated,
    )


def classifier_of(model: Network, tokenizer: Tokenizer, task: SequenceClassification, seed: int) -> Classifier:
    """A copy of the pretrained body, in float32, under a head with new weights."""
    config = task.configure(model.config)
    made = initialise(network(config, task.heads(config)), seed)
    made.read_vocabulary(tokenizer)
    fresh = made.state_dict()
    known = {name: t for name, t in model.state_dict().items() if name in fresh and not name.startswith("heads.")}
    made.load_state_dict({**fresh, **known})
    return Classifier(made.eval(), task.layout(tokenizer, config), task)


def layers_of(method: str) -> int | None:
    """How many layers a method trains; None: all and the embeddings."""
    if method == "full":
        return None
    if method == "frozen":
        return 0
    name, _, count = method.partition(":")
    if name == "last" and count.isdecimal() and int(count) > 0:
        return int(count)
    raise SettingsError(f"method {method!r}: choose full, frozen or last:N, such as last:2")


def freeze(model: Network, method: str) -> None:
    """Leaves what the method trains with ``requires_grad``: heads and pooler always."""
    count = layers_of(method)
    if count is None:
        return
    stack, layers = (
        ("encoder", model.config.encoder_layers) if model.encoder else ("decoder", model.config.decoder_layers)
    )
    if count > layers:
        raise SettingsError(f"method {method!r}, but the model has {layers} layers: use last:{layers} at most, or full")
    trained = ["heads.", "pooler.", *(f"{stack}.layers.{n}." for n in range(layers - count, layers))]
    if count:
        trained += [f"{stack}.norm.", f"{stack}.projection."]
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(tuple(trained)))


def default_learning_rate(config: Config, method: str) -> float:
    """Smaller for wider models: 1e-3 up to width 256, 3.7e-5 at BERT-base's 768, 1.6e-5 at 1024. A head alone: 1e-2."""
    return 1e-2 if method == "frozen" else min(1e-3, 1e-3 * (256 / config.width) ** 3)


def _encoded(classifier: Classifier, examples: Sequence[Labelled | Pair], name: str) -> Encoded:
    if not examples:
        raise DataError(f"{name} has no examples")
    encoded = classifier.encode(examples)
    if (unknown := np.flatnonzero(encoded.labels < 0)).size:
        label = examples[int(unknown[0])].label
        raise DataError(f"{name}[{unknown[0]}]: label {label!r} is not one of {', '.join(classifier.task.labels)}")
    return encoded


def _feed(task: SequenceClassification, encoded: Encoded, settings: FineTuning) -> Callable[[int], list[Batch]]:
    """The micro-batches of a step: a pure function of its number."""
    lengths = encoded.lengths

    @lru_cache(maxsize=2)
    def epoch(number: int) -> list[np.ndarray]:
        return training_batches(lengths, settings.batch, key(settings.seed, "fine-tuning"), number)

    per_epoch = -(-len(encoded) // settings.batch)

    def feed(number: int) -> list[Batch]:
        numbers = epoch(number // per_epoch)[number % per_epoch]
        return [task.batch(encoded, part) for part in within_budget(lengths, numbers, MICRO_TOKENS)]

    return feed


def _evaluate(classifier: Classifier, encoded: Encoded, step: int) -> Evaluation:
    labels = classifier.task.labels
    predicted = list(classifier.task.predict_all(classifier.model, encoded))
    right = [p.label == labels[n] for p, n in zip(predicted, encoded.labels, strict=True)]
    chances = [p.probabilities[labels[n]] for p, n in zip(predicted, encoded.labels, strict=True)]
    return Evaluation(step, float(np.mean(right)), float(-np.log(np.maximum(chances, 1e-30)).mean()))


def _copied(trainer: Trainer[Network, Batch]) -> dict[str, Tensor]:
    masters, _ = trainer.state_dict()
    return {name: master.detach().clone() for name, master in masters.items()}


@torch.no_grad()
def _restore(model: Network, masters: Mapping[str, Tensor]) -> None:
    """Float32 weights, ready for use."""
    for name, parameter in model.named_parameters():
        parameter.data = masters[name]
        parameter.requires_grad_(False)
        parameter.grad = None
    model.eval()
