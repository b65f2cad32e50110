"""Where Unigram training starts: all characters and the most frequent substrings, in the lattice of every unit.

The substrings come from a suffix array over the different units, weighted by how often each unit occurs (Kudo 2018,
section 3.2; SentencePiece takes them from the whole text). The lattice comes from the same tree: the pieces that begin
at a position are the ancestors of its suffix, so nothing is looked up.
"""

import math
from dataclasses import dataclass

import numpy as np

from trivium.errors import RefusedError
from trivium.tokenizers.units import Units

SEEDS = 1_000_000
_CHARACTER_BYTES = 160  # of memory for each character of the different units, at most


@dataclass
class Lattices:
    """All segmentations of all units into the present pieces, as the kernels have them (``unigram_kernels.py``).

    ``texts``, ``lengths``, ``places`` (a position where it occurs), ``scores`` (log-probabilities): of each piece; the
    first ``characters`` pieces are the single characters.
    """

    starts: np.ndarray
    counts: np.ndarray
    first: np.ndarray
    pieces: np.ndarray
    lengths: np.ndarray
    places: np.ndarray
    scores: np.ndarray
    texts: list[str]
    characters: int

    def keep(self, kept: np.ndarray, scores: np.ndarray) -> None:
        """Only these pieces from now on, with these scores. ``kept``: (P,) truth values."""
        from trivium.tokenizers.unigram_kernels import renumber

        self.scores = scores[kept]
        if kept.all():
            return
        numbers = np.where(kept, np.cumsum(kept) - 1, -1).astype(np.int32)
        self.pieces = self.pieces[: renumber(self.pieces, self.first, numbers)]
        self.lengths, self.places = self.lengths[kept], self.places[kept]
        self.texts = [self.texts[number] for number in np.flatnonzero(kept)]


def check_memory(units: Units, memory: int) -> None:
    """Refuses units whose lattice would not fit."""
    size = sum(map(len, units.units)) + len(units.units)
    if size * _CHARACTER_BYTES > memory:
        raise RefusedError(
            f"{len(units.units):,} different words of {size:,} characters need {size * _CHARACTER_BYTES:,} bytes and "
            f"may have {memory:,}: raise --memory, or learn from a part of the text with --sample"
        )


def seeds(units: Units, most: int = SEEDS) -> Lattices:
    """The single characters, and the ``most`` substrings of the units with the largest frequency times length: those
    of 2 to 16 characters that occur twice and are followed by different characters (a suffix tree's nodes), and whole
    units."""
    from trivium.tokenizers.unigram_kernels import LONGEST, edges, substrings

    codes = np.full(0x110000, -1, np.int32)
    codes[[ord(character) for character in units.alphabet]] = np.arange(len(units.alphabet))
    symbols = codes[np.frombuffer(("\0".join(units.units) + "\0").encode("utf-32-le"), "<u4")]
    ends = np.cumsum([len(unit) + 1 for unit in units.units])
    starts = np.concatenate([[0], ends])
    symbols[ends - 1] = -1
    count = len(symbols)
    rest = (np.repeat(ends, np.diff(starts)) - 1 - np.arange(count)).astype(np.int32)
    order, common = _sorted_suffixes(symbols, rest, LONGEST)
    weights = np.repeat(units.counts, np.diff(starts))
    whole = np.zeros(count, bool)
    whole[starts[:-1]] = True
    length, frequency, place, parent, longest = substrings(order, common, rest, whole, weights)
    value = frequency * length
    chosen = np.flatnonzero(frequency >= 2)
    chosen = chosen[np.argsort(-value[chosen], kind="stable")][:most]
    numbers = np.full(len(length), -1, np.int32)
    numbers[chosen] = len(units.alphabet) + np.arange(len(chosen))
    first = np.empty(count + 1, np.int64)
    pieces = edges(symbols, longest, parent, numbers, first)
    lengths = np.concatenate([np.ones(len(units.alphabet), np.int32), length[chosen]])
    places = np.concatenate([_first_places(symbols, len(units.alphabet)), place[chosen]])
    totals = np.concatenate([units.character_counts, value[chosen]]).astype(np.float64)
    text = "\0".join(units.units)
    texts = units.alphabet + [text[at : at + size] for at, size in zip(place[chosen], length[chosen], strict=True)]
    scores = np.log(totals) - math.log(totals.sum())
    return Lattices(starts, units.counts, first, pieces, lengths, places, scores, texts, len(units.alphabet))


def _first_places(symbols: np.ndarray, size: int) -> np.ndarray:
    found = np.zeros(size, np.int32)
    places = np.flatnonzero(symbols >= 0)[::-1]
    found[symbols[places]] = places
    return found


def _sorted_suffixes(symbols: np.ndarray, rest: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """The positions that begin a character, in the order of their next ``longest`` characters within the unit, and the
    characters that each shares with the one before, by prefix doubling (Manber & Myers 1990)."""
    count = len(symbols)
    ranks = [symbols + 1]
    step = 1
    while step < longest:
        both = ranks[-1].astype(np.int64) * (int(ranks[-1].max()) + 1)
        within = np.flatnonzero(rest > step)
        both[within] += ranks[-1][within + step]
        ordered = np.argsort(both)
        new = np.empty(count, np.int32)
        new[ordered] = np.cumsum(np.concatenate([[False], np.diff(both[ordered]) != 0]))
        ranks.append(new)
        step *= 2
    order = np.argsort(ranks[-1], kind="stable")
    order = order[symbols[order] >= 0]
    left, right = order[:-1].copy(), order[1:].copy()
    shared = np.zeros(len(left), np.int32)
    bound = np.minimum(rest[left], rest[right])
    for power in range(len(ranks) - 1, -1, -1):
        same = (shared < bound) & (ranks[power][left] == ranks[power][right])
        shared[same] += 1 << power
        left[same] = np.minimum(left[same] + (1 << power), count - 1)
        right[same] = np.minimum(right[same] + (1 << power), count - 1)
    shared = np.minimum(np.minimum(shared, bound), longest).astype(np.int32)
    return order.astype(np.int32), np.concatenate([[0], shared, [0]]).astype(np.int32)
