"""Packing: every piece once, no row over its room, little left empty."""

import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trivium.text.packing import pack, row_shapes


def best_fit_decreasing(lengths, room):
    """The textbook algorithm, one piece at a time: how many rows it needs."""
    spaces = []
    for length in sorted(lengths, reverse=True):
        fitting = [space for space in spaces if space >= length]
        if fitting:
            best = min(fitting)
            spaces[spaces.index(best)] = best - length
        else:
            spaces.append(room - length)
    return len(spaces)


@given(st.integers(1, 40).flatmap(lambda room: st.tuples(st.just(room), st.lists(st.integers(1, room), max_size=120))))
def test_pieces_are_kept_and_rows_are_as_few_as_the_textbooks(case):
    room, lengths = case
    order, bounds = pack(np.array(lengths, dtype=np.int64), room)
    assert sorted(order.tolist()) == list(range(len(lengths)))
    rows = [[lengths[piece] for piece in order[a:b]] for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
    assert all(row and sum(row) <= room for row in rows)
    assert len(rows) == best_fit_decreasing(lengths, room)


def test_a_worked_example():
    """Room 10: 7 + 3, 6 + 4, 5 + 5 leave nothing empty."""
    assert sorted(row_shapes(np.array([3, 4, 5, 5, 6, 7]), 10)) == [
        (1, ((5, 2),)),
        (1, ((6, 1), (4, 1))),
        (1, ((7, 1), (3, 1))),
    ]


def test_rows_follow_the_order_of_the_text():
    order, bounds = pack(np.array([10, 4, 10, 6, 10]), 10)
    assert order[bounds[:-1]].tolist() == [0, 1, 2, 4]


def test_two_hundred_thousand_pieces_pack_densely_in_a_moment():
    lengths = np.minimum(np.random.default_rng(0).geometric(1 / 150, 200_000), 512)
    start = time.perf_counter()
    _, bounds = pack(lengths, 512)
    assert time.perf_counter() - start < 2
    assert lengths.sum() / ((len(bounds) - 1) * 512) > 0.999
