"""Huffman's tree over word counts: hierarchical softmax predicts a word bit by bit, a frequent one in few bits.

Made as in word2vec.c, ties included (of two equal weights an inner node is joined before a word). There codes end at 40
bits; here they may have any length.
"""

from dataclasses import dataclass

import numpy as np

from trivium.extras import compiled


@dataclass(frozen=True, eq=False)
class Tree:
    """Word w's path from the root: ``points[offsets[w]:offsets[w+1]]``, inner nodes numbered from 0 (the root is V-2),
    and the turn taken at each, 0 or 1, in ``codes``."""

    offsets: np.ndarray  # (V+1,) int64
    points: np.ndarray  # int32
    codes: np.ndarray  # uint8

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self.offsets, self.points, self.codes

    @staticmethod
    def none() -> "Tree":
        return Tree(np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.uint8))


def huffman(counts: np.ndarray) -> Tree:
    """The tree for counts that do not rise: (V,) int64, V at least 2."""
    parents, turns = _join(np.asarray(counts, np.int64))
    return Tree(*_paths(parents, turns, len(counts)))


@compiled
def _join(counts):  # type: ignore[no-untyped-def]
    """Parent and turn of each of the 2V - 1 nodes; nodes V and above are made from the two lightest left, in order.

    Words are sorted and nodes are made with rising weights, so the lightest is always the next of one of the two rows.
    """
    size = counts.shape[0]
    weights = np.empty(2 * size - 1, np.int64)
    weights[:size] = counts
    parents = np.zeros(2 * size - 1, np.int64)
    turns = np.zeros(2 * size - 1, np.uint8)
    word, node = size - 1, size
    for made in range(size, 2 * size - 1):
        total = 0
        for turn in range(2):
            if word >= 0 and (node >= made or weights[word] < weights[node]):
                lightest = word
                word -= 1
            else:
                lightest = node
                node += 1
            total += weights[lightest]
            parents[lightest] = made
            turns[lightest] = turn
        weights[made] = total
    return parents, turns


@compiled
def _paths(parents, turns, size):  # type: ignore[no-untyped-def]
    root = 2 * size - 2
    offsets = np.zeros(size + 1, np.int64)
    for word in range(size):
        node, length = word, 0
        while node != root:
            node = parents[node]
            length += 1
        offsets[word + 1] = offsets[word] + length
    points = np.empty(offsets[size], np.int32)
    codes = np.empty(offsets[size], np.uint8)
    for word in range(size):
        node, place = word, offsets[word + 1]
        while node != root:
            place -= 1
            codes[place] = turns[node]
            node = parents[node]
            points[place] = node - size
    return offsets, points, codes
