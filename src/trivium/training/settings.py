"""Everything about a training run that a recipe's ``[training]`` table can say; each field is a flag and a TOML key."""

from dataclasses import dataclass, field
from typing import Literal

from trivium.errors import SettingsError


@dataclass(frozen=True)
class AdamW:
    """Loshchilov and Hutter 2019: Adam with decay applied to the weights themselves, here to matrices only."""

    kind: Literal["adamw"] = "adamw"
    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8
    weight_decay: float = 0.1


@dataclass(frozen=True)
class Muon:
    """Jordan et al. 2024: momentum made orthogonal, for the matrices inside the layers; AdamW for all else.

    The update is scaled by 0.2 sqrt(max(rows, columns)) (Liu et al. 2025), so that learning rates are of AdamW's size.
    """

    kind: Literal["muon"] = "muon"
    learning_rate: float = 3e-3
    momentum: float = 0.95
    weight_decay: float = 0.1
    rest_learning_rate: float = 3e-3  # AdamW's, for embeddings, heads, biases and norms
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float = 1e-8


@dataclass(frozen=True)
class Cosine:
    """Linear warm-up, then half a cosine down to ``floor`` times the peak (Loshchilov and Hutter 2017)."""

    kind: Literal["cosine"] = "cosine"
    warmup: float = 0.05  # below 1: share of the steps; otherwise a number of steps
    floor: float = 0.1


@dataclass(frozen=True)
class Linear:
    """Linear warm-up, then a straight line down to ``floor`` times the peak (Devlin et al. 2019)."""

    kind: Literal["linear"] = "linear"
    warmup: float = 0.1
    floor: float = 0.0


@dataclass(frozen=True)
class InverseSqrt:
    """Linear warm-up, then peak * sqrt(warmup / step) (Vaswani et al. 2017, equation 3, with the peak as setting)."""

    kind: Literal["inverse_sqrt"] = "inverse_sqrt"
    warmup: float = 0.1


@dataclass(frozen=True)
class ConstantThenDecay:
    """Linear warm-up, the peak, then 1 - sqrt down to ``floor`` over the last ``decay`` (Hägele et al. 2024)."""

    kind: Literal["constant_then_decay"] = "constant_then_decay"
    warmup: float = 0.05
    decay: float = 0.2  # below 1: share of the steps; otherwise a number of steps
    floor: float = 0.0


Optimizer = AdamW | Muon
Schedule = Cosine | Linear | InverseSqrt | ConstantThenDecay


@dataclass(frozen=True)
class TrainingSettings:
    """How long, how, and how often to look. 0 switches ``clip`` and each ``..._every`` off."""

    steps: int | None = None  # exactly one of steps, tokens, flops and minutes; 0: the model as it begins
    tokens: int | None = None
    flops: float | None = None  # counted exactly, batch by batch, before the first step
    minutes: float | None = None  # turned into steps by timing the first ones; the resolved recipe holds the steps
    batch_tokens: int = 4096
    micro_batch_tokens: int | None = None  # None: the whole batch in one pass
    optimizer: Optimizer = field(default_factory=AdamW)
    schedule: Schedule = field(default_factory=Cosine)
    clip: float = 1.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    compile: bool = False
    seed: int = 0
    checkpoint_every: int = 500
    keep: int = 2
    evaluate_every: int = 250
    sample_every: int = 0
    log_every: int = 10
    tensorboard: bool = False

    def __post_init__(self) -> None:
        budget = {name: getattr(self, name) for name in ("steps", "tokens", "flops", "minutes")}
        given = {name: value for name, value in budget.items() if value is not None}
        if len(given) != 1:
            said = ", ".join(f"{name} = {value}" for name, value in given.items()) or "none of them"
            raise SettingsError(f"training needs exactly one of steps, tokens, flops and minutes: it has {said}")
        for name, value in given.items():
            if value < 0 or (value == 0 and name != "steps"):
                least = "at least" if name == "steps" else "above"
                raise SettingsError(f"training.{name} is {value}: it must be {least} 0")
        if self.batch_tokens < 1:
            raise SettingsError(f"training.batch_tokens is {self.batch_tokens}: it must be at least 1")
        if self.micro_batch_tokens is not None and not 1 <= self.micro_batch_tokens <= self.batch_tokens:
            raise SettingsError(
                f"training.micro_batch_tokens is {self.micro_batch_tokens}: it must lie between 1 and "
                f"training.batch_tokens = {self.batch_tokens}"
            )
        if self.keep < 1:
            raise SettingsError(f"training.keep is {self.keep}: at least 1 checkpoint has to be kept")
        for name in ("clip", "checkpoint_every", "evaluate_every", "sample_every", "log_every"):
            if getattr(self, name) < 0:
                raise SettingsError(f"training.{name} is {getattr(self, name)}: it must not be negative (0 is off)")
