import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivium.objectives import selection
from trivium.randomness import Draws


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.15, [2, 3, 19, 77]), (0.4, [4, 8, 51, 205]), (0.8, [8, 16, 102, 410])]
)
def test_the_counts_of_bert(rate, expected):
    assert selection.budgets(np.array([10, 20, 128, 512]), rate).tolist() == expected


def test_at_least_one():
    assert selection.budgets(np.array([1, 3]), 0.15).tolist() == [1, 1]


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 40))
@settings(max_examples=60)
def test_exact_takes_the_smallest_keys_of_the_candidates(seed, batch, width):
    draws = Draws(seed, np.arange(batch))
    keys, candidates = draws.uniform("k", width), draws.uniform("c", width) < 0.7
    budget = draws.integers("b", 1, width + 1)[:, 0]
    chosen = selection.exact(keys, candidates, budget)
    for row in range(batch):
        allowed = np.flatnonzero(candidates[row])
        best = sorted(allowed, key=lambda j: keys[row, j])[: budget[row]]
        assert np.flatnonzero(chosen[row]).tolist() == sorted(best)


@given(st.integers(0, 2**32), st.integers(1, 5), st.integers(2, 40), st.integers(1, 12))
@settings(max_examples=100)
def test_whole_words_equal_the_sequential_rule(seed, batch, width, budget):
    draws = Draws(seed, np.arange(batch))
    starts = draws.uniform("s", width) < 0.5
    starts[:, 0] = True
    words = np.cumsum(starts, axis=1) - 1
    special = (draws.uniform("c", width) < 0.2) & starts & np.pad(starts[:, 1:], ((0, 0), (0, 1)), constant_values=True)
    keys = draws.uniform("k", width)
    budgets = np.full(batch, budget)
    chosen = selection.whole_words(keys, ~special, words, budgets)
    for row in range(batch):  # google-research/bert: shuffle the words, skip any that would pass the budget
        taken: list[int] = []
        for word in sorted(set(words[row].tolist()), key=lambda w: keys[row, w]):
            places = [j for j in range(width) if words[row, j] == word and not special[row, j]]
            if len(taken) + len(places) <= budget:
                taken += places
        assert np.flatnonzero(chosen[row]).tolist() == sorted(taken)
