"""Which words get a vector: those that occur often enough, the most frequent first; word2vec's rules on their counts.

Mikolov et al. 2013 (arXiv 1310.4546) for subsampling and noise; where paper and word2vec.c differ, the code is followed
and the paper's rule is an option. Unlike word2vec.c there is no word ``</s>`` for the end of a line.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.vectors.phrases import join_phrases
from trivium.vectors.sentences import END, MEMORY, Corpus, Documents, read_corpus, word_splitter

Subsampling = Literal["code", "paper"]


@dataclass(frozen=True)
class VocabularySettings:
    """How the text is split into words and which of them are kept."""

    min_count: int = 5
    max_words: int | None = None  # None: all that occur min_count times
    lowercase: bool = False
    pattern: str = "whitespace"  # or "words", or a regular expression of a word
    phrases: tuple[float, ...] = ()  # thresholds, one pass each, such as (200, 100): word2phrase's
    memory: int = MEMORY  # bytes for counting and for the text as numbers; above, a temporary file

    def __post_init__(self) -> None:
        if self.min_count < 1:
            raise SettingsError(f"min_count is {self.min_count}: it must be at least 1, which keeps every word")
        if self.max_words is not None and self.max_words < 2:
            raise SettingsError(f"max_words is {self.max_words}: at least 2 words are needed")
        if self.memory < 1 << 20:
            raise SettingsError(f"memory is {self.memory} bytes: give at least {1 << 20} (1 MiB)")
        for threshold in self.phrases:
            if not 0 < threshold < np.inf:
                raise SettingsError(f"phrases has the threshold {threshold}: it must be above 0 (100 is usual)")
        word_splitter(self.pattern)


def prepare(documents: Documents, settings: VocabularySettings) -> Corpus:
    """The text as numbers of the words kept, the most frequent word 0; other words are gone from it."""
    corpus = read_corpus(documents, lowercase=settings.lowercase, pattern=settings.pattern, memory=settings.memory)
    for threshold in settings.phrases:
        corpus = join_phrases(corpus, threshold, settings.min_count, memory=settings.memory)
    return keep_frequent(corpus, settings.min_count, settings.max_words)


def keep_frequent(corpus: Corpus, min_count: int, max_words: int | None = None) -> Corpus:
    """Renumbered by falling count; of equal counts the word that the text has first comes first.

    A word that is dropped leaves no gap, as in word2vec.c: the words around it become neighbours. The given corpus is
    used up: the result takes over its array.
    """
    order = np.argsort(-corpus.counts, kind="stable")
    order = order[: np.count_nonzero(corpus.counts >= min_count)][:max_words]
    if len(order) < 2:
        highest = int(np.partition(corpus.counts, -2)[-2]) if len(corpus.words) > 1 else 0
        remedy = f"min_count = {highest} or less would keep some" if highest else "give more text"
        raise DataError(
            f"min_count = {min_count} leaves {len(order)} of {len(corpus.words):,} different words and at least 2 are "
            f"needed: {remedy}"
        )
    number = np.full(len(corpus.words) + 1, END - 1, np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    number[END] = END
    return Corpus([corpus.words[n] for n in order], corpus.counts[order], renumber(corpus.ids, number))


def renumber(ids: np.ndarray, number: np.ndarray) -> np.ndarray:
    """``number[ids]`` without the words that got a number below ``END``, in place, so that no second copy is needed."""
    ids = ids if ids.flags.writeable else ids.copy()
    end = 0
    for start in range(0, len(ids), 1 << 22):
        block = number[ids[start : start + (1 << 22)]]
        block = block[block >= END]
        ids[end : end + len(block)] = block
        end += len(block)
    return ids[:end]


def keep_probabilities(counts: np.ndarray, sample: float, rule: Subsampling = "code") -> np.ndarray:
    """(V,) float64: the chance that an occurrence of a word is kept; f is its share of the running text, t ``sample``.

    word2vec.c keeps with sqrt(t/f) + t/f, the paper (equation 5) with sqrt(t/f), neither above 1; with t = 0 all stay.
    """
    if not sample:
        return np.ones(len(counts))
    ratio = sample * counts.sum() / np.asarray(counts, np.float64)
    return np.minimum(1.0, np.sqrt(ratio) + (ratio if rule == "code" else 0.0))


def noise_probabilities(counts: np.ndarray, power: float = 0.75) -> np.ndarray:
    """(V,) float64: the distribution of negative samples, proportional to count^power."""
    weights = np.asarray(counts, np.float64) ** power
    return weights / weights.sum()
