"""What a fine-tuning reports: the model that was saved, its scores and how sure they are, every other run that was made
for them, and what the files have to be warned of."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import stdev

from trivium.metrics.intervals import Interval, mean_t
from trivium.verbs.data_checks import DataChecks
from trivium.verbs.judging import Change
from trivium.verbs.tuning import Evaluation


@dataclass(frozen=True)
class LayerShares:
    """A learnt mixture: what each layer counts, embeddings first, which sums to 1, and the scale of the whole."""

    shares: tuple[float, ...]
    scale: float


@dataclass(frozen=True)
class Spread:
    """A score over seeds: its mean, their standard deviation, and Student's 95% interval of the mean. A single seed has
    neither."""

    mean: float
    deviation: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        mean = mean_t(values)
        if len(values) < 2:
            return cls(mean.value, None, None, None)
        return cls(mean.value, stdev(values), mean.low, mean.high)


@dataclass(frozen=True)
class Run:
    """One fine-tuning with one seed; ``scores``: on dev, of its best weights."""

    seed: int
    scores: dict[str, float]
    best_step: int
    steps: int
    seconds: float


@dataclass(frozen=True)
class Trial:
    """The same fine-tuning with each seed. ``name``: what sets it apart from the other trials; ``old``: what it forgets
    of a text, the mean over seeds."""

    name: str
    examples: int
    learning_rate: float
    runs: tuple[Run, ...]
    spread: dict[str, Spread]  # of each score
    trained_parameters: int
    training_bytes: int
    tokens_per_second: float  # of the training steps alone
    old: Change | None = None


@dataclass(frozen=True)
class DataFile:
    """What was read for ``split``; ``used`` + ``skipped`` = ``rows``."""

    split: str
    name: str
    rows: int
    used: int
    skipped: int
    truncated: int  # of those that are used, cut to the model's length
    sha256: str


@dataclass(frozen=True)
class FineTuned:
    """What ``finetune`` reports. ``scores``: on dev, of the weights that were saved: the best seed's, which is a better
    one than the seeds' mean in ``trials``."""

    directory: Path
    labels: tuple[str, ...]
    train_examples: int
    truncated: int  # of them, cut to the model's length
    scores: dict[str, float] | None
    evaluations: tuple[Evaluation, ...]
    best_step: int
    steps: int
    learning_rate: float
    seconds: float
    opens_in_transformers: bool
    notes: tuple[str, ...] = ()  # what else is to be known of the examples
    mix: LayerShares | None = None  # where layers are mixed: what each counts
    parameters: int = 0  # of the whole model, those that learnt included
    trained_parameters: int = 0
    training_bytes: int = 0  # of weights, gradients and the optimizer's state together, while it learnt
    adapter_bytes: int | None = None  # of the file, where an adapter was written
    main: str = ""  # the score by which weights are chosen
    intervals: dict[str, Interval] = field(default_factory=dict)  # of the scores, 95% over dev's examples
    base: str = ""  # the pretrained model, as it was named
    base_sha256: str = ""  # of its weights
    planned_steps: int = 0  # more than ``steps`` where it stopped early
    signature: str = ""  # what the score depends on, in one line
    files: tuple[DataFile, ...] = ()
    checks: DataChecks = DataChecks()
    vary: str = "seeds"  # what the trials differ in: "seeds" (one trial), "curve" or "sweep"
    trials: tuple[Trial, ...] = ()
    figure: str | None = None  # of ``old`` in trials: "bits_per_byte", "hidden_bits_per_byte" or "loss"
