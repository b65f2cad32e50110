"""The merge rule of WordPiece, compiled: the pair of highest freq(ab) / (freq(a) freq(b)); ties to the first seen.

A merge makes its two symbols rarer, so the scores of all their other pairs rise: outdated scores are no upper bounds,
and a heap of pairs as in byte-pair encoding would be wrong. Instead pairs stand in groups of one right symbol, where
freq(b) is common to all and only freq(ab) / freq(a) decides; each group knows its best pair, and a heap holds the
groups. After merging a and b only their groups are searched anew; pairs that begin with a or b are compared with the
best of their groups, one comparison each. A group whose best became worse keeps its outdated score, which is then an
upper bound, and is searched when it comes to the heap's top. Scores are compared exactly, as products of integers.
"""

from typing import NamedTuple

import numpy as np

from trivium.extras import compiled
from trivium.tokenizers.frequency_kernel import DONE, EXHAUSTED, GROW, SLICE
from trivium.tokenizers.pairs import HEAP, PAIRS, SYMBOLS, Pairs, merge, occurrences

_CERTAIN = 1.0 + 1e-14  # a product of three rounded factors is this exact, and more
_EXACT = 4e18  # below it a product fits in 64 bits
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


class Ranks(NamedTuple):
    """What groups are sorted by: for each symbol as the right one of a group, the group's best pair when it was last
    looked at. (The loops take arrays out of tuples before they begin: each time costs two counts of references.)"""

    over: np.ndarray  # (symbols,) int64: its freq(ab)
    under: np.ndarray  # (symbols,) int64: its freq(a)
    frequency: np.ndarray  # (symbols,) int64: of the symbol itself, freq(b)
    place: np.ndarray  # (symbols,) int32: the pair's first place


class Groups(NamedTuple):
    """The groups, the lists of the pairs of each symbol, and the heap."""

    ranks: Ranks
    first_left: np.ndarray  # (symbols,) int32: the first pair of the list of those that begin with the symbol
    first_right: np.ndarray  # (symbols,) int32: of those that end with it
    next_left: np.ndarray  # (pairs,) int32
    next_right: np.ndarray  # (pairs,) int32
    best: np.ndarray  # (symbols,) int32: the best pair of a group, or -1
    outdated: np.ndarray  # (symbols,) bool: the best became worse, what is stored is an upper bound
    score: np.ndarray  # (symbols,) float64: the score that is stored, rounded
    entries: np.ndarray  # (symbols,) int32: a heap of groups
    entry: np.ndarray  # (symbols,) int32: where a group is in the heap, or -1


@compiled
def long_product(a: int, b: int, c: int) -> tuple[np.uint64, np.uint64, np.uint64]:
    """a * b * c in 192 bits, the highest first."""
    high, low = wide_product(np.uint64(a), np.uint64(b))
    middle, lowest = wide_product(low, np.uint64(c))
    highest, carried = wide_product(high, np.uint64(c))
    total = middle + carried
    if total < middle:
        highest += np.uint64(1)
    return highest, total, lowest


@compiled
def wide_product(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """a * b in 128 bits."""
    a0, a1, b0, b1 = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    low, one, two = a0 * b0, a1 * b0, a0 * b1
    middle = (low >> _HALF) + (one & _LOW) + (two & _LOW)
    high = a1 * b1 + (one >> _HALF) + (two >> _HALF) + (middle >> _HALF)
    return high, (low & _LOW) | (middle << _HALF)


@compiled
def compare_products(a: int, b: int, c: int, x: int, y: int, z: int) -> int:
    """-1, 0 or 1 as a * b * c is less than, equal to or greater than x * y * z; all are at least 0."""
    one, other = float(a) * float(b) * float(c), float(x) * float(y) * float(z)
    if one > other * _CERTAIN:
        return 1
    if other > one * _CERTAIN:
        return -1
    if one < _EXACT:
        exact, wanted = a * b * c, x * y * z
        return 1 if exact > wanted else -1 if exact < wanted else 0
    long, longer = long_product(a, b, c), long_product(x, y, z)
    for at in range(3):
        if long[at] != longer[at]:
            return 1 if long[at] > longer[at] else -1
    return 0


@compiled
def tie(ranks: Ranks, one: int, other: int) -> bool:
    """As ``before``, of scores that differ by nothing or very little."""
    over, under, frequency = ranks.over, ranks.under, ranks.frequency
    order = compare_products(over[one], under[other], frequency[other], over[other], under[one], frequency[one])
    return order > 0 or (order == 0 and ranks.place[one] < ranks.place[other])


@compiled
def before(score: np.ndarray, ranks: Ranks, one: int, other: int) -> bool:
    """Whether the best of group ``one`` is merged before that of ``other``."""
    if score[one] > score[other] * _CERTAIN:
        return True
    if score[other] > score[one] * _CERTAIN:
        return False
    return tie(ranks, one, other)


@compiled
def rise(entries: np.ndarray, entry: np.ndarray, score: np.ndarray, ranks: Ranks, group: int) -> None:
    at = entry[group]
    while at > 0:
        parent = entries[(at - 1) >> 1]
        if not before(score, ranks, group, parent):
            break
        entries[at] = parent
        entry[parent] = at
        at = (at - 1) >> 1
    entries[at] = group
    entry[group] = at


@compiled
def sink(entries: np.ndarray, entry: np.ndarray, score: np.ndarray, ranks: Ranks, group: int, size: int) -> None:
    at = entry[group]
    while 2 * at + 1 < size:
        side = 2 * at + 1
        if side + 1 < size and before(score, ranks, entries[side + 1], entries[side]):
            side += 1
        child = entries[side]
        if not before(score, ranks, child, group):
            break
        entries[at] = child
        entry[child] = at
        at = side
    entries[at] = group
    entry[group] = at


@compiled
def take_out(pairs: Pairs, groups: Groups, group: int) -> None:
    """Removes a group from the heap, if it is there."""
    entries, entry, score, ranks = groups.entries, groups.entry, groups.score, groups.ranks
    at = entry[group]
    if at < 0:
        return
    pairs.numbers[HEAP] -= 1
    size = pairs.numbers[HEAP]
    last = entries[size]
    entry[group] = -1
    if last != group:
        entries[at] = last
        entry[last] = at
        rise(entries, entry, score, ranks, last)
        sink(entries, entry, score, ranks, last, size)


@compiled
def search(pairs: Pairs, groups: Groups, least: int, group: int) -> int:
    """Finds the best pair of a group and puts the group into the heap; returns how many pairs were looked at."""
    counts, lefts, heads, following = pairs.total, pairs.left, pairs.head, groups.next_right
    ranks = groups.ranks
    frequency = ranks.frequency
    best, over, under, place = -1, 0, 1, 0
    looked, link = 0, -1
    take_out(pairs, groups, group)
    pair = groups.first_right[group]
    while pair >= 0:
        looked += 1
        count, after = counts[pair], following[pair]
        if count < least:  # for ever: a pair whose symbols exist never gains
            if link < 0:
                groups.first_right[group] = after
            else:
                following[link] = after
        else:
            link = pair
            alone = frequency[lefts[pair]]
            order = compare_products(count, under, 1, over, alone, 1)
            if order > 0 or (order == 0 and heads[pair] < place):
                best, over, under, place = pair, count, alone, heads[pair]
        pair = after
    groups.best[group], ranks.over[group], ranks.under[group], ranks.place[group] = best, over, under, place
    groups.outdated[group] = False
    if best >= 0:
        groups.score[group] = over / (float(under) * float(frequency[group]))
        groups.entry[group] = pairs.numbers[HEAP]
        groups.entries[pairs.numbers[HEAP]] = group
        pairs.numbers[HEAP] += 1
        rise(groups.entries, groups.entry, groups.score, ranks, group)
    return looked


@compiled
def revisit(pairs: Pairs, groups: Groups, least: int, left: int) -> int:
    """Compares all pairs that begin with ``left`` with the best of their groups; returns how many there are."""
    counts, rights, heads, following = pairs.total, pairs.right, pairs.head, groups.next_left
    entries, entry, score, ranks = groups.entries, groups.entry, groups.score, groups.ranks
    overs, unders, frequency, places = ranks.over, ranks.under, ranks.frequency, ranks.place
    bests, outdated, numbers = groups.best, groups.outdated, pairs.numbers
    looked, link = 0, -1
    pair = groups.first_left[left]
    under = frequency[left]
    while pair >= 0:
        looked += 1
        over, after, group = counts[pair], following[pair], rights[pair]
        if over < least:
            if link < 0:
                groups.first_left[left] = after
            else:
                following[link] = after
            if bests[group] == pair:
                outdated[group] = True
        else:
            link = pair
            place = heads[pair]
            order = 1
            if bests[group] >= 0:
                order = compare_products(over, unders[group], 1, overs[group], under, 1)
                if order == 0 and place != places[group]:
                    order = 1 if place < places[group] else -1
            if order > 0:
                bests[group], outdated[group] = pair, False
                overs[group], unders[group], places[group] = over, under, place
                score[group] = over / (float(under) * float(frequency[group]))
                if entry[group] < 0:
                    entry[group] = numbers[HEAP]
                    entries[numbers[HEAP]] = group
                    numbers[HEAP] += 1
                rise(entries, entry, score, ranks, group)
            elif order < 0 and bests[group] == pair:
                outdated[group] = True
        pair = after
    return looked


@compiled
def link_pairs(pairs: Pairs, groups: Groups, least: int, start: int, stop: int) -> None:
    """Adds new pairs to the lists of their two symbols."""
    for pair in range(start, stop):
        if pairs.total[pair] < least:
            continue
        left, right = pairs.left[pair], pairs.right[pair]
        groups.next_left[pair], groups.first_left[left] = groups.first_left[left], pair
        groups.next_right[pair], groups.first_right[right] = groups.first_right[right], pair


@compiled
def search_all(pairs: Pairs, groups: Groups, least: int) -> None:
    for group in range(pairs.numbers[SYMBOLS]):
        search(pairs, groups, least, group)


@compiled
def merge_best_scored(
    pairs: Pairs, groups: Groups, least: int, merges: np.ndarray, done: int, work: int
) -> tuple[int, int]:
    """Fills ``merges`` (wanted, 2) from row ``done`` on; returns (why it stopped, rows filled) as by frequency."""
    frequency = groups.ranks.frequency
    while done < len(merges):
        if pairs.numbers[HEAP] == 0:
            return EXHAUSTED, done
        if work < 0:
            return SLICE, done
        group = groups.entries[0]
        if groups.outdated[group]:
            work -= search(pairs, groups, least, group)
            continue
        pair = groups.best[group]
        places = occurrences(pairs, pair)
        start = pairs.numbers[PAIRS]
        if start + 2 * places > len(pairs.left):
            return GROW, done
        left, right, new = int(pairs.left[pair]), int(pairs.right[pair]), int(pairs.numbers[SYMBOLS])
        merges[done, 0], merges[done, 1] = left, right
        done += 1
        take_out(pairs, groups, left)  # while what they are sorted by changes
        take_out(pairs, groups, right)
        weight = merge(pairs, pair, places)
        frequency[left] -= weight
        frequency[right] -= weight
        frequency[new] = weight
        link_pairs(pairs, groups, least, start, pairs.numbers[PAIRS])
        work -= 4 * places + 100
        # All frequencies are final now, so that whatever enters the heap is compared by its true score.
        work -= search(pairs, groups, least, left)
        work -= search(pairs, groups, least, right)
        work -= search(pairs, groups, least, new)
        work -= revisit(pairs, groups, least, left)
        work -= revisit(pairs, groups, least, right)
        work -= revisit(pairs, groups, least, new)
    return DONE, done
