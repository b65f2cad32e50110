"""Where glibc's malloc lays the tensors of a training step, and so how much of its heap is touched.

A block goes where the smallest free piece lies that holds it, of equal ones the newest; what is left of that piece
stays free, and free neighbours become one. torch asks for places at multiples of 64 bytes (``posix_memalign``), and for
those glibc looks for a piece that is larger by 96 bytes, but keeps no more of it than the block: the place of a freed
tensor is then too small for the next one of its size, unless a neighbour is free too. So a step's heap has 1.05 to 1.2
times what its tensors have at most (twelve shapes of docs/planning.md).

Left out: small blocks of other kinds, which come to lie between the tensors.
"""

from bisect import bisect_left, insort

_HEADER = 16
_ALIGNED = 64
_SOUGHT = 96


class Heap:
    """``top``: bytes from the heap's beginning to the highest place that was ever used."""

    def __init__(self) -> None:
        self.top = 0
        self._free: list[tuple[int, int, int]] = []  # (size, minus the number of its making, place), sorted
        self._made = 0
        self._pieces: dict[int, tuple[int, int, int]] = {}  # the same by where they begin
        self._begins: dict[int, int] = {}  # by where they end
        self._taken: dict[int, int] = {}  # sizes of blocks

    def take(self, size: int) -> int:
        """The place of a new block."""
        size = -(-(size + _HEADER) // _ALIGNED) * _ALIGNED
        fits = bisect_left(self._free, (size + _SOUGHT, -self._made, -1))
        if fits < len(self._free):
            found, _, place = self._free[fits]
            self._drop(place)
        elif self.top in self._begins:  # the last piece is made longer
            place = self._begins[self.top]
            found = self._drop(place)
        else:
            place, found = self.top, 0
        self.top = max(self.top, place + size)
        if found > size:
            self._add(place + size, found - size)
        self._taken[place] = size
        return place

    def give(self, place: int) -> None:
        """Frees the block at ``place``."""
        size = self._taken.pop(place)
        if (before := self._begins.get(place)) is not None:
            place, size = before, size + self._drop(before)
        if place + size in self._pieces:
            size += self._drop(place + size)
        self._add(place, size)

    def _add(self, place: int, size: int) -> None:
        self._made += 1
        self._pieces[place] = piece = (size, -self._made, place)
        insort(self._free, piece)
        self._begins[place + size] = place

    def _drop(self, place: int) -> int:
        """The size of the free piece that was there."""
        piece = self._pieces.pop(place)
        del self._free[bisect_left(self._free, piece)]
        del self._begins[place + piece[0]]
        return piece[0]
