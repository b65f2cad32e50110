"""Who is best in how many columns of a table of systems and tasks: alone, shared, and by more than chance.

"State of the art on 17 of 24 tasks" counts what is printed, ties and noise with it. Here ties are said, and where each
system has several runs a column is also counted only if its best beats every other by a paired t test over the runs,
corrected by Holm for the systems that it is held against.
"""

import csv
import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from trivium.errors import DataError
from trivium.evaluation.comparison import lower_is_better
from trivium.metrics import holm, paired_t_p
from trivium.text.decoding import lines

LEVEL = 0.05

Table = Mapping[str, Mapping[str, Sequence[float]]]
"""Scores of each run, by system and column; runs of one number belong together, such as those of one seed."""


@dataclass(frozen=True)
class Wins:
    """The columns in which a system is best: ``alone``, or ``shared`` with others that are equal. ``sure``: those that
    it wins by more than chance; None where no column has several runs of every system that it holds."""

    system: str
    columns: int
    alone: tuple[str, ...]
    shared: tuple[str, ...]
    sure: tuple[str, ...] | None

    @property
    def sentence(self) -> str:
        """For people."""
        best = len(self.alone) + len(self.shared)
        ties = f", {len(self.shared)} of them shared" if self.shared else ""
        chance = "" if self.sure is None else f"; by more than chance in {len(self.sure)}"
        return f"{self.system}: best in {best} of {self.columns} columns{ties}{chance}"


def wins(table: Table, digits: int | None = None, lower: Collection[str] | None = None) -> tuple[Wins, ...]:
    """Every system's, the one with most of them first. A column counts where two systems have it. ``digits``: scores
    are compared as they are printed; None: as they are. ``lower``: the columns in which less is better; None: by their
    names."""
    columns = [
        name
        for name in dict.fromkeys(name for row in table.values() for name in row)
        if sum(bool(row.get(name)) for row in table.values()) > 1
    ]
    alone: dict[str, list[str]] = {system: [] for system in table}
    shared: dict[str, list[str]] = {system: [] for system in table}
    sure: dict[str, list[str]] = {system: [] for system in table}
    repeated = False
    for name in columns:
        runs = {system: row[name] for system, row in table.items() if row.get(name)}
        means = {system: mean(each) if digits is None else round(mean(each), digits) for system, each in runs.items()}
        less = lower_is_better(name) if lower is None else name in lower
        top = (min if less else max)(means.values())
        best = [system for system, value in means.items() if value == top]
        for system in best:
            (alone if len(best) == 1 else shared)[system].append(name)
        counts = {len(each) for each in runs.values()}
        if len(counts) == 1 and counts.pop() > 1:
            repeated = True
            rivals = [each for system, each in runs.items() if system != best[0]]
            if len(best) == 1 and max(holm([paired_t_p(runs[best[0]], each) for each in rivals])) < LEVEL:
                sure[best[0]].append(name)
    found = [
        Wins(s, len(columns), tuple(alone[s]), tuple(shared[s]), tuple(sure[s]) if repeated else None) for s in table
    ]
    return tuple(sorted(found, key=lambda each: -len(each.alone) - len(each.shared)))


def read_table(path: Path) -> Table:
    """A csv file: a header, then a row for each run of a system: its name and its scores; an empty cell is none."""
    if not path.is_file():
        raise DataError(f"{path} is not a file: check the name")
    text = "\n".join(line for _, line in lines(path, "strict"))
    rows = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    if len(rows) < 2 or len(rows[0]) < 2:
        raise DataError(f"{path} is no table of systems: give a header, and a row for each system with its scores")
    header = [cell.strip() for cell in rows[0]]
    found: dict[str, dict[str, list[float]]] = {}
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise DataError(f"{path}: row {number} has {len(row)} cells, and the header {len(header)}: correct it")
        scores = found.setdefault(row[0].strip(), {name: [] for name in header[1:]})
        for name, cell in zip(header[1:], row[1:], strict=True):
            if cell.strip():
                scores[name].append(_number(f"{path}: row {number}, column {name!r}", cell.strip()))
    if len(found) < 2:
        raise DataError(f"{path} has one system: a comparison needs two")
    return found


def _number(place: str, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{place}: {cell!r} is not a number: correct it, or leave the cell empty")
    return value
