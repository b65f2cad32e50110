"""The figures of a comparison: means over seeds, paired differences corrected for their number, verdicts in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import mean, stdev

import numpy as np

from trivium.lab.scaling import Cost
from trivium.lab.wins import Wins, wins
from trivium.metrics.intervals import Interval, mean_t, paired_bootstrap
from trivium.metrics.significance import holm, minimal_detectable, paired_t_p
from trivium.verbs.compare_cell import Cell
from trivium.verbs.experiment import Arm, Experiment

LEVEL = 0.05


@dataclass(frozen=True)
class Column:
    """A score. ``scale``: 100 where it is shown as points of a hundred; ``mark``: what restricts it."""

    key: str
    title: str
    better: str  # "lower" or "higher"
    scale: float = 1.0
    mark: str = ""

    @property
    def unit(self) -> str:
        return " points" if self.scale == 100 else ""

    def spelt(self, value: float, sign: bool = False) -> str:
        shown = value * self.scale
        return f"{shown:{'+' if sign else ''}.{1 if self.scale == 100 else 3}f}"


@dataclass(frozen=True)
class Standing:
    """One contender over its seeds. Lists have one entry for each of ``seeds``, the finished ones."""

    name: str
    point: dict[str, str]
    stack: str
    seeds: list[int]
    parameters: int
    tokens: int
    flops: float
    tokens_per_second: float | None  # of training, on the machine that made the cell
    mfu: float | None
    scores: dict[str, dict[int, float]]  # by column, then seed
    items: dict[str, list[float]]  # by column: of each scored example, the mean over seeds
    means: dict[str, Interval]
    curve: list[tuple[float, float]]  # (training tokens, held-out loss) of the first seed
    losses: list[tuple[float, float]]  # (training tokens, training loss) of the first seed
    costs: list[Cost]
    directories: list[Path]
    objective: str  # its settings: losses of different ones do not compare


@dataclass(frozen=True)
class Difference:
    """``first`` minus ``second`` in one score, paired by seed. ``items``: its interval over the scored examples;
    ``detectable``: the smallest true difference that so many seeds show in four of five experiments."""

    first: str
    second: str
    column: str
    seeds: int
    value: Interval
    p: float | None
    adjusted: float | None  # for all comparisons of the report together (Holm)
    detectable: float | None
    items: Interval | None
    verdict: str

    @property
    def seen(self) -> bool:
        return self.adjusted is not None and self.adjusted < LEVEL


def columns_of(made: Experiment, cells: Sequence[Cell]) -> list[Column]:
    """The scores that some cell has."""
    found = []
    if any("bits_per_byte" in cell.evaluation for cell in cells):
        found.append(Column("bits per byte", "bits per byte", "lower"))
    if any("hidden_bits_per_byte" in cell.evaluation for cell in cells):
        found.append(Column("hidden bits per byte", "hidden bits per byte", "lower", mark="of its own objective"))
    rest = [c for c in cells if c.evaluation and not {"bits_per_byte", "hidden_bits_per_byte"} & set(c.evaluation)]
    if any(cell.stack != "baseline" for cell in rest):
        found.append(Column("loss", "held-out loss", "lower", mark="of its own objective"))
    for key, title, mark in (
        ("bits_per_byte", "passages, bits per byte", "likelihood"),
        ("pseudo_bits_per_byte", "passages, pseudo bits per byte", "pseudo-likelihood"),
    ):
        if any(key in (cell.passages or {}) for cell in cells):
            found.append(Column(f"passages {key}", title, "lower", mark=mark))
    if any(cell.pairs for cell in cells):
        found.append(Column("minimal pairs", "minimal pairs", "higher", 100))
    for transfer in made.transfer:
        metric = next((c.transfers[transfer.name].metric for c in cells if transfer.name in c.transfers), "")
        if any(c.transfers[transfer.name].values for c in cells if transfer.name in c.transfers):
            found.append(Column(f"transfer {transfer.name}", f"{transfer.name}, {metric}", "higher", 100))
    return found


def score_of(cell: Cell, column: str) -> float | None:
    """A cell's value of a column."""
    kind, _, name = column.partition(" ")
    if kind == "transfer":
        return cell.transfers[name].value if name in cell.transfers else None
    if kind == "passages":
        return (cell.passages or {}).get(name)
    if column == "minimal pairs":
        return (cell.pairs or {}).get("accuracy")
    if column == "loss" and {"bits_per_byte", "hidden_bits_per_byte"} & set(cell.evaluation):
        return None
    return cell.evaluation.get(column.replace(" ", "_"))


def standing_of(arm: Arm, cells: Sequence[Cell], columns: Sequence[Column], folder: Path) -> Standing:
    """``cells``: the finished ones of the contender, by seed."""
    scores: dict[str, dict[int, float]] = {}
    items: dict[str, list[float]] = {}
    for column in columns:
        values = {cell.seed: score_of(cell, column.key) for cell in cells}
        scores[column.key] = {seed: value for seed, value in values.items() if value is not None}
        name = column.key.removeprefix("transfer ")
        every = [c.transfers[name].items for c in cells if name in c.transfers] if name != column.key else []
        if every and all(each is not None and len(each) == len(every[0] or []) for each in every):
            items[column.key] = [float(value) for value in np.mean(np.array(every, float), axis=0)]
    first = cells[0]
    seconds = sum(cell.seconds for cell in cells)
    shares = [cell.mfu for cell in cells if cell.mfu is not None]
    return Standing(
        name=arm.name,
        point=dict(arm.point),
        stack=first.stack,
        seeds=[cell.seed for cell in cells],
        parameters=first.parameters,
        tokens=first.tokens,
        flops=mean(cell.flops for cell in cells),
        tokens_per_second=sum(cell.tokens for cell in cells) / seconds if seconds else None,
        mfu=mean(shares) if shares else None,
        scores=scores,
        items=items,
        means={key: mean_t(list(values.values())) for key, values in scores.items() if values},
        curve=[(p.tokens, p.figures["loss"]) for p in first.curve if "loss" in p.figures],
        losses=first.losses,
        costs=first.costs,
        directories=[folder / arm.name / f"seed-{cell.seed}" for cell in cells],
        objective=repr(sorted(first.objective.items())),
    )


def differences_of(
    standings: Sequence[Standing], columns: Sequence[Column], reference: str | None
) -> list[Difference]:
    """Of every pair, or of each contender against the reference, in every score that both have and that compares."""
    if reference == "all":
        pairs = [(second, first) for first, second in combinations(standings, 2)]
    else:
        base = next((each for each in standings if each.name == reference), standings[0])
        pairs = [(each, base) for each in standings if each is not base]
    raw = []
    for first, second in pairs:
        for column in columns:
            if column.mark == "of its own objective" and first.objective != second.objective:
                continue
            one, two = first.scores[column.key], second.scores[column.key]
            if seeds := [seed for seed in one if seed in two]:
                raw.append((first, second, column, [one[s] for s in seeds], [two[s] for s in seeds]))
    p_values = [paired_t_p(a, b) for *_, a, b in raw if len(a) > 1]
    adjusted = iter(zip(p_values, holm(p_values), strict=True))
    found = []
    for first, second, column, ours, theirs in raw:
        p, corrected = next(adjusted) if len(ours) > 1 else (None, None)
        apart = [a - b for a, b in zip(ours, theirs, strict=True)]
        detectable = minimal_detectable(stdev(apart), len(apart)) if len(apart) > 1 else None
        items = None
        mine, yours = first.items.get(column.key), second.items.get(column.key)
        if mine and yours and len(mine) == len(yours):
            items = paired_bootstrap(mine, yours)
        value = mean_t(apart)
        said = _verdict(first.name, second.name, column, value, corrected, detectable, items)
        found.append(
            Difference(
                first.name, second.name, column.key, len(apart), value, p, corrected, detectable, items, said
            )  # fmt: skip
        )
    return found


def wins_of(standings: Sequence[Standing], columns: Sequence[Column]) -> tuple[Wins, ...]:
    """Who is best in how many columns that compare, over the seeds that all who have the column finished."""
    counted = [column for column in columns if column.mark != "of its own objective"]
    table: dict[str, dict[str, list[float]]] = {standing.name: {} for standing in standings}
    for column in counted:
        having = [standing for standing in standings if standing.scores[column.key]]
        shared = sorted(set[int]().union(*(s.scores[column.key] for s in having)))
        shared = [seed for seed in shared if all(seed in s.scores[column.key] for s in having)]
        for standing in having:
            table[standing.name][column.title] = [standing.scores[column.key][seed] for seed in shared]
    return wins(table, lower={column.title for column in counted if column.better == "lower"})


def _verdict(
    first: str, second: str, column: Column, value: Interval, adjusted: float | None, detectable: float | None,
    items: Interval | None,
) -> str:  # fmt: skip
    size = f"{column.spelt(abs(value.value))}{column.unit}"
    if adjusted is None or detectable is None:
        word = "above" if value.value > 0 else "below"
        return (
            f"{first} is {size} {word} {second} on {column.title}{_over(items, column, 1)}: one seed says nothing "
            "about the chance of a training"
        )
    if not detectable and not value.value:
        return f"{first} and {second} have the same {column.title} with every seed"
    if value.excludes_zero():
        sign = 1 if value.value > 0 else -1
        first_wins = (sign > 0) == (column.better == "higher")
        winner, loser = (first, second) if first_wins else (second, first)
        ends = [column.spelt(each) for each in sorted((abs(value.low), abs(value.high)))]
        by = f"by {size} [{', '.join(ends)}]{_over(items, column, sign)}"
        if adjusted < LEVEL:
            return f"{winner} beats {loser} on {column.title} {by}"
        return (
            f"{winner} may beat {loser} on {column.title} {by}: among so many comparisons chance cannot be ruled out "
            f"(corrected p = {adjusted:.2f})"
        )
    low, high = column.spelt(value.low, True), column.spelt(value.high, True)
    return (
        f"no difference seen on {column.title} between {first} and {second}: {column.spelt(value.value, True)} "
        f"[{low}, {high}]{_over(items, column, 1)}; this design sees differences from {column.spelt(detectable)}"
        f"{column.unit} on"
    )


def _over(items: Interval | None, column: Column, sign: int) -> str:
    """The interval over examples, as the difference is told: the winner's lead has the sign +."""
    if items is None:
        return ""
    low, high = sorted((sign * items.low, sign * items.high))
    return f"; over the scored examples [{column.spelt(low, True)}, {column.spelt(high, True)}]"
