import itertools
import math

import numpy as np
import pytest
from scipy import stats

from trivium.metrics import benjamini_hochberg, holm, mcnemar, minimal_detectable, paired_permutation, paired_t_p


def holm_by_hand(p_values):
    """Holm (1979), step by step: the smallest times m, the next times m - 1, never less than the one before."""
    found, before = {}, 0.0
    for step, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        before = max(before, min(1.0, (len(p_values) - step) * p_values[place]))
        found[place] = before
    return [found[place] for place in range(len(p_values))]


def test_holm_is_the_step_down_procedure():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    generator = np.random.default_rng(0)
    for count in itertools.chain(range(1, 12), [50] * 50):
        p = np.round(generator.uniform(size=count) ** 3, int(generator.integers(1, 8))).tolist()  # with ties
        assert holm(p) == pytest.approx(holm_by_hand(p))
    assert holm([]) == []


def test_benjamini_hochberg_agrees_with_scipy():
    generator = np.random.default_rng(1)
    for count in itertools.chain(range(1, 12), [50] * 50):
        p = np.round(generator.uniform(size=count) ** 3, int(generator.integers(1, 8))).tolist()
        assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p).tolist())
    assert benjamini_hochberg([]) == []


@pytest.mark.parametrize("wrong", [[0.1, 1.2], [-0.1], [math.nan]])
def test_what_is_no_probability_is_refused(wrong):
    for correct in (holm, benjamini_hochberg):
        with pytest.raises(ValueError, match="from 0 to 1"):
            correct(wrong)


def test_the_paired_t_test_agrees_with_scipy():
    generator = np.random.default_rng(2)
    for _ in range(300):
        n = int(generator.integers(2, 60))
        first = generator.normal(size=n)
        second = first + generator.normal(generator.uniform(-1, 1), 10 ** generator.uniform(-3, 2), size=n)
        assert paired_t_p(first, second) == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-7, abs=1e-300)


def test_the_paired_t_test_at_its_edges():
    assert paired_t_p([1.0], [0.0]) == 1.0
    assert paired_t_p([1.0, 2.0], [1.0, 2.0]) == 1.0
    assert paired_t_p([1.0, 2.0], [0.0, 1.0]) == 0.0
    with pytest.raises(ValueError, match="as many"):
        paired_t_p([1.0, 2.0], [1.0])


def test_mcnemar_agrees_with_scipy_on_both_sides_of_25():
    generator = np.random.default_rng(3)
    methods = set()
    for _ in range(300):
        n = int(generator.integers(1, 200))
        first, second = generator.random(n) < 0.7, generator.random(n) < generator.uniform(0.3, 0.9)
        found = mcnemar(first, second)
        ours, theirs = int((first & ~second).sum()), int((~first & second).sum())
        assert (found.only_first, found.only_second) == (ours, theirs)
        assert found.both + found.neither + ours + theirs == n
        if ours + theirs == 0:
            expected = 1.0
        elif ours + theirs < 25:
            expected = stats.binomtest(ours, ours + theirs).pvalue
        else:
            expected = stats.chi2.sf(max(0, abs(ours - theirs) - 1) ** 2 / (ours + theirs), 1)
        assert found.p == pytest.approx(expected)
        assert found.method == ("exact" if ours + theirs < 25 else "chi-square")
        methods.add(found.method)
    assert methods == {"exact", "chi-square"}
    with pytest.raises(ValueError, match="as many"):
        mcnemar([True], [True, False])


def test_all_sign_flips_of_few_pairs_agree_with_scipy():
    generator = np.random.default_rng(4)
    for _ in range(30):
        n = int(generator.integers(2, 11))
        first, second = generator.integers(0, 4, n).astype(float), generator.integers(0, 4, n).astype(float)
        expected = stats.permutation_test(
            (first, second), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert paired_permutation(first, second) == pytest.approx(min(1.0, expected))


def test_random_sign_flips_are_close_to_all_of_them_and_always_the_same():
    generator = np.random.default_rng(5)
    first = generator.normal(0.3, 1, 14)
    second = np.zeros(14)
    all_of_them = paired_permutation(first, second, samples=2**14)
    some = paired_permutation(first, second, samples=4000)
    assert some == pytest.approx(all_of_them, abs=0.03)
    assert some == paired_permutation(first, second, samples=4000)
    assert paired_permutation(np.ones(100), np.zeros(100), samples=999) == 1 / 1000  # never 0


@pytest.mark.parametrize("n", [2, 3, 5, 10, 100, 5000])
@pytest.mark.parametrize(("level", "power"), [(0.05, 0.8), (0.001, 0.95)])
def test_the_smallest_detectable_difference_has_the_power_asked_for(n, level, power):
    found = minimal_detectable(2.0, n, level, power)
    shift, needed = found * math.sqrt(n) / 2.0, stats.t.ppf(1 - level / 2, n - 1)
    below = np.nan_to_num(stats.nct.cdf(-needed, n - 1, shift))  # scipy has no number where it is next to nothing
    reached = stats.nct.sf(needed, n - 1, shift) + below
    assert reached == pytest.approx(power, abs=1e-6)


def test_a_simulated_design_sees_what_it_is_said_to_see():
    generator = np.random.default_rng(6)
    smallest = minimal_detectable(1.5, 6)
    trials = generator.normal(smallest, 1.5, (4000, 6))
    seen = np.mean([paired_t_p(row, np.zeros(6)) < 0.05 for row in trials])
    assert seen == pytest.approx(0.8, abs=0.025)


def test_the_smallest_detectable_difference_at_its_edges():
    assert minimal_detectable(1.0, 1) == math.inf
    assert minimal_detectable(0.0, 5) == 0.0
    with pytest.raises(ValueError, match="no design"):
        minimal_detectable(-1.0, 5)
    with pytest.raises(ValueError, match="no design"):
        minimal_detectable(1.0, 5, power=0.01)
