"""Packing pieces of text into rows with little padding left, in time that hardly depends on how many there are.

Best fit decreasing on the histogram of lengths (Krell et al. 2021, arXiv 2107.02027, section 3, whose shortest-pack-
first it resembles): rows with the same pieces in them are one entry with a count, so millions of documents cost no
more than the number of distinct lengths squared.
"""

from bisect import bisect_left, insort

import numpy as np

Shape = tuple[tuple[int, int], ...]  # ((length, how many), ...): what one row holds
_EMPTY: Shape = ()


def row_shapes(lengths: np.ndarray, room: int) -> list[tuple[int, Shape]]:
    """How many rows of each shape hold pieces of these ``lengths`` (P,), each at most ``room``.

    Longest first; each length goes into the rows with the least space that still takes it, as often as it fits, and
    into new rows when none does.
    """
    counts = np.bincount(lengths, minlength=room + 1)
    open_rows: dict[int, list[tuple[int, Shape]]] = {}  # space left -> (rows, shape)
    spaces: list[int] = []  # the keys, ascending

    def put(space: int, rows: int, shape: Shape) -> None:
        if rows:
            if space not in open_rows:
                open_rows[space] = []
                insort(spaces, space)
            open_rows[space].append((rows, shape))

    for length in map(int, np.flatnonzero(counts)[::-1]):
        left = int(counts[length])
        while left:
            at = bisect_left(spaces, length)
            if at == len(spaces):
                space, rows, shape = room, left, _EMPTY
            else:
                space = spaces[at]
                rows, shape = open_rows[space].pop()
                if not open_rows[space]:
                    del open_rows[space], spaces[at]
            each = min(space // length, left)
            filled = min(rows, left // each)
            put(space - each * length, filled, (*shape, (length, each)))
            left -= filled * each
            if shape:
                put(space, rows - filled, shape)
    return [entry for entries in open_rows.values() for entry in entries]


def pack(lengths: np.ndarray, room: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of pieces: (order (P,), bounds (R + 1,)); row r holds the pieces ``order[bounds[r]:bounds[r + 1]]``.

    Pieces of one length are interchangeable and taken in their own order; rows come in the order of their first
    piece, so that reading the rows in order reads the file nearly in order.
    """
    by_length = np.argsort(lengths, kind="stable")
    taken = np.concatenate([[0], np.cumsum(np.bincount(lengths, minlength=room + 1))])
    piece = np.empty(len(lengths), dtype=np.int64)
    of = np.empty(len(lengths), dtype=np.int32)  # the row of each
    row = filled = 0
    for rows, shape in row_shapes(lengths, room):
        for length, each in shape:
            count = rows * each
            piece[filled : filled + count] = by_length[taken[length] : taken[length] + count]
            of[filled : filled + count] = np.repeat(np.arange(row, row + rows, dtype=np.int32), each)
            taken[length] += count
            filled += count
        row += rows
    del by_length  # a corpus of gigabytes has millions of pieces: their arrays are the memory this takes
    first = np.full(row, len(lengths), dtype=np.int64)
    np.minimum.at(first, of, piece)
    sizes = np.bincount(of, minlength=row)[np.argsort(first, kind="stable")]
    order = np.lexsort((piece, first[of]))
    del of
    return piece[order], np.concatenate([[0], np.cumsum(sizes)])
