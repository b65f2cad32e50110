"""Rows in the order of the text, in lanes: in each, every row goes on where the last one ended.

What a network that carries its state from row to row is trained on (truncated back-propagation through time). Which row
a lane reads at which step is a pure function of the two. A source of R full rows is a ring; lane l of L begins at row
floor(l R / L) and goes around, so that all lanes together see every row once in R / L steps, and each lane every row in
R steps. The last row of a text, where it is shorter, is left out.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from trivium.errors import RefusedError, SettingsError
from trivium.text.blocks import Blocks
from trivium.text.mixture import joined_rows, shares
from trivium.text.rows import Rows


@dataclass(frozen=True)
class Lanes:
    """``count`` lanes over ``sources``, each source with its share of them by weight and at least one.

    Draws are numbered from 0 over the whole run: draw n is lane n mod count at step n div count.
    """

    sources: Sequence[Blocks]
    weights: Sequence[float]
    count: int

    def __post_init__(self) -> None:
        if len(self.sources) > self.count:
            raise SettingsError(
                f"{len(self.sources)} sources of text and {self.count} rows in a batch: carried state needs at least "
                "one row a source, so raise training.batch_tokens"
            )
        for blocks in self.sources:
            if full_rows(blocks) == 0:
                raise RefusedError(
                    f"a source has {blocks.tokens:,} tokens, less than one row of {blocks.layout.length}: give more "
                    "text, or lower model.context"
                )

    @cached_property
    def homes(self) -> np.ndarray:
        """(L,) the source of each lane: all lanes of the first source, then those of the second."""
        ideal = shares(self.weights) / shares(self.weights).sum() * (self.count - len(self.sources))
        lanes = np.floor(ideal).astype(np.int64) + 1
        by_remainder = np.argsort(np.floor(ideal) - ideal, kind="stable")
        lanes[by_remainder[: self.count - int(lanes.sum())]] += 1
        return np.repeat(np.arange(len(self.sources)), lanes)

    def draw(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each draw number (any shape): which source, and which of its rows."""
        steps, lanes = np.divmod(np.asarray(numbers, dtype=np.int64), self.count)
        source = self.homes[lanes]
        many = np.bincount(self.homes)  # lanes of each source
        first = np.concatenate([[0], np.cumsum(many)])
        rows = np.array([full_rows(blocks) for blocks in self.sources])
        begin = (lanes - first[source]) * rows[source] // many[source]
        return source, (begin + steps) % rows[source]

    def rows(self, first: int, count: int) -> Rows:
        """The rows of draws ``first`` to ``first + count - 1``, with the lanes that they continue."""
        return self.at(np.arange(first, first + count, dtype=np.int64))

    def at(self, numbers: np.ndarray) -> Rows:
        """The rows of the draws ``numbers`` (B,)."""
        source, row = self.draw(numbers)
        return joined_rows(self.sources, source, row, numbers).in_lanes(numbers % self.count)

    def epochs(self, draws: int) -> list[float]:
        """How often each source has been seen through after the first ``draws`` draws."""
        many = np.bincount(self.homes)
        return [
            draws / self.count * int(lanes) / full_rows(blocks)
            for lanes, blocks in zip(many, self.sources, strict=True)
        ]


def full_rows(blocks: Blocks) -> int:
    """Rows without padding."""
    stride = blocks.layout.length - blocks.layout.overlap
    return max(0, (blocks.tokens - blocks.layout.overlap) // stride)


def passage(count: int, lanes: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each of ``count`` rows once, in at most ``lanes`` lanes of rows that follow each other: rows and their lanes, by
    steps."""
    lanes = max(1, min(lanes, count))
    length = -(-count // lanes)
    begins = np.arange(lanes) * length
    ends = np.minimum(begins + length, count)
    for step in range(length):
        there = np.flatnonzero(begins + step < ends)
        yield begins[there] + step, there
