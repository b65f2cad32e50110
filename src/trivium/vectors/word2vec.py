"""word2vec: skip-gram and CBOW with negative sampling or hierarchical softmax.

Mikolov et al. 2013 (arXiv 1301.3781 and 1310.4546). Where the papers are silent or differ, word2vec.c is followed: the
window's radius is drawn from 1 to ``window`` for each centre, frequent words are dropped before windows are formed,
noise is count^0.75, a noise word equal to the target is skipped, CBOW reads the mean and gives each context word the
whole gradient, the rate falls in a straight line to 1e-4 of its start, and only the input vectors are the result.

With one thread a run is repeatable bit for bit on one kind of processor. With more threads the draws and rates stay the
same but the order of updates does not, and two runs differ slightly.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from trivium.errors import SettingsError, TriviumError
from trivium.randomness import Draws, key
from trivium.vectors.hogwild import share
from trivium.vectors.progress import Report, Reporter
from trivium.vectors.sentences import END, Corpus, Documents
from trivium.vectors.vectors import Vectors
from trivium.vectors.vocabulary import Subsampling, VocabularySettings, prepare

_CHUNK = 10_000  # words between two changes of the learning rate, as in word2vec.c
_CHUNK_WORK = 1_000_000_000  # multiplications of a chunk, so that even slow settings answer Ctrl-C within a second


@dataclass(frozen=True)
class Word2VecSettings:
    """word2vec.c's settings and defaults, but skip-gram and one thread."""

    algorithm: Literal["skipgram", "cbow"] = "skipgram"
    dimensions: int = 100
    window: int = 5
    negatives: int = 5  # noise words for each target; 0 with hierarchical
    hierarchical: bool = False  # hierarchical softmax, in the place of negative sampling or beside it
    sample: float = 1e-3  # threshold of the share above which a word's occurrences are thinned out; 0 keeps all
    subsample: Subsampling = "code"  # word2vec.c's rule, or the "paper"'s
    noise_power: float = 0.75
    epochs: int = 5
    learning_rate: float | None = None  # None: 0.025 for skip-gram, 0.05 for CBOW
    threads: int = 1
    seed: int = 0
    vocabulary: VocabularySettings = field(default_factory=VocabularySettings)

    def __post_init__(self) -> None:
        if self.algorithm not in ("skipgram", "cbow"):
            raise SettingsError(f"algorithm is {self.algorithm!r}: it must be skipgram or cbow")
        for name in ("dimensions", "window", "epochs", "threads"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if self.negatives < 0:
            raise SettingsError(f"negatives is {self.negatives}: it must be at least 0 (5 is usual)")
        if not self.negatives and not self.hierarchical:
            raise SettingsError("negatives is 0 and hierarchical is off, so nothing is learnt: set one of them")
        if not 0 <= self.sample < np.inf:
            raise SettingsError(f"sample is {self.sample}: it must be at least 0 (1e-3 is usual, 0 keeps all words)")
        if self.subsample not in ("code", "paper"):
            raise SettingsError(f"subsample is {self.subsample!r}: it must be code or paper")
        if not -10 <= self.noise_power <= 10:
            raise SettingsError(f"noise_power is {self.noise_power}: it must lie between -10 and 10 (0.75 is usual)")
        if self.learning_rate is not None and not 0 < self.learning_rate < np.inf:
            raise SettingsError(f"learning_rate is {self.learning_rate}: it must be above 0 (0.025 is usual)")

    @property
    def start_rate(self) -> float:
        return self.learning_rate or (0.025 if self.algorithm == "skipgram" else 0.05)


def train_word2vec(documents: Documents, settings: Word2VecSettings, *, progress: Report | None = None) -> Vectors:
    """Vectors of the text's words. The text is read once; see ``sentences.read_corpus`` for the memory it takes."""
    return train_on(prepare(documents, settings.vocabulary), settings, progress=progress)


def train_on(corpus: Corpus, settings: Word2VecSettings, *, progress: Report | None = None) -> Vectors:
    """Vectors of a text that has been made ready: words by falling count, as ``vocabulary.prepare`` returns it."""
    # numba takes half a second to import: only where loops are about to run.
    from trivium.vectors.network import Network

    network = Network(corpus.counts, settings)
    total = settings.epochs * corpus.tokens
    reporter = Reporter(progress, "words", total)
    done, rate = 0, settings.start_rate

    def train(thread: int, chunk: Chunk) -> None:
        nonlocal done, rate
        network.train(thread, corpus.ids, chunk)
        done, rate = done + chunk.words, chunk.rate  # a line of news, not a count that anything depends on

    share(chunks(corpus, settings), settings.threads, train, lambda: reporter(done, rate))
    reporter(total, rate, final=True)
    matrix = network.vectors()
    if not np.isfinite(matrix).all():
        raise TriviumError(
            f"the vectors grew beyond all numbers at learning_rate = {settings.start_rate}: "
            f"lower it ({0.025 if settings.algorithm == 'skipgram' else 0.05} is usual)"
        )
    return Vectors(corpus.words, matrix, corpus.counts)


@dataclass(frozen=True)
class Chunk:
    """A stretch of the text in one epoch, with the learning rate for it and the key of its random numbers."""

    start: int
    stop: int
    words: int
    rate: float
    key: int


def chunks(corpus: Corpus, settings: Word2VecSettings) -> Iterator[Chunk]:
    """The whole training in order. Rate and key depend on a chunk's place alone, not on which thread takes it when."""
    pieces = cut(corpus.ids, _chunk_words(settings))
    total, done = settings.epochs * corpus.tokens, 0
    for epoch in range(settings.epochs):
        for number, (start, stop, words) in enumerate(pieces):
            yield Chunk(
                start, stop, words, decayed(settings.start_rate, done, total), key(settings.seed, "text", epoch, number)
            )
            done += words


def decayed(start: float, done: int, total: int) -> float:
    """The learning rate after ``done`` of ``total`` words: a straight line down to 1e-4 of the start."""
    return start * max(1 - done / (total + 1), 1e-4)


def cut(ids: np.ndarray, size: int) -> list[tuple[int, int, int]]:
    """(start, stop, words) of stretches of about ``size`` words that end with a sentence; a line longer than two
    stretches is cut."""
    pieces, start = [], 0
    while start < len(ids):
        stop = min(start + size, len(ids))
        ends = np.flatnonzero(ids[stop - 1 : stop + size] == END)
        if len(ends):
            stop += int(ends[0])
        pieces.append((start, stop, int(np.count_nonzero(ids[start:stop] != END))))
        start = stop
    return pieces


def _chunk_words(settings: Word2VecSettings) -> int:
    targets = settings.negatives + 1 + 20 * settings.hierarchical
    inputs = settings.window if settings.algorithm == "skipgram" else 1
    work = 2 * inputs * targets * settings.dimensions
    return max(500, min(_CHUNK, _CHUNK_WORK // work))


def initial_vectors(words: int, dimensions: int, seed: int) -> Iterator[tuple[int, np.ndarray]]:
    """(first row, rows) block by block: uniform in (-0.5, 0.5) / dimensions."""
    for start in range(0, words, 4096):
        rows = np.arange(start, min(start + 4096, words))
        yield start, (Draws(seed, rows).uniform("vectors", dimensions) - 0.5) / dimensions
