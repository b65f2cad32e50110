"""Paired comparisons against loops by hand: means, ratios and scores that are computed again."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from trivium.evaluation.pairing import Groups, paired_means, paired_ratio, paired_rescored
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


# ---- items that belong together ----


def hanging(draw, groups, each, shared=0.3):
    """Differences of two systems that are equally good: each group has its own mean, so its items tell one thing."""
    numbers = np.repeat(np.arange(groups), each)
    return numbers, draw.normal(0, shared, groups)[numbers] + draw.normal(0, 0.2, groups * each)


@pytest.mark.parametrize("kind", ["right or wrong", "any score", "ratio"])
def test_signs_are_flipped_group_by_group(kind):
    """All 2^7 ways to swap the systems in whole groups of unequal sizes, one by one."""
    draw = np.random.default_rng(3)
    numbers = np.repeat(np.arange(7), [1, 5, 2, 8, 3, 3, 6])
    first, second = draw.random((2, 28))
    if kind == "right or wrong":
        first, second = (first < 0.8).astype(float), (second < 0.5).astype(float)
    groups = Groups.of([f"book {number}" for number in numbers], "book")
    assert groups is not None and groups.count == 7
    if kind == "ratio":
        made = paired_ratio("bits_per_byte", first, second, draw.random(28) + 1, "line", groups)
    else:
        made = paired_means("accuracy", first, second, "line", groups)
    seen, flipped = abs((first - second).sum()), []
    for signs in product((1, -1), repeat=7):
        flipped.append(abs(sum(signs[group] * (a - b) for group, a, b in zip(numbers, first, second, strict=True))))
    assert made.p == pytest.approx(np.mean(np.array(flipped) >= seen - 1e-12))
    assert (made.test, made.clusters, made.cluster, made.items) == ("sign flips by book", 7, "book", 28)
    assert "over 28 lines of 7 books" in made.verdict and "7 books are few" in made.notes[0]
    assert (made.counts is not None) == (kind == "right or wrong")


def test_groups_are_resampled_whole():
    draw = np.random.default_rng(4)
    numbers = np.repeat(np.arange(25), draw.integers(1, 12, 25))
    sizes = draw.integers(5, 200, len(numbers)).astype(float)
    first = sizes * draw.normal(2.0, 0.1, len(numbers))
    second = first + sizes * draw.normal(0.05, 0.2, 25)[numbers]
    made = paired_ratio("bits_per_byte", first, second, sizes, "line", Groups(numbers, "file"))
    assert made.values == pytest.approx((first.sum() / sizes.sum(), second.sum() / sizes.sum())) and not made.notes
    drawn = []
    for _ in range(4000):
        some = np.concatenate([np.flatnonzero(numbers == group) for group in draw.integers(0, 25, 25)])
        drawn.append((first[some].sum() - second[some].sum()) / sizes[some].sum())
    assert (made.difference.low, made.difference.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.008)
    plain = paired_ratio("bits_per_byte", first, second, sizes, "line")
    assert plain.difference.value == pytest.approx(made.difference.value)
    assert plain.difference.high - plain.difference.low < made.difference.high - made.difference.low


def test_items_that_hang_together_would_make_an_interval_too_narrow():
    """Between systems that are equally good, 100 times: 95% intervals hold 0 as often as they should, and false alarms
    are as rare, by group alone."""
    draw = np.random.default_rng(5)
    covered, alarms = {"items": 0, "groups": 0}, {"items": 0, "groups": 0}
    for _ in range(100):
        numbers, apart = hanging(draw, 24, 10)
        for name, groups in (("items", None), ("groups", Groups(numbers, "file"))):
            made = paired_ratio("bits_per_byte", apart, 0 * apart, np.ones(len(apart)), "line", groups)
            covered[name] += made.difference.low <= 0 <= made.difference.high
            alarms[name] += made.p < 0.05
    assert covered["items"] < 65 and covered["groups"] >= 88
    assert alarms["items"] > 35 and alarms["groups"] <= 10


def test_groups_are_scored_again_and_swapped_whole():
    numbers = np.repeat(np.arange(6), 4)
    asked = []

    def rescore(picked, swapped):
        asked.append((picked, swapped))
        return float(np.mean(picked)) / 100, 0.0

    made = paired_rescored("f1", 24, rescore, "example", Groups(numbers, "passage"))
    assert made.test == "answers swapped by passage" and made.clusters == 6
    for picked, swapped in asked:
        assert all(np.bincount(numbers[picked], minlength=6) % 4 == 0) and len(picked) == 24
        assert len({(group, swap) for group, swap in zip(numbers, swapped, strict=True)}) == 6
    assert len({tuple(picked) for picked, _ in asked}) > 50 and len({tuple(swapped) for _, swapped in asked}) > 30


def test_where_nothing_is_shared_items_are_the_groups():
    assert Groups.of(["a", "b", "c"], "passage") is None and Groups.of(["a", "a", "a"], "file") is None
    found = Groups.of(["b", "a", "b"], "file")
    assert found is not None and found.numbers.tolist() == [0, 1, 0]
