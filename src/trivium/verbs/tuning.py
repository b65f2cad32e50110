"""Fine-tuning in memory: a pretrained model, a task and its examples in, a tuned model out. No files.

The pretrained model is copied, never changed, so that one can be fine-tuned many times (seeds, learning rates).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from trivium.errors import DataError, SettingsError, StoppedError, TriviumError
from trivium.families.bodies import initialise, outline
from trivium.families.family import Head
from trivium.objectives import Batch
from trivium.randomness import key
from trivium.tasks import Task, TextTask, Writer, predict_all
from trivium.tasks.batching import training_batches, within_budget
from trivium.text.examples import Located
from trivium.text.fields import Columns
from trivium.tokenizers import Tokenizer
from trivium.training.settings import AdamW, Linear, TrainingSettings
from trivium.training.trainer import Step, Trainer
from trivium.transformer import Network, TransformerConfig, TwoStreamConfig
from trivium.transformer.adapters import DEFAULT, Adapters
from trivium.transformer.lora import Lora
from trivium.transformer.network import changed
from trivium.verbs.learning_parts import default_learning_rate, freeze, layer_rates, layers_of
from trivium.verbs.new_rows import with_fresh_rows

MICRO_TOKENS = 16_384  # a batch that is larger with its padding goes through the model in parts


@dataclass(frozen=True)
class FineTuning:
    """``method``: "full", "frozen" (the head alone), "last:N" (the last N layers and the head) or "lora" (low-rank
    matrices beside some layers, and the head; see ``lora``).

    The length is ``steps``, or ``epochs`` (3 when neither is given). The recipe is BERT's (Devlin et al. 2019, appendix
    A.3): AdamW, 10% warm-up, linear decay to 0, decay 0.01, clipping at 1; with Adam's bias correction. ``warmup``: a
    share of the steps, or from 1 on a number of steps.
    """

    method: str = "full"
    learning_rate: float | None = None  # None: by the model's width, see default_learning_rate
    epochs: int | None = None
    steps: int | None = None
    batch: int = 32
    weight_decay: float = 0.01
    warmup: float = 0.1
    layer_decay: float = 1.0  # each layer learns so many times as fast as the one above it
    evaluations: int | None = None  # on dev, evenly spaced; None: at most ten, and at most one an epoch
    patience: int | None = None  # stop after so many evaluations on dev without a gain; None: never
    on_truncate: Literal["warn", "error"] = "warn"  # of examples longer than the model reads: count, or refuse them
    seed: int = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    lora: Lora = field(default_factory=Lora)  # read by the method "lora" alone

    def __post_init__(self) -> None:
        layers_of(self.method)
        if self.epochs is not None and self.steps is not None:
            raise SettingsError(f"epochs = {self.epochs} and steps = {self.steps}: give one of them")
        for name in ("epochs", "steps", "batch", "evaluations", "patience"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} = {value}: it must be at least 1")
        if self.learning_rate is not None and self.learning_rate <= 0:
            raise SettingsError(f"learning_rate = {self.learning_rate}: it must be above 0")
        if not 0 < self.layer_decay <= 1:
            raise SettingsError(f"layer_decay = {self.layer_decay}: it must be above 0 and at most 1 (1: none)")
        if self.weight_decay < 0 or self.warmup < 0:
            raise SettingsError("weight_decay and warmup must not be negative")


class DivergedError(TriviumError):
    """A loss or gradient that is not finite: the settings are at fault, and others may do."""


@dataclass(frozen=True)
class Evaluation:
    """The scores on dev after so many steps."""

    step: int
    scores: dict[str, float]


@dataclass(frozen=True, eq=False)
class Tuned:
    """A model with its tokenizer and the task that reads what its heads say."""

    model: Network
    tokenizer: Tokenizer
    task: Task[Any, Any]

    @property
    def columns(self) -> tuple[str, ...]:
        """The fields of a row that the task reads."""
        return self.task.columns

    def example(self, place: str, row: Mapping[str, object], columns: Columns, gold: bool) -> Any:
        """A row of a file, as the task reads it."""
        return self.task.example(place, row, columns, gold)

    def encode(self, examples: Sequence[Any]) -> Any:
        """The task's items."""
        return self.task.encode(examples, self.tokenizer, self.model.config)

    def predict(self, examples: Sequence[Any]) -> list[Any]:
        """In the order of the examples."""
        return predict_all(self.task, self.model, examples, self.encode(examples))

    def score(self, examples: Sequence[Any]) -> dict[str, float]:
        """The task's scores against the gold of the examples."""
        return self.task.score(self.predict(examples), examples)


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fine-tuning gave: the weights of the best evaluation on dev, or the last ones without dev."""

    tuned: Tuned
    scores: dict[str, float] | None  # on dev, of these very weights in float32
    evaluations: tuple[Evaluation, ...]
    losses: tuple[float, ...]  # of each step
    best_step: int
    steps: int  # that were taken
    planned: int  # more than those where it stopped early
    learning_rate: float
    tokens: int
    seconds: float
    training_seconds: float  # of the steps alone
    truncated: int  # training examples that were cut to the model's length
    dev_truncated: int
    predicted: Sequence[Any]  # of dev, by these very weights
    trained: tuple[str, ...]  # names of the parameters that learnt; all others are bit for bit the pretrained ones
    training_bytes: int  # of weights, gradients and the optimizer's state together, while it learnt
    notes: tuple[str, ...] = ()  # what else is to be known of the training examples


def fit(
    model: Network,
    tokenizer: Tokenizer,
    task: Task[Any, Any],
    train: Sequence[Any],
    dev: Sequence[Any] | None = None,
    settings: FineTuning | None = None,
    watch: Callable[[Step, int], None] | None = None,
    published: Mapping[str, Head] = {},  # noqa: B006 (read only)
) -> Fitted:
    """Fine-tunes a copy of ``model``. ``watch`` is told each step and the number of steps there will be;
    ``published``: the heads of the model's family, for tasks that make theirs alike."""
    settings, started = settings or FineTuning(), time.perf_counter()
    if not train:
        raise DataError("train has no examples")
    if settings.patience is not None and not dev:
        raise SettingsError(f"patience = {settings.patience} waits for a gain on dev: give dev, or leave out patience")
    task = task.learn(placed(train, "train"), placed(dev or (), "dev"))
    tuned = tuned_of(model, tokenizer, task, settings.seed, published)
    if settings.method == "lora":
        adapt(tuned.model, settings.lora, settings.seed)
    freeze(tuned.model, settings.method)
    share(tuned.model, model)
    trained = tuple(name for name, parameter in tuned.model.named_parameters() if parameter.requires_grad)
    if not trained:
        raise SettingsError("method 'frozen' trains the head alone, and this task has none: use full, last:N or lora")
    items = tuned.encode(train)
    dev_items = tuned.encode(dev) if dev else None
    _check_truncated(settings, items, dev_items)
    per_epoch = -(-len(items) // settings.batch)
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
    rates = layer_rates(tuned.model, settings.layer_decay) if settings.layer_decay < 1 else {}
    trainer = Trainer(tuned.model, task.loss, _feed(task, items, settings), training, steps=steps, rates=rates)
    watched = task.hurried() if isinstance(task, Writer) else task
    every = -(-steps // (settings.evaluations or 10))
    if settings.evaluations is None:
        every = max(every, per_epoch)
    evaluations: list[Evaluation] = []
    losses: list[float] = []
    best: Mapping[str, Tensor] = {}
    said: Sequence[Any] | None = None  # by the best weights, where what is saved says the very same
    exact = trainer.precision == torch.float32 and watched is task
    best_step, tokens, training_seconds, without_gain = steps, 0, 0.0, 0
    try:
        for step in trainer:
            losses.append(step.loss)
            tokens, training_seconds = tokens + step.tokens, training_seconds + step.seconds
            if dev and (trainer.number % every == 0 or trainer.number == steps):
                predicted = predict_all(watched, tuned.model, dev, dev_items)
                evaluations.append(Evaluation(trainer.number, watched.score(predicted, dev)))
                if evaluations[-1] is max(evaluations, key=lambda each: merit(task, each.scores)):
                    best_step, best, without_gain = trainer.number, _copied(trainer), 0
                    said = predicted if exact else None
                else:
                    without_gain += 1
            if watch is not None:
                watch(step, steps)
            if settings.patience is not None and without_gain >= settings.patience:
                break
    except StoppedError as error:
        raise DivergedError(f"fine-tuning diverged at a learning rate of {rate:g}: lower it ({error})") from error
    held = _held(trainer)
    _restore(tuned.model, {**trainer.optimizer.masters, **(best or _copied(trainer))})
    reached: dict[str, float] | None = None
    if dev:
        said = predict_all(task, tuned.model, dev, dev_items) if said is None else said
        tuned = replace(tuned, task=task.settled(said, dev))
        reached = tuned.task.score(said, dev)
    return Fitted(
        tuned=tuned,
        scores=reached,
        evaluations=tuple(evaluations),
        losses=tuple(losses),
        best_step=best_step,
        steps=len(losses),
        planned=steps,
        learning_rate=rate,
        tokens=tokens,
        seconds=time.perf_counter() - started,
        training_seconds=training_seconds,
        truncated=items.truncated,
        dev_truncated=dev_items.truncated if dev_items is not None else 0,
        predicted=said or (),
        trained=trained,
        training_bytes=held,
        notes=getattr(items, "notes", ()),
    )


def merit(task: Task[Any, Any], scores: Mapping[str, float]) -> tuple[float, float]:
    """What is compared to choose among weights: the task's main score, and among equal ones the loss."""
    return scores[task.main], -scores.get("loss", 0.0)


def placed(examples: Sequence[Any], name: str) -> list[Located[Any]]:
    """Examples of a list with what errors call them: ``train[3]``."""
    return [Located(example, f"{name}[{number}]") for number, example in enumerate(examples)]


def tuned_of(
    model: Network, tokenizer: Tokenizer, task: Task[Any, Any], seed: int,
    published: Mapping[str, Head] = {},  # noqa: B006 (read only)
) -> Tuned:  # fmt: skip
    """A copy of the pretrained body, in float32, under heads with new weights. Tokens that the task's layout adds begin
    as a new model's do."""
    if isinstance(task, TextTask):
        task = task.of_family(published)
    config = task.configure(model.config, published)
    laid_out = task.layout(tokenizer, config)
    grows = laid_out.vocab_size > tokenizer.vocab_size
    if grows:
        config = changed(config, vocab_size=max(config.vocab_size, laid_out.vocab_size))
    if names := Adapters(model).names:
        raise SettingsError(f"the model has the adapters {', '.join(names)} in use: merge one, or fine-tune the base")
    made = outline(config, task.heads(config, published)).to_empty(device="cpu")
    fresh = made.state_dict()
    known = {name: t for name, t in model.state_dict().items() if name in fresh and not name.startswith("heads.")}
    initialise(made, seed, () if grows else known)
    if grows:
        known = with_fresh_rows(known, fresh, config, tokenizer.vocab_size)
    made.load_state_dict({**fresh, **known})
    made.read_vocabulary(laid_out)
    return Tuned(made.eval(), laid_out, task)


def adapt(model: Network, lora: Lora, seed: int) -> None:
    """Puts low-rank matrices beside some layers, in use."""
    if not isinstance(model.config, TransformerConfig | TwoStreamConfig):
        raise SettingsError("method 'lora' adapts Transformers, and this model is none: use full, frozen or last:N")
    adapters = Adapters(model)
    adapters.add(DEFAULT, lora, seed)
    adapters.use(DEFAULT)


def share(model: Network, pretrained: Network) -> None:
    """What is not trained is not copied: it is the pretrained model's own memory, which nothing writes."""
    theirs = dict(pretrained.named_parameters())
    for name, parameter in model.named_parameters():
        own = theirs.get(name)
        same = own is not None and own.dtype == parameter.dtype and own.shape == parameter.shape
        if own is not None and same and not parameter.requires_grad:
            parameter.data = own.detach()


def _check_truncated(settings: FineTuning, items: Any, dev_items: Any) -> None:
    for name, each in (("train", items), ("dev", dev_items)):
        if settings.on_truncate == "error" and each is not None and each.truncated:
            raise DataError(
                f"{each.truncated} examples of {name} are longer than what is read of one: raise the length as far as "
                "the model's context goes, shorten them, or let them be cut with on-truncate warn"
            )


def _held(trainer: Trainer[Network, Batch]) -> int:
    """Bytes of weights, float32 masters of what is trained, gradients and moments; not of what a batch passes."""
    optimizer = trainer.optimizer
    weights = [*optimizer.weights.values(), *optimizer.state_dict().values()]
    masters = list(optimizer.trained.values())
    copies = 2 if optimizer.separate else 1  # masters and gradients; in float32 the masters are the weights
    size = sum(tensor.numel() * tensor.element_size() for tensor in weights)
    return size + copies * sum(master.numel() * master.element_size() for master in masters)


def _feed(task: Task[Any, Any], items: Any, settings: FineTuning) -> Callable[[int], list[Batch]]:
    """The micro-batches of a step: a pure function of its number."""
    lengths = items.lengths

    @lru_cache(maxsize=2)
    def epoch(number: int) -> list[np.ndarray]:
        return training_batches(lengths, settings.batch, key(settings.seed, "fine-tuning"), number)

    per_epoch = -(-len(items) // settings.batch)

    def feed(number: int) -> list[Batch]:
        numbers = epoch(number // per_epoch)[number % per_epoch]
        return [task.batch(items, part) for part in within_budget(lengths, numbers, MICRO_TOKENS)]

    return feed


def _copied(trainer: Trainer[Network, Batch]) -> dict[str, Tensor]:
    """Of what is trained."""
    return {name: master.detach().clone() for name, master in trainer.optimizer.trained.items()}


@torch.no_grad()
def _restore(model: Network, masters: Mapping[str, Tensor]) -> None:
    """Float32 weights, ready for use."""
    for name, parameter in model.named_parameters():
        parameter.data = masters[name].detach().to(parameter.device)
        parameter.requires_grad_(False)
        parameter.grad = None
    model.eval()
