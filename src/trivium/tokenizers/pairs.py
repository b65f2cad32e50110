"""Neighbouring symbols of all words, kept up to date while pairs are merged: compiled loops shared by the merge rules.

Every place of every word holds a symbol and is linked to its neighbours. The places where a pair begins form a list in
the order of the text, so a merge visits just these, and a pair's first occurrence is its list's head: a merged symbol
is always new, for its text can only have arisen by these merges, and so its pairs are added in order. Memory is a
fixed number of bytes for a place and for a pair; nothing is allocated while merging but the list of places.
"""

from typing import NamedTuple

import numpy as np

from trivium.extras import compiled

PLACE_BYTES = 7 * 4  # of the seven arrays over places
PAIR_BYTES = 4 * 4 + 8 + 3 * 8 + 4 * 4  # of those over pairs, with the merge rules' own, and their share of the slots
PAIRS, SYMBOLS, HEAP = 0, 1, 2  # what ``Pairs.numbers`` holds


class Pairs(NamedTuple):
    """Arrays that the loops change in place. -1 stands for nothing everywhere."""

    symbol: np.ndarray  # (places,) int32; a place whose symbol was merged into the one before it holds -1
    following: np.ndarray  # (places,) int32
    preceding: np.ndarray  # (places,) int32
    word: np.ndarray  # (places,) int32
    pair: np.ndarray  # (places,) int32: the pair that begins here
    later: np.ndarray  # (places,) int32: the next place where the same pair begins
    earlier: np.ndarray  # (places,) int32
    weight: np.ndarray  # (words,) int64: how often the word occurs
    left: np.ndarray  # (pairs,) int32
    right: np.ndarray  # (pairs,) int32
    total: np.ndarray  # (pairs,) int64: how often the pair occurs, weighted
    head: np.ndarray  # (pairs,) int32: the first place
    tail: np.ndarray  # (pairs,) int32: the last place
    slots: np.ndarray  # (a power of two,) int32: pairs by hash
    numbers: np.ndarray  # (3,) int64: pairs, symbols, entries of a heap


@compiled
def slot_of(pairs: Pairs, left: int, right: int) -> int:
    """Where the pair is in the table of slots, or the empty slot where it belongs."""
    mask = len(pairs.slots) - 1
    mixed = np.int64(left) * 7046029254386353131 + np.int64(right) * 3935559000370003845
    mixed ^= mixed >> 32
    slot = int((mixed * 2685821657736338717 >> 20) & mask)
    while True:
        found = pairs.slots[slot]
        if found < 0 or (pairs.left[found] == left and pairs.right[found] == right):
            return slot
        slot = int((slot + 1) & mask)


@compiled
def pair_of(pairs: Pairs, left: int, right: int) -> int:
    """The number of a pair, which is new if it has none yet."""
    slot = slot_of(pairs, left, right)
    found = pairs.slots[slot]
    if found >= 0:
        return found
    new = int(pairs.numbers[PAIRS])
    pairs.numbers[PAIRS] += 1
    pairs.slots[slot] = new
    pairs.left[new] = left
    pairs.right[new] = right
    pairs.total[new] = 0
    pairs.head[new] = -1
    pairs.tail[new] = -1
    return new


@compiled
def fill_slots(pairs: Pairs) -> None:
    """Puts all pairs into an empty table of slots."""
    for pair in range(pairs.numbers[PAIRS]):
        pairs.slots[slot_of(pairs, pairs.left[pair], pairs.right[pair])] = pair


@compiled
def attach(pairs: Pairs, place: int) -> None:
    """The pair that begins at ``place`` is counted; it lies after all that were counted of it."""
    pair = pair_of(pairs, pairs.symbol[place], pairs.symbol[pairs.following[place]])
    tail = pairs.tail[pair]
    pairs.earlier[place] = tail
    pairs.later[place] = -1
    if tail >= 0:
        pairs.later[tail] = place
    else:
        pairs.head[pair] = place
    pairs.tail[pair] = place
    pairs.pair[place] = pair
    pairs.total[pair] += pairs.weight[pairs.word[place]]


@compiled
def detach(pairs: Pairs, place: int) -> None:
    """The pair that began at ``place`` no longer does."""
    pair, earlier, later = pairs.pair[place], pairs.earlier[place], pairs.later[place]
    if earlier >= 0:
        pairs.later[earlier] = later
    else:
        pairs.head[pair] = later
    if later >= 0:
        pairs.earlier[later] = earlier
    else:
        pairs.tail[pair] = earlier
    pairs.pair[place] = -1
    pairs.total[pair] -= pairs.weight[pairs.word[place]]


@compiled
def count_pairs(pairs: Pairs, start: int, stop: int) -> int:
    """Counts the pairs that begin in a range of places; stops early, at the returned place, where pairs run out."""
    for place in range(start, stop):
        if pairs.numbers[PAIRS] == len(pairs.left):
            return place
        if pairs.following[place] >= 0:
            attach(pairs, int(place))
    return stop


@compiled
def occurrences(pairs: Pairs, pair: int) -> int:
    """At how many places a pair begins."""
    found = 0
    place = pairs.head[pair]
    while place >= 0:
        found += 1
        place = pairs.later[place]
    return found


@compiled
def merge(pairs: Pairs, pair: int, places: int) -> int:
    """Makes one new symbol of a pair at all its ``places``, from the left; returns how often, weighted.

    There must be room for two new pairs a place. The new symbol's pairs are those numbered from here on.
    """
    where = np.empty(places, np.int32)
    place = pairs.head[pair]
    for number in range(places):
        where[number] = place
        place = pairs.later[place]
    new = pairs.numbers[SYMBOLS]
    pairs.numbers[SYMBOLS] += 1
    weight = 0
    for place in where:
        if pairs.pair[place] != pair:  # of aaa the first two were merged
            continue
        weight += pairs.weight[pairs.word[place]]
        other = pairs.following[place]
        before, after = pairs.preceding[place], pairs.following[other]
        if before >= 0:
            detach(pairs, int(before))
        detach(pairs, int(place))
        if after >= 0:
            detach(pairs, int(other))
            pairs.preceding[after] = place
        pairs.symbol[place] = new
        pairs.symbol[other] = -1
        pairs.following[place] = after
        if before >= 0:
            attach(pairs, int(before))
        if after >= 0:
            attach(pairs, int(place))
    return weight
