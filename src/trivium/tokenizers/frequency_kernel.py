"""The merge rule of byte-pair encoding, compiled: the most frequent pair first, ties by a stated rule.

Counts of a pair only fall once its symbols exist, so a heap with outdated counts serves: what comes to its top with an
outdated count is put back with the right one. Each pair is in the heap once.
"""

from typing import NamedTuple

import numpy as np

from trivium.extras import compiled
from trivium.tokenizers.pairs import HEAP, PAIRS, SYMBOLS, Pairs, merge, occurrences

FIRST, LARGEST, SMALLEST_IDS = 0, 1, 2
DONE, SLICE, GROW, EXHAUSTED = 0, 1, 2, 3


class Heap(NamedTuple):
    """Pairs by their count when they were last looked at; and the text of symbols, by which ties may be decided."""

    entries: np.ndarray  # (pairs,) int32
    total: np.ndarray  # (pairs,) int64: the count that a pair is sorted by
    first: np.ndarray  # (pairs,) int32: the place that it is sorted by
    text: np.ndarray  # (places,) int32: the characters of all words
    where: np.ndarray  # (symbols,) int32: a place where the symbol's characters stand
    length: np.ndarray  # (symbols,) int32: how many
    ended: np.ndarray  # (symbols,) bool: whether the end of the word belongs to it
    suffix: np.ndarray  # (letters,) int32: how that end is spelt


@compiled
def compare_texts(heap: Heap, one: int, other: int) -> int:
    """-1, 0 or 1: the order of two symbols' texts by code points."""
    ends, lengths = len(heap.suffix), (heap.length[one], heap.length[other])
    sizes = (lengths[0] + ends * heap.ended[one], lengths[1] + ends * heap.ended[other])
    for at in range(min(sizes[0], sizes[1])):
        a = heap.text[heap.where[one] + at] if at < lengths[0] else heap.suffix[at - lengths[0]]
        b = heap.text[heap.where[other] + at] if at < lengths[1] else heap.suffix[at - lengths[1]]
        if a != b:
            return -1 if a < b else 1
    return 0 if sizes[0] == sizes[1] else -1 if sizes[0] < sizes[1] else 1


@compiled
def before(pairs: Pairs, heap: Heap, rule: int, one: int, other: int) -> bool:
    """Whether pair ``one`` is merged before ``other``."""
    if heap.total[one] != heap.total[other]:
        return heap.total[one] > heap.total[other]
    if rule == FIRST:
        return heap.first[one] < heap.first[other]
    left, right = pairs.left, pairs.right
    if rule == LARGEST:
        order = compare_texts(heap, left[one], left[other])
        if order == 0:
            order = compare_texts(heap, right[one], right[other])
        return order > 0
    return left[one] < left[other] or (left[one] == left[other] and right[one] < right[other])


@compiled
def push(pairs: Pairs, heap: Heap, rule: int, pair: int) -> None:
    heap.total[pair] = pairs.total[pair]
    heap.first[pair] = pairs.head[pair]
    at = pairs.numbers[HEAP]
    pairs.numbers[HEAP] += 1
    while at > 0 and before(pairs, heap, rule, pair, heap.entries[(at - 1) >> 1]):
        heap.entries[at] = heap.entries[(at - 1) >> 1]
        at = (at - 1) >> 1
    heap.entries[at] = pair


@compiled
def sink(pairs: Pairs, heap: Heap, rule: int, pair: int) -> None:
    """Puts ``pair`` in the place of the top, and lets it sink."""
    at, size = 0, pairs.numbers[HEAP]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and before(pairs, heap, rule, heap.entries[child + 1], heap.entries[child]):
            child += 1
        if not before(pairs, heap, rule, heap.entries[child], pair):
            break
        heap.entries[at] = heap.entries[child]
        at = child
    heap.entries[at] = pair


@compiled
def pop(pairs: Pairs, heap: Heap, rule: int) -> None:
    pairs.numbers[HEAP] -= 1
    if pairs.numbers[HEAP] > 0:
        sink(pairs, heap, rule, heap.entries[pairs.numbers[HEAP]])


@compiled
def push_range(pairs: Pairs, heap: Heap, rule: int, least: int, start: int, stop: int) -> None:
    """Pairs counted for the first time."""
    for pair in range(start, stop):
        if pairs.total[pair] >= least:
            push(pairs, heap, rule, pair)


@compiled
def merge_most_frequent(
    pairs: Pairs, heap: Heap, rule: int, least: int, merges: np.ndarray, done: int, work: int
) -> tuple[int, int]:
    """Fills ``merges`` (wanted, 2) from row ``done`` on; returns (why it stopped, rows filled).

    It stops when all are found, after visiting ``work`` places, where arrays must grow first, or when no pair occurs
    ``least`` times.
    """
    while done < len(merges):
        if pairs.numbers[HEAP] == 0:
            return EXHAUSTED, done
        pair = heap.entries[0]
        if pairs.total[pair] < least:
            pop(pairs, heap, rule)
            continue
        if heap.total[pair] != pairs.total[pair] or (rule == FIRST and heap.first[pair] != pairs.head[pair]):
            heap.total[pair] = pairs.total[pair]
            heap.first[pair] = pairs.head[pair]
            sink(pairs, heap, rule, pair)
            continue
        if work < 0:
            return SLICE, done
        places = occurrences(pairs, pair)
        start = pairs.numbers[PAIRS]
        if start + 2 * places > len(pairs.left):
            return GROW, done
        left, right, new = pairs.left[pair], pairs.right[pair], pairs.numbers[SYMBOLS]
        heap.where[new] = pairs.head[pair]
        heap.length[new] = heap.length[left] + heap.length[right]
        heap.ended[new] = heap.ended[right]
        merges[done, 0], merges[done, 1] = left, right
        done += 1
        pop(pairs, heap, rule)
        merge(pairs, pair, places)
        push_range(pairs, heap, rule, least, start, pairs.numbers[PAIRS])
        work -= places + 100
    return DONE, done
