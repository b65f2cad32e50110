"""From a model and its tokens to FLOPs, epochs, hours, energy, money and disk: arithmetic without a run.

6 N D: forward and backward cost 6 FLOPs a parameter and token (Kaplan et al. 2020, section 2.1), which is how published
runs are compared. A petaflop/s-day is 8.64e19 FLOPs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from trivium.errors import SettingsError

PETAFLOP_DAY = 1e15 * 86_400


@dataclass(frozen=True)
class SourceText:
    """A part of the training text: its size in tokens, and its share of all tokens drawn."""

    name: str
    tokens: int
    share: float


@dataclass(frozen=True)
class SourceEpochs:
    """How much is drawn from a source, and how often that is all of it."""

    name: str
    tokens: int
    share: float
    drawn: int
    epochs: float


@dataclass(frozen=True)
class Bill:
    """Of a whole training. ``energy``: kilowatt-hours; ``cost``: in whatever the prices are in."""

    hours: float
    energy: float | None
    cost: float | None


@dataclass(frozen=True)
class Disk:
    """Bytes: of one checkpoint (float32 masters and moments), and of the most that a run has at once."""

    checkpoint: int
    most: int


def six_n_d(parameters: int, tokens: int) -> int:
    """FLOPs of training by the rule of six, exactly."""
    return 6 * parameters * tokens


def epochs(sources: Sequence[SourceText], tokens: int) -> list[SourceEpochs]:
    """Each source's share of ``tokens``, in epochs of its own size. Shares are taken as they are, also where they have
    been rounded and add up to a little more than 1."""
    return [
        SourceEpochs(each.name, each.tokens, each.share, round(each.share * tokens), each.share * tokens / each.tokens)
        for each in sources
    ]


def parsed_source(text: str) -> tuple[str, int, float | None]:
    """NAME=TOKENS or NAME=TOKENS@WEIGHT, as "wiki=3e9@0.03"."""
    name, _, rest = text.rpartition("=")
    size, at, weight = rest.partition("@")
    try:
        tokens, given = int(float(size)), float(weight) if at else None
    except (ValueError, OverflowError):
        name = ""
        tokens, given = 0, None
    if not name or tokens < 1 or (given is not None and not 0 < given < float("inf")):
        raise SettingsError(f"--source {text!r} must look like wiki=3e9 or wiki=3e9@0.03: a name, tokens, a weight")
    return name, tokens, given


def given_sources(texts: Sequence[str]) -> list[SourceText]:
    """Sources as they are given. Without weights each is drawn by its size; weights of which the sum is over 1.02 are
    made to add up to 1, lower ones are shares as they are."""
    parts = [parsed_source(text) for text in texts]
    with_weight = [weight for _, _, weight in parts if weight is not None]
    if with_weight and len(with_weight) < len(parts):
        raise SettingsError("some of --source have a weight and some have none: give each one, or none")
    whole = sum(with_weight) or sum(tokens for _, tokens, _ in parts)
    scale = 1.0 if with_weight and 0.98 <= whole <= 1.02 else 1 / whole if parts else 1.0
    return [SourceText(name, tokens, (weight or tokens) * scale) for name, tokens, weight in parts]


def bill(
    seconds: float, devices: int, watts: float | None, price: float | None, electricity: float | None
) -> Bill:
    """Of ``devices`` that run for so many seconds."""
    hours = seconds / 3600
    energy = None if watts is None else hours * devices * watts / 1000
    costs = [] if price is None else [hours * devices * price]
    if electricity is not None:
        if energy is None:
            raise SettingsError("electricity's price needs the device's power: add --watts")
        costs.append(energy * electricity)
    return Bill(hours, energy, sum(costs) if costs else None)


def disk(parameters: int, moments: int, keep: int) -> Disk:
    """``moments``: bytes. While a new checkpoint is written the kept ones are there; the newest one's weights are also
    the run's own."""
    masters = 4 * parameters
    once = masters + moments
    return Disk(once, (keep + 1) * once + masters)
