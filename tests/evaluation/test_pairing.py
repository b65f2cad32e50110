"""Paired comparisons against loops by hand: means, ratios and scores that are computed again."""

import numpy as np
import pytest
from scipy import stats

from trivium.evaluation.pairing import paired_means, paired_ratio, paired_rescored
from trivium.metrics import minimal_detectable


def test_right_and_wrong_answers_are_tested_by_mcnemar():
    first = np.array([1.0] * 90 + [0.0] * 10)
    second = np.array([1.0] * 70 + [0.0] * 20 + [1.0] * 4 + [0.0] * 6)
    made = paired_means("accuracy", first, second, "example")
    assert made.values == (0.9, 0.74) and made.difference.value == pytest.approx(0.16)
    assert made.counts is not None and (made.counts.only_first, made.counts.only_second) == (20, 4)
    assert made.p == pytest.approx(stats.binomtest(4, 24).pvalue) and made.test == "McNemar, exact"
    assert made.better == "the first" and made.verdict.startswith("the first is better than the second: accuracy 0.9")


def test_no_difference_says_what_would_have_been_missed():
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=40), draw.normal(size=40)
    made = paired_means("rouge1", first, second, "example")
    assert made.test == "sign flips" and made.counts is None and made.better == ""
    assert made.p == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.05)
    assert made.detectable == pytest.approx(minimal_detectable(float(np.std(first - second, ddof=1)), 40))
    assert f"less than about {made.detectable:.2g} would be missed" in made.verdict


def test_bits_per_byte_is_a_ratio_of_sums_and_lower_is_better():
    draw = np.random.default_rng(1)
    sizes = draw.integers(5, 200, 60).astype(float)
    first = sizes * draw.normal(2.0, 0.1, 60)
    second = first + sizes * draw.normal(0.1, 0.1, 60)
    made = paired_ratio("bits_per_byte", first, second, sizes, "document")
    assert made.values == pytest.approx((first.sum() / sizes.sum(), second.sum() / sizes.sum()))
    drawn = []
    for _ in range(3000):
        some = draw.integers(0, 60, 60)
        drawn.append((first[some].sum() - second[some].sum()) / sizes[some].sum())
    low, high = np.quantile(drawn, [0.025, 0.975])
    assert (made.difference.low, made.difference.high) == pytest.approx((low, high), abs=0.006)
    assert made.better == "the first" and made.p < 0.01
    assert paired_ratio("bits_per_byte", first[:1], second[:1], sizes[:1], "document").better == ""


def test_a_score_of_all_items_together_is_computed_again():
    """The rescored mean has the interval and the p value of the mean itself."""
    draw = np.random.default_rng(2)
    answers = [draw.random(200) < 0.8, draw.random(200) < 0.6]
    both = np.array(answers, float)

    def rescore(numbers, swapped):
        swap = np.array(swapped)
        ours, theirs = np.where(swap, both[1], both[0]), np.where(swap, both[0], both[1])
        return ours[list(numbers)].mean(), theirs[list(numbers)].mean()

    made, plain = paired_rescored("f1", 200, rescore, "example"), paired_means("accuracy", *both, "example")
    assert made.difference.value == pytest.approx(plain.difference.value)
    assert (made.difference.low, made.difference.high) == pytest.approx(
        (plain.difference.low, plain.difference.high), abs=0.03
    )
    assert made.p == 1 / 301  # 300 draws, none as far apart as what was seen
    same = paired_rescored("f1", 200, lambda numbers, swapped: (0.5, 0.5), "example")
    assert same.p == 1.0 and same.better == ""
