"""Phrases: pairs of words that occur together far more often than apart become one word, ``new_york``.

Mikolov et al. 2013 (arXiv 1310.4546, section 4) score a pair by (count(ab) - delta) / (count(a) count(b)). As in
word2phrase.c the score is multiplied by the number of running words before it is compared with the threshold, so that
100 means the same for texts of all sizes, and delta is the minimum count. Each pass joins pairs; a second pass over the
result, commonly with a lower threshold, finds longer phrases.
"""

import numpy as np

from trivium.vectors.cooccurrence import cooccurrences
from trivium.vectors.sentences import END, MEMORY, Corpus, count

_BLOCK = 1 << 22


def phrase_score(pair: np.ndarray, first: np.ndarray, second: np.ndarray, delta: float) -> np.ndarray:
    """The paper's score of pairs from the counts of the pairs and of their words."""
    score: np.ndarray = (np.asarray(pair, np.float64) - delta) / (np.asarray(first, np.float64) * second)
    return score


def join_phrases(corpus: Corpus, threshold: float, delta: int = 5, *, memory: int = MEMORY) -> Corpus:
    """The text with every pair joined whose score times the running words exceeds ``threshold``.

    Read from the left: a word that has just been joined does not begin the next pair. Words rarer than ``delta`` join
    nothing. Pairs are counted exactly in ``memory`` bytes, then in files. The given corpus is used up: the result takes
    over its array.
    """
    first, second = _joined(corpus, threshold, delta, memory)
    if not len(first):
        return corpus
    size = len(corpus.words)
    words = corpus.words + [f"{corpus.words[a]}_{corpus.words[b]}" for a, b in zip(first, second, strict=True)]
    index: dict[str, int] = {}  # a phrase that is spelt like a word of the text is that word
    number = np.array([index.setdefault(word, len(index)) for word in words] + [END], np.int32)
    ids = _join(corpus.ids, first * size + second, size, number)
    return Corpus(list(index), count(ids, len(index)), ids)


def _joined(corpus: Corpus, threshold: float, delta: int, memory: int) -> tuple[np.ndarray, np.ndarray]:
    """The pairs to be joined, in order of their words' numbers."""
    found = [np.zeros((2, 0), np.int64)]
    for pairs in cooccurrences(corpus, window=1, symmetric=False, memory=memory):
        counts = corpus.counts[pairs.columns], corpus.counts[pairs.rows]  # a column is the word on the left
        scores = phrase_score(pairs.sums, counts[0], counts[1], delta) * corpus.tokens
        good = (np.minimum(*counts) >= delta) & (scores > threshold)
        found.append(np.stack([pairs.columns[good], pairs.rows[good]]))
    first, second = np.concatenate(found, axis=1)
    order = np.lexsort((second, first))
    return first[order], second[order]


def _join(ids: np.ndarray, phrases: np.ndarray, size: int, number: np.ndarray) -> np.ndarray:
    """``number[ids]``, in place, after replacing each pair in ``phrases`` by ``size`` + its place there.

    ``phrases``: sorted keys first * size + second. In blocks, since a text may be larger than memory.
    """
    ids = ids if ids.flags.writeable else ids.copy()
    written, joined_before = 0, False
    for start in range(0, len(ids), _BLOCK):
        here = min(_BLOCK, len(ids) - start)
        block = np.append(ids[start : start + here + 1], np.int32(END))  # with the word after it, where there is one
        left, right = block[:here], block[1 : here + 1]
        key = left * np.int64(size) + right
        place = np.minimum(np.searchsorted(phrases, key), len(phrases) - 1)
        pair = (left >= 0) & (right >= 0) & (phrases[place] == key)
        pair[0] &= not joined_before
        # Of a run of overlapping pairs the first, third, ... are joined.
        positions = np.arange(here)
        before = np.maximum.accumulate(np.where(pair, -1, positions))  # the last position that begins no pair
        joins = pair & ((positions - before) % 2 == 1)
        stays = ~np.append(joined_before, joins[:-1])
        made = number[np.where(joins, size + place, left)[stays]]
        ids[written : written + len(made)] = made
        written += len(made)
        joined_before = bool(joins[-1])
    return ids[:written]
