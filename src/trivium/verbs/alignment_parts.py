"""What the methods of ``trivium align`` share: the settings of their training, what each is given, and what it gives.

A method is a frozen dataclass, whose fields are the table ``[method]`` of a run's ``trivium.toml`` and what ``--set
method.x=y`` changes. It prepares a model, a feed of batches and a loss; one loop (``training/``) does the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from torch import nn

from trivium.errors import SettingsError
from trivium.families.bodies import initialise, outline
from trivium.families.generation_config import GenerationConfig
from trivium.generation.completion import end_tokens
from trivium.objectives import Batch, Loss
from trivium.text.chat_templates import ChatTemplate
from trivium.text.fields import Columns
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.chats import ChatRenderer
from trivium.training.settings import AdamW, Linear, TrainingSettings
from trivium.training.trainer import Step
from trivium.transformer import Network
from trivium.transformer.adapters import Adapters
from trivium.transformer.lora import Lora
from trivium.transformer.network import changed
from trivium.verbs.learning_parts import default_learning_rate, freeze
from trivium.verbs.load import LanguageModel
from trivium.verbs.tuning import adapt, share

Unfit = Literal["drop", "error"]
"""What happens to an example that cannot be learnt from: it is left out and counted, or refused."""

EMPTY = "with an empty turn"
"""Why an example with a turn without words cannot be learnt from."""


@dataclass(frozen=True)
class AlignTraining:
    """``batch``: examples in an update. The length is ``steps``, or else ``epochs``. AdamW with a linear warm-up and
    decay to 0. ``evaluations``: on dev, evenly spaced, with samples. 0 switches ``clip`` and ``checkpoint_every``
    off."""

    epochs: float | None = None
    steps: int | None = None
    batch: int = 16
    micro_tokens: int = 8192  # tokens, with padding, that go through the model at once
    learning_rate: float | None = None  # None: by the method and the model's width
    weight_decay: float = 0.0
    warmup: float = 0.1
    clip: float = 1.0
    evaluations: int = 10
    checkpoint_every: int = 100
    keep: int = 2
    log_every: int = 10
    tensorboard: bool = False
    seed: int = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "micro_tokens", "keep", "evaluations"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"training.{name} = {value}: it must be at least 1")
        for name in ("epochs", "learning_rate"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise SettingsError(f"training.{name} = {value}: it must be above 0")
        for name in ("weight_decay", "warmup", "clip", "checkpoint_every", "log_every"):
            if getattr(self, name) < 0:
                raise SettingsError(f"training.{name} = {getattr(self, name)}: it must not be negative")

    def planned(self, per_epoch: int) -> int:
        """Updates, of which an epoch has so many."""
        return self.steps or max(1, round((self.epochs or 1) * per_epoch))

    def settings(self, steps: int, learning_rate: float) -> TrainingSettings:
        """For the trainer."""
        every = max(1, -(-steps // self.evaluations))
        return TrainingSettings(
            steps=steps,
            optimizer=AdamW(learning_rate=self.learning_rate or learning_rate, beta2=0.999,
                            weight_decay=self.weight_decay),
            schedule=Linear(warmup=self.warmup),
            clip=self.clip, precision=self.precision, device=self.device, seed=self.seed,
            checkpoint_every=self.checkpoint_every, keep=self.keep, evaluate_every=every, sample_every=every,
            log_every=self.log_every, tensorboard=self.tensorboard,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Start:
    """What a method is given. ``model``: the pretrained one, which nothing changes; ``folder``: for what a method
    writes beside the run's files; ``named``: the rewards that the command itself names, not a run's folder."""

    model: LanguageModel
    template: ChatTemplate
    train: Path
    dev: Path | None
    columns: Columns
    format: str | None
    weights: str
    lora: Lora
    training: AlignTraining
    folder: Path
    tell: Callable[[str], None]
    named: tuple[str, ...] = ()

    @property
    def tokenizer(self) -> Tokenizer:
        return self.model.tokenizer

    def renderer(self) -> ChatRenderer:
        return ChatRenderer(self.tokenizer, self.template)

    def generation(self, renderer: ChatRenderer) -> GenerationConfig:
        """How the model writes; ``ends``: the tokens at which a reply ends."""
        files = self.model.generation
        return replace(files, ends=end_tokens(self.tokenizer, files) | renderer.turn_ends())

    def learner(self, heads: Mapping[str, nn.Module] | None = None, **changes: Any) -> Network:
        """A copy of the model, in float32, of which what ``weights`` says can learn, and all of ``heads``. With LoRA
        the copy shares what it does not learn with the model. ``changes``: fields of its configuration."""
        base = self.model.model
        config = changed(base.config, **changes) if changes else base.config
        if names := Adapters(base).names:
            raise SettingsError(f"the model has the adapters {', '.join(names)} in use: merge one, or align the base")
        made = outline(config, heads or {}).to_empty(device="cpu")
        fresh = made.state_dict()
        known = {n: t.float() for n, t in base.state_dict().items() if n in fresh and not n.startswith("heads.")}
        initialise(made, self.training.seed, known)
        made.load_state_dict({**fresh, **known})
        made.read_vocabulary(self.tokenizer)
        if self.weights == "lora":
            adapt(made, self.lora, self.training.seed)
        freeze(made, self.weights)
        share(made, base)
        return made.eval()

    def learning_rate(self) -> float:
        """Of supervised learning, by the model's width and by what learns."""
        return default_learning_rate(self.model.config, self.weights)


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a method gives: a model that learns, batches of a step, and their loss. ``fingerprint``: of all data it was
    made from. ``judge``: figures that cost too much to be found more than twice, before the first step and after the
    last; ``watch``: is shown each step and the lines of ``metrics.jsonl``, and may add one; ``figures``: what else is
    to be told of the whole run when it is over; ``page``: the run's ``report.html``, from those lines. ``method``: with
    what the run is to write down of it."""

    model: Network
    loss: Callable[[Network, Batch], Mapping[str, Loss]]
    feed: Callable[[int], Sequence[Batch]]
    steps: int
    learning_rate: float
    fingerprint: str
    evaluate: Callable[[], Mapping[str, float]] | None = None
    sample: Callable[[], str] | None = None
    judge: Callable[[], Mapping[str, float]] | None = None
    flops: Callable[[Batch], float] | None = None
    watch: Callable[[Step, Sequence[Mapping[str, Any]]], Mapping[str, Any] | None] | None = None
    figures: Callable[[], Mapping[str, Any]] | None = None
    page: Callable[[Sequence[Mapping[str, Any]]], str] | None = None
    method: "Method | None" = None
    notes: tuple[str, ...] = ()
    examples: int = 0


def left_out(name: str, what: str, places: Sequence[str], total: int, why: str) -> list[str]:
    """What is said of examples that cannot be learnt from, if there are any: how many, and where the first stands."""
    if not places:
        return []
    return [f"{len(places)} of {total} {what} of {name} were left out, {why}; the first is {places[0]}"]


def check_unchanged(what: str, digest: str | None, recorded: str | None) -> None:
    """Refuses to go on with something else than the run was begun with."""
    if recorded is not None and recorded != digest:
        raise SettingsError(
            f"{what} is not what the run was begun with (its SHA-256 begins with {(digest or '')[:12]}, not "
            f"{recorded[:12]}): put that back, or begin a new run with another --out"
        )


class Method(Protocol):
    """One way to align a model. ``defaults``: values of the run's other tables that suit it."""

    defaults: ClassVar[Mapping[str, Any]]

    @property
    def kind(self) -> str: ...

    def prepare(self, start: Start) -> Prepared: ...
