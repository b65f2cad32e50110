"""Figures and verdicts of a comparison against scipy and a brute-force count; what is planted is told, noise is not."""

import numpy as np
import pytest
from scipy import stats

from trivium.metrics.intervals import mean_t
from trivium.verbs.compare_table import Column, Standing, differences_of

COLUMNS = [Column("transfer t", "t, accuracy", "higher", 100), Column("bits per byte", "bits per byte", "lower")]


def standing(name, accuracy, bits=(), items=(), objective="one"):
    scores = {"transfer t": dict(enumerate(accuracy)), "bits per byte": dict(enumerate(bits))}
    return Standing(
        name, {}, "encoder", list(range(len(accuracy))), 1, 1, 1.0, None, None, scores,
        {"transfer t": list(items)} if items else {},
        {key: mean_t(list(each.values())) for key, each in scores.items() if each}, [], [], [], [], objective,
    )  # fmt: skip


def test_p_values_are_those_of_scipy_corrected_for_all_comparisons():
    draw = np.random.default_rng(0)
    names = "abcd"
    made = [standing(n, draw.normal(0.5 + 0.02 * i, 0.02, 5), draw.normal(2, 0.1, 5)) for i, n in enumerate(names)]
    found = differences_of(made, COLUMNS, "all")
    assert len(found) == 12
    by_name = {s.name: s for s in made}
    raw = []
    for each in found:
        one, two = (list(by_name[n].scores[each.column].values()) for n in (each.first, each.second))
        assert each.value.value == pytest.approx(np.mean(one) - np.mean(two))
        assert each.p == pytest.approx(stats.ttest_rel(one, two).pvalue)
        raw.append(each.p)
    expected, highest = {}, 0.0
    for rank, p in enumerate(sorted(raw)):
        highest = max(highest, min(1.0, (len(raw) - rank) * p))
        expected[p] = highest
    assert [d.adjusted for d in found] == pytest.approx([expected[p] for p in raw])


def test_a_planted_difference_is_told_with_its_winner_and_noise_is_not():
    base = standing("base", [0.50, 0.52, 0.51, 0.49], [2.0, 2.1, 2.0, 2.1])
    better = standing("better", [0.60, 0.62, 0.612, 0.59], [2.0, 2.09, 2.01, 2.1])
    worse = standing("worse", [0.40, 0.42, 0.412, 0.39], [2.5, 2.6, 2.51, 2.6])
    said = {(d.first, d.column): d.verdict for d in differences_of([base, better, worse], COLUMNS, None)}
    assert said["better", "transfer t"] == "better beats base on t, accuracy by 10.0 points [9.9, 10.2]"
    assert said["worse", "transfer t"].startswith("base beats worse on t, accuracy by 10.0 points [9.8, 10.1]")
    assert said["worse", "bits per byte"].startswith("base beats worse on bits per byte by 0.502 [0.")
    assert said["better", "bits per byte"].startswith("no difference seen on bits per byte between better and base: ")
    assert "this design sees differences from 0.0" in said["better", "bits per byte"]


def test_what_only_the_correction_hides_is_not_called_nothing():
    base = standing("base", [0.5, 0.5, 0.5])
    others = [standing(f"x{i}", [0.56, 0.52, 0.54]) for i in range(9)]
    found = differences_of([base, *others], COLUMNS, "base")
    assert all(d.p < 0.08 < d.adjusted and not d.seen for d in found)
    near = [standing(f"y{i}", [0.55, 0.53, 0.54]) for i in range(9)]
    (said, *_) = [d.verdict for d in differences_of([base, *near], COLUMNS, "base")]
    assert said.startswith("y0 may beat base on t, accuracy by 4.0 points [1.5, 6.5]: among so many comparisons")
    assert "corrected p = 0.18" in said  # 9 x 0.0202


def test_the_interval_over_examples_has_the_sign_of_the_lead():
    right = [1.0] * 60 + [0.0] * 40
    wrong = [1.0] * 30 + [0.0] * 70
    base = standing("base", [0.6, 0.61, 0.59], items=right)
    worse = standing("worse", [0.3, 0.31, 0.292], items=wrong)
    (only,) = differences_of([base, worse], COLUMNS, None)
    assert only.items.high < 0
    low, high = only.verdict.partition("over the scored examples [")[2].rstrip("]").split(", ")
    assert 15 < float(low) < 30 < float(high) < 45


def test_one_seed_and_no_difference_at_all():
    (only,) = differences_of([standing("a", [0.5]), standing("b", [0.6])], COLUMNS, None)
    assert only.verdict.startswith("b is 10.0 points above a on t, accuracy: one seed says nothing")
    assert (only.p, only.adjusted, only.detectable) == (None, None, None)
    (only,) = differences_of([standing("a", [0.5, 0.6]), standing("b", [0.5, 0.6])], COLUMNS, None)
    assert only.verdict == "b and a have the same t, accuracy with every seed"


def test_only_seeds_that_both_have_are_paired_and_only_like_objectives():
    one, two = standing("a", [0.5, 0.6, 0.7]), standing("b", [0.6, 0.7], objective="two")
    (only,) = differences_of([one, two], COLUMNS, None)
    assert only.seeds == 2
    own = [Column("transfer t", "t", "higher", mark="of its own objective")]
    assert differences_of([one, two], own, None) == []
