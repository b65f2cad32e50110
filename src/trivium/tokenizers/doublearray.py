"""A double array (Aoe 1989), in the layout of Darts-clone that SentencePiece files hold: a trie of byte strings in one
array of 32-bit units, read with its bounds checked and written with equal subtrees shared.

A unit's low byte is the label that leads to it; bit 8 says that a key ends there; bits 10-30 (times 256 with bit 9)
are XORed with its place to give the place of its children. A key's value is the unit at label 0, with bit 31 set.
"""

from collections.abc import Iterator, Mapping

import numpy as np

from trivium.errors import DataError

LONGEST_KEY = 64
MOST_KEYS = 1_000_000
_ROWS = 8192
_LABEL = np.uint32(0x800000FF)
_REACH = 1 << 21  # offsets that need no factor of 256
_OPEN_BLOCKS = 12  # blocks that are still searched for room: older ones are nearly full


def read_array(units: np.ndarray) -> Iterator[tuple[list[bytes], list[int]]]:
    """All keys and their values, in parts; proves that lookups stay inside of the array. ``units``: (N,) uint32."""
    if not len(units):
        raise DataError("its character map holds an empty trie")
    bases = _children(units[:1], np.zeros(1, np.int64))
    keys = np.zeros((1, 0), np.uint8)
    for _ in range(LONGEST_KEY):
        if not len(bases):
            return
        if (bases | 255).max() >= len(units):
            raise DataError("its character map's trie points outside of itself")
        steps = [_step(units, bases[start : start + _ROWS]) for start in range(0, len(bases), _ROWS)]
        rows = np.concatenate([found + number * _ROWS for number, (found, _) in enumerate(steps)])
        places = np.concatenate([found for _, found in steps])
        if len(rows) > MOST_KEYS:
            break
        labels = (units[places] & 255).astype(np.uint8)
        keys = np.concatenate([keys[rows], labels[:, None]], axis=1)  # (F, length)
        bases = _children(units[places], places)
        ends = np.flatnonzero((units[places] >> 8) & 1)
        if len(ends):
            if bases[ends].max() >= len(units):
                raise DataError("its character map's trie points outside of itself")
            whole, length = keys[ends].tobytes(), keys.shape[1]
            found = [whole[at : at + length] for at in range(0, len(whole), length)]
            yield found, (units[bases[ends]] & 0x7FFFFFFF).tolist()
    raise DataError(f"its character map's trie has no end, or more than {MOST_KEYS} keys of one length")


def values_within(units: np.ndarray) -> np.ndarray:
    """The different values that lookups can find; a DataError where one could leave the array. Each node is visited
    once, so that subtrees which many keys share cost no more than others."""
    bases = _children(units[:1], np.zeros(1, np.int64))
    seen = np.zeros(len(units), bool)
    found = [np.zeros(0, np.uint32)]
    while len(bases):
        if (bases | 255).max() >= len(units):
            raise DataError("its character map's trie points outside of itself")
        bases = np.unique(bases[~seen[bases]])
        seen[bases] = True
        places = np.concatenate(
            [_step(units, bases[start : start + _ROWS])[1] for start in range(0, len(bases), _ROWS)] or [bases]
        )
        bases = _children(units[places], places)
        ends = bases[(units[places] >> 8) & 1 == 1]
        if len(ends) and ends.max() >= len(units):
            raise DataError("its character map's trie points outside of itself")
        found.append(units[ends] & np.uint32(0x7FFFFFFF))
    return np.unique(np.concatenate(found))


def has_ascii_pairs(units: np.ndarray) -> bool:
    """Whether a key may begin with two characters of ASCII; told without reading all keys."""
    inside = np.concatenate([units, np.zeros(256, np.uint32)])
    bases = _children(units[:1], np.zeros(1, np.int64))
    for _ in range(2):
        places = np.minimum(bases[:, None] ^ np.arange(1, 128), len(units))
        rows, columns = np.nonzero((inside[places] & _LABEL) == np.arange(1, 128))
        places = places[rows, columns]
        bases = _children(inside[places], places)
    return len(bases) > 0


def _step(units: np.ndarray, bases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The children of the nodes with these bases: (which node, place of the child)."""
    labels = np.arange(1, 256)
    places = bases[:, None] ^ labels
    rows, columns = np.nonzero((units[places] & _LABEL) == labels)
    return rows, places[rows, columns]


def _children(units: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The places that the labels of the units' children are XORed with."""
    wide = units.astype(np.int64)
    return places ^ ((wide >> 10) << ((wide & 512) >> 6))


def write_array(values: Mapping[bytes, int]) -> np.ndarray:
    """The units, whole blocks of 256, of a trie that holds ``values`` (none has the byte 0 in its key)."""
    trie: dict[int, object] = {}
    for key, value in values.items():
        node = trie
        for byte in key:
            node = node.setdefault(byte, {})  # type: ignore[assignment]
        node[0] = value
    states = _shared_states(trie)
    bases = _place(states)
    size = (max(base | 255 for base in bases) | 255) + 1
    units = np.zeros(size, np.uint32)
    units[0] = bases[-1] << 10
    for state, base in zip(states, bases, strict=True):
        for label, target in state:
            place = base ^ label
            if label == 0:
                units[place] = target | 0x80000000
            else:
                units[place] = (place ^ bases[target]) << 10 | (states[target][0][0] == 0) << 8 | label
    return units


def _shared_states(trie: dict[int, object]) -> list[tuple[tuple[int, int], ...]]:
    """The trie's different subtrees, children before parents: ((label, number of the child), ...) in order of labels;
    label 0 has the value in its place."""
    numbers: dict[tuple[tuple[int, int], ...], int] = {}

    def number(node: dict[int, object]) -> int:
        edges = tuple((label, number(child) if label else child) for label, child in sorted(node.items()))  # type: ignore[arg-type]
        return numbers.setdefault(edges, len(numbers))  # type: ignore[arg-type]

    number(trie)
    return list(numbers)


def _place(states: list[tuple[tuple[int, int], ...]]) -> list[int]:
    """For each state a base no other has, such that ``base ^ label`` is free for each of its labels."""
    free: list[set[int]] = [set(range(1, 256))]  # of each block; unit 0 is the root's own
    bases: list[int] = []
    used: set[int] = set()

    def fitting(labels: list[int]) -> int:
        first, rest = labels[0], labels[1:]
        for block in range(max(0, len(free) - _OPEN_BLOCKS), len(free)):
            room = free[block]
            if len(room) < len(labels):
                continue
            start = block << 8
            for place in room:
                base = place ^ first
                if start | base not in used and all(base ^ label in room for label in rest):
                    return start | base
        free.append(set(range(256)))
        return (len(free) - 1) << 8

    for state in states:
        labels = [label for label, _ in state]
        base = fitting(labels)
        used.add(base)
        bases.append(base)
        free[base >> 8].difference_update((base ^ label) & 255 for label in labels)
    if len(free) << 8 > _REACH:
        raise DataError(f"a character map of {len(states)} different states is too large for a double array")
    return bases
