"""The keyed order: a permutation each epoch, the same everywhere, fair."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.text.order import drawn, held_out, permuted


@given(st.integers(1, 5000), st.integers(0, 2**32), st.integers(0, 50))
def test_every_epoch_holds_every_example_once(n, seed, epoch):
    assert sorted(permuted(seed, epoch, n, np.arange(n))) == list(range(n))


@pytest.mark.parametrize("n", [3, 255, 256, 257, 100_003])
def test_any_position_is_found_without_the_others(n):
    whole = permuted(7, 2, n, np.arange(n))
    some = np.array([n - 1, 0, n // 2])
    assert permuted(7, 2, n, some).tolist() == whole[some].tolist()
    assert permuted(7, 2, n, some.reshape(3, 1)).shape == (3, 1)


def test_seek_into_a_trillion_examples_is_immediate():
    n = 10**12
    found = permuted(0, 0, n, np.array([0, n // 2, n - 1]))
    assert len(set(found.tolist())) == 3 and found.min() >= 0 and found.max() < n


def test_seed_and_epoch_each_change_the_order():
    orders = {tuple(permuted(seed, epoch, 1000, np.arange(1000))) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_small_orders_are_equally_likely():
    counts = Counter(tuple(permuted(seed, 0, 3, np.arange(3)).tolist()) for seed in range(6000))
    assert set(counts) == set(permutations(range(3)))
    assert sum((count - 1000) ** 2 / 1000 for count in counts.values()) < 25.7  # chi-square, 5 degrees, p = 1e-4


def test_large_orders_look_random():
    """Positions and neighbours are uncorrelated, and no example keeps its place more often than chance."""
    n = 20_000
    order = permuted(3, 1, n, np.arange(n))
    assert abs(np.corrcoef(order, np.arange(n))[0, 1]) < 4 / n**0.5
    assert abs(np.corrcoef(order[1:], order[:-1])[0, 1]) < 4 / n**0.5
    assert np.sum(order == np.arange(n)) <= 6  # Poisson with mean 1
    assert abs(np.mean(np.diff(order) == 1) * n) <= 6


def test_positions_outside_are_refused():
    with pytest.raises(IndexError):
        permuted(0, 0, 10, np.array([10]))


def test_draws_go_through_epoch_after_epoch():
    numbers = np.arange(30)
    found = drawn(5, 10, numbers)
    for epoch in range(3):
        assert found[epoch * 10 : epoch * 10 + 10].tolist() == permuted(5, epoch, 10, np.arange(10)).tolist()
    assert drawn(5, 10, np.array([25, 3])).tolist() == found[[25, 3]].tolist()


def test_the_share_held_out_is_the_share_asked_for():
    chosen = held_out(100_000, 0.01, 4, seed=1)
    assert abs(chosen.sum() - 1000) < 4 * 1000**0.5
    assert (chosen != held_out(100_000, 0.01, 4, seed=2)).any()


def test_a_growing_text_keeps_its_evaluation_documents():
    assert (held_out(10_000, 0.01, 4, 0) == held_out(20_000, 0.01, 4, 0)[:10_000]).all()


@pytest.mark.parametrize("documents", [2, 3, 5, 50])
def test_few_documents_still_leave_some_on_both_sides(documents):
    chosen = held_out(documents, 0.01, 4, seed=0)
    assert 1 <= chosen.sum() <= 4 and not chosen.all()
