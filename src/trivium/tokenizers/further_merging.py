"""Byte-pair encoding that goes on where a tokenizer stops: its pieces are the symbols, and the most frequent neighbours
within words are merged (Sennrich et al. 2016).

A pair whose joined spelling is in the vocabulary already stays apart: an old token with that spelling has a row of its
own, and its old place in the order of merges. Ties go to the pair of lower ids.
"""

import heapq
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

Word = tuple[int, ...]
_Pair = tuple[int, int]
_GRID = 1024.0  # scores are multiples of 1/1024, so that sums of them are exact


@dataclass(frozen=True)
class NewPiece:
    """A token to be: its spelling in the vocabulary, the old ids that it stands for, a Unigram's score, and the
    spellings of the two that were merged, where it was."""

    text: str
    parts: Word
    score: float = 0.0
    merge: tuple[str, str] | None = None


class FurtherMerging:
    """``words``: sequences of old ids and how often each occurs; ``spelt``: the vocabulary; ``continuing`` is taken off
    the right one of a pair; ``scores``: of a Unigram's pieces. New ids follow ``first``."""

    def __init__(
        self, words: Mapping[Word, int], spelt: Mapping[int, str], first: int, continuing: str = "",
        scores: Mapping[int, float] | None = None,
    ) -> None:  # fmt: skip
        self.words = [list(word) for word in words]
        self.counts = list(words.values())
        self.spelt, self.first, self.continuing = dict(spelt), first, continuing
        self.scores = None if scores is None else dict(scores)
        self.tokens = sum(len(word) * count for word, count in words.items())
        self.parts: dict[int, Word] = {}
        self.pairs = Counter[_Pair]()
        self.where: dict[_Pair, set[int]] = {}
        for place, word in enumerate(self.words):
            self._count(place, word)

    def learn(self, wanted: int, least: int) -> list[NewPiece]:
        """At most ``wanted`` new tokens, in the order in which they were merged, of pairs seen ``least`` times."""
        taken = set(self.spelt.values())
        heap = [(-number, pair) for pair, number in self.pairs.items()]
        heapq.heapify(heap)
        pieces: list[NewPiece] = []
        while heap and len(pieces) < wanted:
            number, pair = heapq.heappop(heap)
            now = self.pairs[pair]
            if now < least:
                continue
            if now != -number:  # it has become rarer since it was put there
                heapq.heappush(heap, (-now, pair))
                continue
            left, right = self.spelt[pair[0]], self.spelt[pair[1]]
            text = left + right.removeprefix(self.continuing)
            if text in taken:
                continue
            taken.add(text)
            new = self.first + len(pieces)
            self.spelt[new] = text
            self.parts[new] = tuple(part for each in pair for part in self.parts.get(each, (each,)))
            pieces.append(NewPiece(text, self.parts[new], self._score(new, pair, now), (left, right)))
            for grown in self._merge(pair, new):
                heapq.heappush(heap, (-self.pairs[grown], grown))
        return pieces

    def _score(self, new: int, pair: _Pair, number: int) -> float:
        """The logarithm of its share, but more than its parts come to: a Unigram would never use it otherwise."""
        if self.scores is None:
            return 0.0
        parts = self.scores[pair[0]] + self.scores[pair[1]]
        self.scores[new] = math.ceil(max(math.log(number / self.tokens), parts + 1 / _GRID) * _GRID) / _GRID
        return self.scores[new]

    def _merge(self, pair: _Pair, new: int) -> set[_Pair]:
        """Every occurrence of the pair becomes the new id; the pairs that there are now and were not before."""
        grown: set[_Pair] = set()
        for place in sorted(self.where.pop(pair)):
            word, joined, at = self.words[place], list[int](), 0
            while at < len(word):
                both = tuple(word[at : at + 2]) == pair
                joined.append(new if both else word[at])
                at += 2 if both else 1
            self.pairs.subtract({each: n * self.counts[place] for each, n in Counter(_neighbours(word)).items()})
            self.words[place] = joined
            self._count(place, joined)
            grown.update(each for each in _neighbours(joined) if new in each)
        return grown

    def _count(self, place: int, word: list[int]) -> None:
        for each in _neighbours(word):
            self.pairs[each] += self.counts[place]
            self.where.setdefault(each, set()).add(place)


def _neighbours(word: list[int]) -> list[_Pair]:
    return list(zip(word, word[1:], strict=False))
