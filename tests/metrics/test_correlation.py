"""Spearman's correlation against scipy, and at its edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.metrics.correlation import spearman

values = st.lists(st.sampled_from([-1.5, 0.0, 0.25, 3.0, 7.0, 1e6]), min_size=3, max_size=30)


@given(values, st.randoms(use_true_random=False))
def test_ranks_with_ties_agree_with_scipy(first: list[float], random: object) -> None:
    stats = pytest.importorskip("scipy.stats")
    second = list(first)
    random.shuffle(second)  # type: ignore[attr-defined]
    wanted = stats.spearmanr(first, second).statistic if len(set(first)) > 1 else None
    found = spearman(first, second)
    assert found is None if wanted is None else found == pytest.approx(wanted, abs=1e-12)


def test_order_alone_counts() -> None:
    assert spearman([1, 2, 3], [10, 100, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 2, 3], np.array([1, 2, 3, 4])) == pytest.approx(0.9486832980505138)  # ranks 1 2.5 2.5 4


def test_a_constant_side_has_no_ranking() -> None:
    assert spearman([1, 1, 1], [1, 2, 3]) is None
