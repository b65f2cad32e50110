"""``Vectors``: words and one row of numbers for each, whatever method learnt them and whatever file held them."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

import numpy as np

from trivium.errors import DataError

_NEAR = 100_000  # spellings compared with a word that is missing: the frequent ones, since difflib is slow


@dataclass(frozen=True, eq=False)
class Vectors:
    """Row ``r`` of ``matrix`` is the vector of ``words[r]``; the most frequent word first.

    The matrix may be a read-only view of a file. ``counts`` are there after training: how often each word occurred.
    """

    words: Sequence[str]
    matrix: np.ndarray  # (V, D) float32
    counts: np.ndarray | None = None  # (V,) int64

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.matrix.shape[0] != len(self.words) or self.matrix.shape[1] == 0:
            raise DataError(
                f"{len(self.words)} words need a matrix of {len(self.words)} rows and at least 1 column: it has the "
                f"shape {self.matrix.shape}"
            )
        if self.counts is not None and self.counts.shape != (len(self.words),):
            raise DataError(f"{len(self.words)} words need as many counts: there are {self.counts.shape}")

    def __len__(self) -> int:
        return len(self.words)

    @property
    def dimensions(self) -> int:
        return int(self.matrix.shape[1])

    @cached_property
    def index(self) -> dict[str, int]:
        """Word -> row. A word that a file holds twice keeps its first, more frequent, row."""
        rows: dict[str, int] = {}
        for row, word in enumerate(self.words):
            rows.setdefault(word, row)
        return rows

    @cached_property
    def unit(self) -> np.ndarray:
        """(V, D) float32: the rows at length 1, so that products are cosines; a row of zeros stays so."""
        unit = np.empty(self.matrix.shape, np.float32)
        for start in range(0, len(self), 65536):  # in blocks: a matrix that is mapped from a file is larger than memory
            rows = np.asarray(self.matrix[start : start + 65536], np.float32)
            lengths = np.sqrt(np.einsum("vd,vd->v", rows, rows, dtype=np.float64))
            with np.errstate(invalid="ignore"):  # of infinity: the caller checks
                unit[start : start + 65536] = rows / np.where(lengths > 0, lengths, 1)[:, None]
        unit.flags.writeable = False
        return unit

    def __contains__(self, word: object) -> bool:
        return word in self.index

    def __getitem__(self, word: str) -> np.ndarray:
        """(D,)."""
        row = self.row(word)
        vector: np.ndarray = self.matrix[row]
        self.check_finite(vector[None], [row])
        return vector

    def check_finite(self, values: np.ndarray, rows: Sequence[int]) -> None:
        """Refuses ``rows`` of which ``values`` (one each, or one row each) are not finite. Files that are mapped were
        not looked through when they were opened: whoever reads rows asks here."""
        if not np.isfinite(values).all():
            row = rows[int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))[0])]
            raise DataError(
                f"the vector of {self.words[row]!r} (row {row + 1:,}) holds a number that is not finite: the file is "
                "damaged; fetch or make it again"
            )

    def row(self, word: str) -> int:
        """The row of a word; for an unknown one a DataError that names the nearest spellings."""
        row = self.index.get(word)
        if row is not None:
            return row
        near = self.near_spellings(word)
        remedy = f"did you mean {' or '.join(near)}?" if near else "choose one of the words the vectors were made for"
        raise DataError(f"{word!r} is not among the {len(self):,} words of these vectors: {remedy}")

    def near_spellings(self, word: str, count: int = 3) -> list[str]:
        """Up to ``count`` words spelt like ``word``: the same letters in other case first."""
        spellings = dict.fromkeys([word.lower(), word.capitalize(), word.upper(), word.replace(" ", "_")])
        near = [each for each in spellings if each in self.index]
        near += get_close_matches(word, self.words[:_NEAR], count, cutoff=0.7)
        return list(dict.fromkeys(near))[:count]
