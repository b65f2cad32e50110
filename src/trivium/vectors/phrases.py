"""Phrases: pairs of words that occur together far more often than apart become one word, ``new_york``.

Mikolov et al. 2013 (arXiv 1310.4546, section 4) score a pair by (count(ab) - delta) / (count(a) count(b)). As in
word2phrase.c the score is multiplied by the number of running words before it is compared with the threshold, so that
100 means the same for texts of all sizes, and delta is the minimum count. Each pass joins pairs; a second pass over the
result, commonly with a lower threshold, finds longer phrases.
"""

import numpy as np

from trivium.vectors.sentences import END, Corpus, count

_BLOCK = 1 << 24


def phrase_score(pair: np.ndarray, first: np.ndarray, second: np.ndarray, delta: float) -> np.ndarray:
    """The paper's score of pairs from the counts of the pairs and of their words."""
    score: np.ndarray = (np.asarray(pair, np.float64) - delta) / (np.asarray(first, np.float64) * second)
    return score


def join_phrases(corpus: Corpus, threshold: float, delta: int = 5) -> Corpus:
    """The text with every pair joined whose score times the running words exceeds ``threshold``.

    Read from the left: a word that has just been joined does not begin the next pair. Words rarer than ``delta`` join
    nothing. The given corpus is used up: the result takes over its array.
    """
    first, second, together = _count_pairs(corpus, delta)
    good = phrase_score(together, corpus.counts[first], corpus.counts[second], delta) * corpus.tokens > threshold
    if not good.any():
        return corpus
    first, second = first[good], second[good]
    words = corpus.words + [f"{corpus.words[a]}_{corpus.words[b]}" for a, b in zip(first, second, strict=True)]
    index: dict[str, int] = {}  # a phrase that is spelt like a word of the text is that word
    number = np.array([index.setdefault(word, len(index)) for word in words] + [END], np.int32)
    size = len(corpus.words)
    ids = _join(corpus.ids, first * size + second, size, number)
    return Corpus(list(index), count(ids, len(index)), ids)


def _count_pairs(corpus: Corpus, least: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First words, second words and counts of the pairs of neighbours whose two words occur ``least`` times or more."""
    size = np.int64(len(corpus.words))
    frequent = np.append(corpus.counts >= least, False)  # END, which is -1, finds the last entry
    keys, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for start in range(0, len(corpus.ids) - 1, _BLOCK):
        block = np.asarray(corpus.ids[start : start + _BLOCK + 1])
        left, right = block[:-1], block[1:]
        both = frequent[left] & frequent[right]
        new, times = np.unique(left[both] * size + right[both], return_counts=True)
        merged, where = np.unique(np.concatenate([keys, new]), return_inverse=True)
        total = np.zeros(len(merged), np.int64)
        np.add.at(total, where, np.concatenate([counts, times]))
        keys, counts = merged, total
    return keys // size, keys % size, counts


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
