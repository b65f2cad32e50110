"""GloVe: vectors whose products, with two biases, are the logarithms of co-occurrence counts.

Pennington et al. 2014: minimise the sum over all X_ij > 0 of f(X_ij) (w_i.c_j + b_i + b'_j - log X_ij)^2 by AdaGrad;
the result is w + c. Defaults, initialisation, the clipping of gradients and the row ``<unk>`` are GloVe's own code's.
Its AdaGrad treats biases unlike vectors (see ``glove_c_compat``); the default here is AdaGrad as defined, with the rate
on every parameter and the plain squares of the gradients added up.

With one thread a run is repeatable bit for bit on one kind of processor; with more, updates may cross (``hogwild``).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from trivium.errors import SettingsError, TriviumError
from trivium.randomness import Draws
from trivium.vectors.cooccurrence import cooccurrences
from trivium.vectors.glove_records import shuffled
from trivium.vectors.hogwild import share
from trivium.vectors.progress import Report, Reporter
from trivium.vectors.room import check_room
from trivium.vectors.sentences import Corpus, Documents
from trivium.vectors.vectors import Vectors
from trivium.vectors.vocabulary import VocabularySettings, prepare

UNKNOWN = "<unk>"
_CLIP = 100.0
_RARE = 100  # the words whose mean is the vector of an unknown word
_PIECE_WORK = 30_000_000  # numbers of a vector moved in one piece of work, so that Ctrl-C is answered within a second


@dataclass(frozen=True)
class GloveSettings:
    """The settings and defaults of GloVe's own code, but 100 dimensions and one thread."""

    dimensions: int = 100
    window: int = 15
    symmetric: bool = True  # off: only words to the left are a word's context
    distance_weighting: bool = True  # a word at distance d counts 1/d
    x_max: float = 100.0
    power: float = 0.75
    learning_rate: float = 0.05
    iterations: int = 25
    glove_c_compat: bool = False  # squares of rate * gradient summed for vectors; biases move without the rate
    unknown: bool = True  # a last row <unk>, the mean of the 100 rarest words
    precision: Literal["float32", "float64"] = "float32"
    threads: int = 1
    seed: int = 0
    vocabulary: VocabularySettings = field(default_factory=VocabularySettings)

    def __post_init__(self) -> None:
        for name in ("dimensions", "window", "iterations", "threads"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}: it must be at least 1")
        for name, usual in (("x_max", 100), ("learning_rate", 0.05)):
            if not 0 < getattr(self, name) < np.inf:
                raise SettingsError(f"{name} is {getattr(self, name)}: it must be above 0 ({usual} is usual)")
        if not 0 <= self.power <= 10:
            raise SettingsError(f"power is {self.power}: it must lie between 0 and 10 (0.75 is usual)")
        if self.precision not in ("float32", "float64"):
            raise SettingsError(f"precision is {self.precision!r}: it must be float32 or float64")


def train_glove(documents: Documents, settings: GloveSettings, *, progress: Report | None = None) -> Vectors:
    """Vectors of the text's words: the text is read once and its co-occurrences are counted before training begins."""
    return train_on(prepare(documents, settings.vocabulary), settings, progress=progress)


def train_on(corpus: Corpus, settings: GloveSettings, *, progress: Report | None = None) -> Vectors:
    """Vectors of a text that has been made ready by ``vocabulary.prepare``."""
    check_room(len(corpus.words), settings.dimensions, np.dtype(settings.precision).itemsize, 4)
    glove = Glove.start(len(corpus.words), settings)
    fit(glove, records(corpus, settings), settings, progress=progress)
    words, counts, matrix = corpus.words, corpus.counts, glove.vectors()
    if settings.unknown and UNKNOWN not in words:
        words, counts = [*words, UNKNOWN], np.append(counts, 0)
        matrix = np.concatenate([matrix, matrix[-_RARE:].mean(axis=0, keepdims=True)])
    return Vectors(words, matrix, counts)


def records(corpus: Corpus, settings: GloveSettings) -> np.ndarray:
    """The co-occurrences of a text, shuffled once: what every iteration goes through in the same order."""
    memory = settings.vocabulary.memory
    pairs = cooccurrences(
        corpus,
        window=settings.window,
        symmetric=settings.symmetric,
        distance_weighting=settings.distance_weighting,
        memory=memory,
    )
    number = np.dtype(settings.precision).type
    return shuffled(pairs, len(corpus.words), number, settings.x_max, settings.power, settings.seed, memory)


@dataclass(frozen=True, eq=False)
class Side:
    """One side's parameters, and for each the sum of its squared gradients, which begins at 1."""

    vectors: np.ndarray  # (V, W): D rounded up to 16 numbers, of which those over stay 0
    squares: np.ndarray  # (V, W)
    biases: np.ndarray  # (V, 2): bias, sum of squares

    @staticmethod
    def start(words: int, settings: GloveSettings, purpose: str) -> "Side":
        """Vectors and biases uniform in (-0.5, 0.5) / dimensions."""
        size = settings.dimensions
        width = -(-size // 16) * 16
        side = Side(
            np.zeros((words, width), settings.precision),
            np.ones((words, width), settings.precision),
            np.ones((words, 2), settings.precision),
        )
        for first in range(0, words, 4096):
            rows = np.arange(first, min(first + 4096, words))
            drawn = (Draws(settings.seed, rows).uniform(purpose, size + 1) - 0.5) / size
            side.vectors[rows, :size], side.biases[rows, 0] = drawn[:, :size], drawn[:, size]
        return side

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.vectors, self.squares, self.biases


@dataclass(frozen=True, eq=False)
class Glove:
    """The words' side of the model and the contexts'."""

    words: Side
    contexts: Side
    dimensions: int

    @staticmethod
    def start(words: int, settings: GloveSettings) -> "Glove":
        sides = [Side.start(words, settings, purpose) for purpose in ("words", "contexts")]
        return Glove(sides[0], sides[1], settings.dimensions)

    def vectors(self) -> np.ndarray:
        """(V, D) float32: w + c."""
        return (self.words.vectors + self.contexts.vectors)[:, : self.dimensions].astype(np.float32)


def fit(
    glove: Glove, shuffled_records: np.ndarray, settings: GloveSettings, *, progress: Report | None = None
) -> list[float]:
    """Trains the parameters in place; the mean cost 0.5 f(X) diff^2 of each iteration, measured before each step."""
    from trivium.vectors.glove_kernels import train_records

    size = len(shuffled_records)
    number = np.dtype(settings.precision).type
    reporter = Reporter(progress, "pairs", size * settings.iterations)
    costs: list[float] = []
    done, sums = 0, [0.0]

    def train(thread: int, piece: tuple[int, int]) -> None:
        nonlocal done
        cost = train_records(
            shuffled_records,
            *piece,
            glove.words.arrays,
            glove.contexts.arrays,
            number(settings.learning_rate),
            number(_CLIP),
            settings.glove_c_compat,
        )
        sums.append(cost)
        done += piece[1] - piece[0]

    for _ in range(settings.iterations):
        sums.clear()
        pieces = _pieces(size, max(1000, _PIECE_WORK // settings.dimensions))
        share(
            pieces,
            settings.threads,
            train,
            lambda: reporter(done, settings.learning_rate, costs[-1] if costs else None),
        )
        costs.append(sum(sums) / size)
        if not costs[-1] <= 100 * costs[0]:  # also where it is no number
            raise TriviumError(
                f"the cost grew from {costs[0]:.3g} to {costs[-1]:.3g} in iteration {len(costs)} at learning_rate = "
                f"{settings.learning_rate}: lower it (0.05 is usual)"
            )
    reporter(size * settings.iterations, settings.learning_rate, costs[-1], final=True)
    return costs


def _pieces(size: int, step: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + step, size)) for start in range(0, size, step))
