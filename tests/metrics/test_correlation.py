"""Spearman's and Pearson's correlation against scipy, and at their edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.metrics import pearson, regression, spearman

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


def test_regression_as_scipy_and_by_the_worked_example() -> None:
    stats = pytest.importorskip("scipy.stats")
    scores = regression([1, 2, 3, 4, 5], [2, 1, 4, 3, 6])
    assert [scores["pearson"], scores["spearman"], scores["correlation"]] == pytest.approx(
        [0.821995, 0.8, 0.810997], abs=1e-6
    )
    assert scores["mse"] == pytest.approx(1)
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=1000), draw.normal(size=1000)
    assert pearson(first, second) == pytest.approx(stats.pearsonr(first, second).statistic)
    assert pearson([1, 1], [1, 2]) is None and regression([1, 1], [1, 2])["pearson"] == 0
    with pytest.raises(ValueError, match="1 gold values but 2"):
        regression([1], [1, 2])
    with pytest.raises(ValueError, match="no values"):
        regression([], [])
