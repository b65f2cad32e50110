"""Several sources drawn by weight: which row each draw of the run is, a pure function of the draw's number.

Weights are shares of the draws, as in GPT-3's table 2.2 (Brown et al. 2020), whatever the sources' sizes. A cycle of
draws holds each source in its exact share, in a keyed order; a source's own rows come in a keyed order that is new
each epoch. Both are found without history, so that a run goes on anywhere at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd, lcm
from typing import Self

import numpy as np

from trivium.errors import SettingsError
from trivium.randomness import key
from trivium.text.blocks import Blocks
from trivium.text.order import drawn, permuted
from trivium.text.rows import Rows

LONGEST_CYCLE = 1_000_000


@dataclass(frozen=True)
class Mixture:
    """Rows of ``sources`` in proportion to ``weights``. Draws are numbered from 0 over the whole run."""

    sources: Sequence[Blocks]
    weights: Sequence[float]
    seed: int

    def __post_init__(self) -> None:
        if not self.sources or len(self.sources) != len(self.weights):
            raise SettingsError(f"{len(self.sources)} sources have {len(self.weights)} weights: give each one")
        if len({source.layout.length for source in self.sources}) > 1:
            raise SettingsError("all sources of a mixture need rows of one length")
        _ = self.cycle  # refuses weights that cannot be used

    @cached_property
    def cycle(self) -> np.ndarray:
        """(S,) draws of each source in one cycle."""
        return shares(self.weights)

    @classmethod
    def of(cls, blocks: Blocks, seed: int) -> Self:
        """One source."""
        return cls([blocks], [1.0], seed)

    def draw(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each draw number (any shape): which source, and which of its rows."""
        numbers = np.asarray(numbers, dtype=np.int64)
        source, place = self._places(numbers)
        row = np.empty_like(place)
        for index, blocks in enumerate(self.sources):
            of_source = source == index
            row[of_source] = drawn(key(self.seed, "source", index), len(blocks), place[of_source])
        return source, row

    def rows(self, first: int, count: int) -> Rows:
        """The rows of draws ``first`` to ``first + count - 1``: arrays of (count, T)."""
        return self.at(np.arange(first, first + count, dtype=np.int64))

    def at(self, numbers: np.ndarray) -> Rows:
        """The rows of the draws ``numbers`` (B,)."""
        source, row = self.draw(numbers)
        return joined_rows(self.sources, source, row, numbers)

    def epochs(self, draws: int) -> list[float]:
        """How often each source has been seen through after the first ``draws`` draws."""
        whole, rest = divmod(draws, int(self.cycle.sum()))
        source, _ = self._places(whole * int(self.cycle.sum()) + np.arange(rest))
        counts = whole * self.cycle + np.bincount(source, minlength=len(self.cycle))
        return [float(count * each.passes / len(each)) for count, each in zip(counts, self.sources, strict=True)]

    def _places(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each draw: its source, and how many draws of that source have lower places (a number without gaps)."""
        if len(self.cycle) == 1:
            return np.zeros_like(numbers), numbers
        cycles, slot = slots(self.cycle, key(self.seed, "mixture"), numbers)
        ends = np.cumsum(self.cycle)
        source = np.searchsorted(ends, slot, side="right")
        return source, cycles * self.cycle[source] + slot - (ends - self.cycle)[source]


def slots(cycle: np.ndarray, seed: int, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each draw number: which cycle it is in, and its slot there. The slots of a cycle, of which ``cycle`` (S,)
    gives so many to each by turns, come in a keyed order that is new each cycle."""
    length = int(cycle.sum())
    cycles, places = np.divmod(numbers, length)
    slot = np.empty_like(places)
    for each in np.unique(cycles):
        here = cycles == each
        slot[here] = permuted(seed, int(each), length, places[here])
    return cycles, slot


def joined_rows(sources: Sequence[Blocks], source: np.ndarray, row: np.ndarray, numbers: np.ndarray) -> Rows:
    """The rows ``row`` (B,) of the sources numbered ``source`` (B,), in this order: arrays of (B, T)."""
    if len(sources) == 1:
        return sources[0].rows(row, numbers)
    shape, pairs = (len(numbers), sources[0].layout.length), sources[0].layout.pairs
    joined = Rows(
        np.empty(shape, np.int64), np.empty(shape, np.int64), np.empty(shape, np.int64), numbers,
        segments=np.empty(shape, np.int64) if pairs else None,
        labels=np.empty(len(numbers), np.int64) if pairs else None,
    )  # fmt: skip
    for index, blocks in enumerate(sources):
        where = np.flatnonzero(source == index)
        part = blocks.rows(row[where], numbers[where])
        joined.tokens[where], joined.documents[where] = part.tokens, part.documents
        joined.positions[where] = part.positions
        if joined.segments is not None and joined.labels is not None:
            joined.segments[where], joined.labels[where] = part.segments, part.labels
    return joined


def shares(weights: Sequence[float]) -> np.ndarray:
    """Draws of each source in a cycle, (S,) int64: the smallest whole numbers in the ratio of the weights, which need
    not sum to 1; above a million in all, a million divided by largest remainder."""
    if any(not 0 < weight < float("inf") for weight in weights):
        raise SettingsError(f"weights {list(weights)}: each must be above 0; leave a source out instead of 0")
    exact = [Fraction(weight).limit_denominator(LONGEST_CYCLE) for weight in weights]
    scale = lcm(*(share.denominator for share in exact))
    counts = [int(share * scale) for share in exact]
    divisor = gcd(*counts)
    if divisor and sum(counts) // divisor <= LONGEST_CYCLE and all(counts):
        return np.array([count // divisor for count in counts], dtype=np.int64)
    total = sum(Fraction(weight) for weight in weights)
    ideal = [Fraction(weight) / total * LONGEST_CYCLE for weight in weights]
    floors = [int(share) for share in ideal]
    by_remainder = sorted(range(len(ideal)), key=lambda index: floors[index] - ideal[index])
    for index in by_remainder[: LONGEST_CYCLE - sum(floors)]:
        floors[index] += 1
    if not all(floors):
        raise SettingsError(f"weights {list(weights)}: the smallest is under a millionth of the rest; leave it out")
    return np.array(floors, dtype=np.int64)
