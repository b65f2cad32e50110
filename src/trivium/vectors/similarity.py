"""Words near each other: cosines, nearest neighbours, and analogies by 3CosAdd and 3CosMul.

cos(a, b) = a.b / (|a| |b|). An analogy "a is to b as c is to ?" is the word d with the greatest cos(d, b - a + c) over
rows of length 1 (3CosAdd; Mikolov et al. 2013, arXiv 1301.3781), or with the greatest
cos(d, b) cos(d, c) / (cos(d, a) + 0.001), cosines shifted to [0, 1] (3CosMul; Levy and Goldberg 2014). Words of the
question are never answers. Equal scores: the more frequent word first.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.vectors.vectors import Vectors

Method = Literal["add", "mul"]

EPSILON = 0.001  # of 3CosMul: keeps the quotient finite
_KEPT = 2 << 30  # bytes: normalised rows above it are made again for each search, not kept beside a mapped file
_ROWS = 65536  # in a block of those


@dataclass(frozen=True)
class Neighbour:
    """A word and how near it is: a cosine, or for 3CosMul the quotient of them."""

    word: str
    similarity: float


def cosine_table(vectors: Vectors, words: Sequence[str], others: Sequence[str] | None = None) -> np.ndarray:
    """(len(words), len(others)) float64: cosines of ``words`` with ``others``, or with themselves."""
    rows = directions(vectors, words)
    return np.clip(rows @ (rows if others is None else directions(vectors, others)).T, -1, 1)


def neighbours(
    vectors: Vectors, words: Sequence[str], count: int = 10, limit: int | None = None
) -> list[list[Neighbour]]:
    """For each word the ``count`` others with the greatest cosine; ``limit``: among the most frequent so many."""
    own = [{vectors.row(word)} for word in words]
    return nearest(vectors, directions(vectors, words), count, own, limit)


def nearest(
    vectors: Vectors,
    targets: np.ndarray,
    count: int = 10,
    exclude: Sequence[set[int]] | None = None,
    limit: int | None = None,
) -> list[list[Neighbour]]:
    """For each of ``targets`` (Q, D) the nearest words by cosine, rows ``exclude[q]`` left out."""
    targets = normalised(targets)
    found = _Best(vectors, len(targets), count, exclude)
    for start, unit in _unit_rows(vectors, limit):
        found.add(start, np.clip(targets @ unit.T, -1, 1))
    return found.result()


def analogy(
    vectors: Vectors,
    plus: Sequence[str],
    minus: Sequence[str],
    count: int = 10,
    method: Method = "add",
    limit: int | None = None,
) -> list[Neighbour]:
    """The words nearest to the sum of ``plus`` less the sum of ``minus``: king, woman less man gives queen."""
    if method not in ("add", "mul"):
        raise SettingsError(f"method {method!r}: choose add (3CosAdd) or mul (3CosMul)")
    if not plus:
        raise SettingsError("an analogy needs a word that counts positively, as in `king - man + woman`")
    positive, negative = directions(vectors, plus), directions(vectors, minus)
    asked = {vectors.row(word) for word in (*plus, *minus)}
    if method == "add":
        target = positive.sum(0) - negative.sum(0)
        if np.linalg.norm(target) < 1e-6:
            raise DataError(
                f"{' + '.join(plus)} less {' and '.join(minus)} leaves nothing to be near to: change a word"
            )
        return nearest(vectors, target[None], count, [asked], limit)[0]
    found = _Best(vectors, 1, count, [asked])
    for start, unit in _unit_rows(vectors, limit):
        near, far = _shifted(positive, unit), _shifted(negative, unit)
        found.add(start, near.prod(0, keepdims=True) / (far + EPSILON).prod(0, keepdims=True))
    return found.result()[0]


class _Best:
    """The greatest scores of several searches, gathered block by block of rows."""

    def __init__(self, vectors: Vectors, searches: int, count: int, exclude: Sequence[set[int]] | None) -> None:
        if count < 1:
            raise SettingsError(f"count = {count}: ask for 1 neighbour or more")
        self._vectors, self._count = vectors, count
        self._exclude = [sorted(each) for each in exclude] if exclude is not None else [[]] * searches
        self._best: list[list[tuple[float, int]]] = [[] for _ in range(searches)]

    def add(self, start: int, scores: np.ndarray) -> None:
        """``scores`` (Q, n) of the rows from ``start`` on; they are changed."""
        for search, values in enumerate(scores):
            values[[row - start for row in self._exclude[search] if start <= row < start + len(values)]] = -np.inf
            if len(values) > self._count:
                least = np.partition(values, -self._count)[-self._count]
                rows = np.flatnonzero((values >= least) & (values > -np.inf))
            else:
                rows = np.flatnonzero(values > -np.inf)
            ordered = rows[np.argsort(-values[rows], kind="stable")][: self._count]
            both = self._best[search] + [(-float(values[row]), start + int(row)) for row in ordered]
            self._best[search] = sorted(both)[: self._count]

    def result(self) -> list[list[Neighbour]]:
        words = self._vectors.words
        return [[Neighbour(words[row], -score) for score, row in best] for best in self._best]


def directions(vectors: Vectors, words: Sequence[str]) -> np.ndarray:
    """(n, D) float64: the rows of words at length 1."""
    rows = np.array([vectors[word] for word in words], np.float64).reshape(len(words), vectors.dimensions)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    vectors.check_finite(lengths, [vectors.row(word) for word in words])
    return rows / np.where(lengths > 0, lengths, 1)


def _shifted(targets: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Cosines moved from [-1, 1] to [0, 1]."""
    return np.clip((1 + targets.astype(np.float32) @ unit.T) / 2, 0, 1)


def _unit_rows(vectors: Vectors, limit: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, rows at length 1), block by block."""
    count = min(len(vectors), limit or len(vectors))
    kept = 4 * len(vectors) * vectors.dimensions <= _KEPT
    for start in range(0, count, _ROWS):
        rows = slice(start, min(start + _ROWS, count))
        unit = vectors.unit[rows] if kept else normalised(vectors.matrix[rows])
        vectors.check_finite(unit.sum(1), range(start, count))
        yield start, unit


def normalised(rows: np.ndarray) -> np.ndarray:
    """The rows at length 1, in float32; rows of zeros stay so."""
    lengths = np.sqrt(np.einsum("vd,vd->v", rows, rows, dtype=np.float64))
    with np.errstate(invalid="ignore"):  # of infinity: the caller checks
        return (rows / np.where(lengths > 0, lengths, 1)[:, None]).astype(np.float32)
