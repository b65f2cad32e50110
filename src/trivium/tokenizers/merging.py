"""Learning merges from counted words: the words as symbols in arrays, and the compiled rules run over them in slices.

Each slice takes a fraction of a second, so that Ctrl-C is answered between two. Arrays over pairs grow by doubling;
before they would outgrow the memory a RefusedError says so.
"""

import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from trivium.errors import DataError, RefusedError, SettingsError
from trivium.tokenizers.counting import MEMORY, Counts

if TYPE_CHECKING:
    from trivium.tokenizers.pairs import Pairs

Ties = Literal["first", "largest", "smallest-ids"]
WORK = 5_000_000  # places and pairs looked at in a slice
PLACES = 1 << 18  # counted in a slice
LETTER = (1 << 21) - 1  # a code: a character and, above it, what distinguishes its symbol from others
SYMBOL_BYTES = 80
WORD_BYTES = 96
BUILDING_BYTES = 20  # of a character, while its word becomes symbols


@dataclass(frozen=True)
class Symbols:
    """Words as rows of symbols, one after the other. The symbols' ids are the ranks of their ``codes``."""

    ids: np.ndarray  # (places,) int32
    ends: np.ndarray  # (words,) int64: one past each word's last place
    weights: np.ndarray  # (words,) int64
    codes: np.ndarray  # (alphabet,) int64, rising

    @property
    def frequencies(self) -> np.ndarray:
        """(alphabet,) int64: how often each symbol occurs."""
        found = np.zeros(len(self.codes), np.int64)
        for word in range(0, len(self.ends), PLACES):  # in parts, for the weights of places take eight bytes each
            ends, weights = self.ends[word : word + PLACES], self.weights[word : word + PLACES]
            start = self.ends[word - 1] if word else 0
            np.add.at(found, self.ids[start : ends[-1]], np.repeat(weights, np.diff(ends, prepend=start)))
        return found


def letters(words: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The characters of all words, one after the other, (places,) int32, and (words,) where each word ends."""
    ends = np.cumsum(np.fromiter(map(len, words), np.int64, len(words)))
    return np.frombuffer(bytearray("".join(words).encode("utf-32-le")), np.int32), ends


def symbols_of(codes: np.ndarray, ends: np.ndarray, weights: np.ndarray) -> Symbols:
    present = np.zeros(int(codes.max()) + 1, np.bool_)
    present[codes] = True
    alphabet = np.flatnonzero(present)
    ranks = np.zeros(len(present), np.int32)
    ranks[alphabet] = np.arange(len(alphabet), dtype=np.int32)
    return Symbols(ranks[codes], ends, weights, alphabet)


def check_memory(counts: Counts, memory: int) -> None:
    """Refuses words whose symbols would not fit beside them."""
    places = sum(map(len, counts.words))
    need = places * BUILDING_BYTES + len(counts) * WORD_BYTES + sum(map(sys.getsizeof, counts.words))
    _check_fits(need, memory, f"{len(counts):,} different words of {places:,} characters")


def merges_by_frequency(
    symbols: Symbols,
    wanted: int,
    ties: Ties = "first",
    least: int = 1,
    *,
    ended: np.ndarray | None = None,
    lengths: np.ndarray | None = None,
    suffix: str = "",
    memory: int = MEMORY,
) -> np.ndarray:
    """(merges, 2) ids of the ``wanted`` pairs to merge, in order, or fewer; merge i makes the symbol alphabet + i.

    For ties "largest", ``lengths`` and ``ended`` say how many characters a symbol of the alphabet has, and whether it
    also has the end of the word, spelt ``suffix``.
    """
    from trivium.tokenizers import frequency_kernel as kernel

    alphabet = len(symbols.codes)
    where = np.zeros(alphabet + wanted, np.int32)
    where[symbols.ids] = np.arange(len(symbols.ids), dtype=np.int32)
    sizes, ends = np.ones(alphabet + wanted, np.int32), np.zeros(alphabet + wanted, np.bool_)
    if lengths is not None:
        sizes[:alphabet] = lengths
    if ended is not None:
        ends[:alphabet] = ended
    heap = kernel.Heap(
        np.empty(0, np.int32),
        np.empty(0, np.int64),
        np.empty(0, np.int32),
        (symbols.codes & LETTER).astype(np.int32)[symbols.ids],
        where,
        sizes,
        ends,
        np.array([ord(letter) for letter in suffix], np.int32),
    )
    rule = get_args(Ties).index(ties)

    def grown(pairs: "Pairs") -> None:
        nonlocal heap
        size = len(pairs.left)
        heap = heap._replace(
            entries=longer(heap.entries, size), total=longer(heap.total, size), first=longer(heap.first, size)
        )

    def begin(pairs: "Pairs") -> None:
        kernel.push_range(pairs, heap, rule, least, 0, int(pairs.numbers[0]))

    def go_on(pairs: "Pairs", merges: np.ndarray, done: int) -> tuple[int, int]:
        return kernel.merge_most_frequent(pairs, heap, rule, least, merges, done, WORK)

    return _merged(symbols, wanted, grown, begin, go_on, memory)


def merges_by_score(symbols: Symbols, wanted: int, least: int = 1, *, memory: int = MEMORY) -> np.ndarray:
    """As ``merges_by_frequency``, by freq(ab) / (freq(a) freq(b)) among the pairs that occur ``least`` times; ties to
    the pair whose first place in the words is the earliest."""
    from trivium.tokenizers import score_kernel as kernel

    alphabet = len(symbols.codes)
    size = alphabet + wanted

    def filled(value: int, kind: type[np.generic] = np.int32) -> np.ndarray:
        return np.full(size, value, kind)

    ranks = kernel.Ranks(
        filled(0, np.int64),
        filled(1, np.int64),
        np.concatenate([symbols.frequencies, np.zeros(wanted, np.int64)]),
        filled(0),
    )
    groups = kernel.Groups(
        ranks,
        filled(-1),
        filled(-1),
        np.empty(0, np.int32),
        np.empty(0, np.int32),
        filled(-1),
        filled(0, np.bool_),
        filled(0, np.float64),
        filled(-1),
        filled(-1),
    )

    def grown(pairs: "Pairs") -> None:
        nonlocal groups
        room = len(pairs.left)
        groups = groups._replace(next_left=longer(groups.next_left, room), next_right=longer(groups.next_right, room))

    def begin(pairs: "Pairs") -> None:
        kernel.link_pairs(pairs, groups, least, 0, int(pairs.numbers[0]))
        kernel.search_all(pairs, groups, least)

    def go_on(pairs: "Pairs", merges: np.ndarray, done: int) -> tuple[int, int]:
        return kernel.merge_best_scored(pairs, groups, least, merges, done, WORK)

    return _merged(symbols, wanted, grown, begin, go_on, memory)


def strings_of(alphabet: list[str], merges: np.ndarray, continuing: str = "") -> list[str]:
    """The text of every symbol; ``continuing`` is taken off the right one of a pair."""
    strings = list(alphabet)
    for left, right in merges.tolist():
        strings.append(strings[left] + strings[right].removeprefix(continuing))
    assert len(set(strings)) == len(strings)
    return strings


def check_size(vocab_size: int, controls: int, alphabet: int, what: str = "characters") -> int:
    """How many merges fill a vocabulary; a SettingsError where not even the alphabet fits."""
    smallest = controls + alphabet
    if vocab_size < smallest:
        raise SettingsError(
            f"vocabulary size {vocab_size} is too small: {alphabet} {what} of this text and {controls} special tokens "
            f"need {smallest}: ask for more, or keep fewer characters (setting `alphabet`)"
        )
    return vocab_size - smallest


def learnable(counts: Counts, controls: Iterable[str], alphabet: int | None) -> Counts:
    """Without the words that hold a control token's or marker's string, so that no piece can be taken for it, and
    those with a character that is not among the ``alphabet`` most frequent ones (ties: the lower code points)."""
    pattern = re.compile("|".join(map(re.escape, controls)) or "(?!)")
    kept = [number for number, word in enumerate(counts.words) if not pattern.search(word)]
    if alphabet is not None:
        codes, ends = letters(counts.words)
        found = np.zeros(int(codes.max()) + 1, np.int64)
        np.add.at(found, codes, np.repeat(counts.counts, np.diff(ends, prepend=0)))
        rare = np.argsort(-found, kind="stable")[alphabet:]
        lacking = np.isin(codes, rare).cumsum()[ends - 1]
        clean = np.diff(lacking, prepend=0) == 0
        kept = [number for number in kept if clean[number]]
    if not kept:
        raise DataError("there is no text to learn a tokenizer from: no word is left of it")
    if len(kept) == len(counts):
        return counts
    return Counts([counts.words[number] for number in kept], counts.counts[kept])


def check_supported(vocab_size: int, found: int, why: str) -> None:
    """A DataError that names the largest vocabulary of this text."""
    if found < vocab_size:
        raise DataError(
            f"a vocabulary of {vocab_size} was asked for, but {why} support only {found} tokens: ask for {found} or "
            "less, or give more text"
        )


def longer(array: np.ndarray, size: int) -> np.ndarray:
    made = np.full(size, -1, array.dtype)
    made[: len(array)] = array
    return made


def _check_fits(need: int, memory: int, what: str) -> None:
    if need > memory:
        raise RefusedError(
            f"{what} need {need:,} bytes and may have {memory:,}: raise --memory, or learn from a part of the text "
            "with --sample"
        )


def _merged(
    symbols: Symbols,
    wanted: int,
    grown: Callable[["Pairs"], None],
    begin: Callable[["Pairs"], None],
    go_on: Callable[["Pairs", np.ndarray, int], tuple[int, int]],
    memory: int,
) -> np.ndarray:
    from trivium.tokenizers.frequency_kernel import GROW, SLICE
    from trivium.tokenizers.pairs import PAIR_BYTES, PLACE_BYTES, count_pairs

    merges = np.empty((wanted, 2), np.int32)
    if not wanted:
        return merges
    places = len(symbols.ids)
    what = f"the pairs of {places:,} characters in {len(symbols.weights):,} different words"
    other = places * (PLACE_BYTES + 3 * 4)  # with the ids, the text and the codes
    other += len(symbols.weights) * WORD_BYTES + (len(symbols.codes) + wanted) * SYMBOL_BYTES

    def more(pairs: "Pairs") -> "Pairs":
        room = max(1024, 2 * len(pairs.left))
        need = other + PAIR_BYTES * (room + len(pairs.left))  # both exist for a moment
        _check_fits(need, memory, what)
        pairs = _with_room(pairs, room)
        grown(pairs)
        return pairs

    _check_fits(other, memory, what)
    pairs = more(_pairs(symbols))
    place = 0
    while place < places:
        place = count_pairs(pairs, place, min(places, place + PLACES))
        if pairs.numbers[0] == len(pairs.left):
            pairs = more(pairs)
    begin(pairs)
    done, status = 0, SLICE
    while status in (SLICE, GROW):
        status, done = go_on(pairs, merges, done)
        if status == GROW:
            pairs = more(pairs)
    return merges[:done]


def _pairs(symbols: Symbols) -> "Pairs":
    """The places of all words, no pair counted yet."""
    from trivium.tokenizers.pairs import Pairs

    size = len(symbols.ids)
    following, preceding = np.arange(1, size + 1, dtype=np.int32), np.arange(-1, size - 1, dtype=np.int32)
    following[symbols.ends - 1] = -1
    preceding[symbols.ends[:-1]] = -1
    lengths = np.diff(symbols.ends, prepend=0)
    nothing = np.empty(0, np.int32)
    return Pairs(
        symbols.ids.copy(),
        following,
        preceding,
        np.repeat(np.arange(len(lengths), dtype=np.int32), lengths),
        np.full(size, -1, np.int32),
        np.full(size, -1, np.int32),
        np.full(size, -1, np.int32),
        np.ascontiguousarray(symbols.weights, np.int64),
        nothing,
        nothing,
        np.empty(0, np.int64),
        nothing,
        nothing,
        nothing,
        np.array([0, len(symbols.codes), 0], np.int64),
    )


def _with_room(pairs: "Pairs", room: int) -> "Pairs":
    """The same pairs in longer arrays, with a new table of slots, at most half of which are taken."""
    from trivium.tokenizers.pairs import fill_slots

    slots = np.full(1 << (2 * room - 1).bit_length(), -1, np.int32)
    names = ("left", "right", "total", "head", "tail")
    made = pairs._replace(slots=slots, **{name: longer(getattr(pairs, name), room) for name in names})
    fill_slots(made)
    return made
