import math

import numpy as np
import pytest
from scipy import stats

from trivium.metrics import paired_bootstrap, paired_t, student_t, wilson


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (1, 3), (7, 10), (10, 10), (512, 1000)])
def test_wilson_agrees_with_scipy(successes, trials):
    expected = stats.binomtest(successes, trials).proportion_ci(0.95, "wilson")
    interval = wilson(successes, trials)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert interval.value == successes / trials


@pytest.mark.parametrize("freedom", [1, 2, 3, 9, 40, 1000])
@pytest.mark.parametrize("probability", [0.01, 0.3, 0.5, 0.9, 0.975, 0.9995])
def test_student_t_agrees_with_scipy(probability, freedom):
    assert student_t(probability, freedom) == pytest.approx(stats.t.ppf(probability, freedom), rel=1e-8, abs=1e-6)


def test_the_paired_t_interval_agrees_with_scipy():
    first, second = [0.34, 0.31, 0.36], [0.25, 0.27, 0.24]
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    interval = paired_t(first, second)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert interval.excludes_zero() == (expected.low > 0)
    assert paired_t([0.5], [0.4]).low == -math.inf


def test_the_paired_bootstrap_agrees_with_scipy():
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 2, 300), generator.integers(0, 2, 300)
    interval = paired_bootstrap(first, second)
    expected = stats.bootstrap(
        (first, second),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        paired=True,
        vectorized=True,
        method="percentile",
        n_resamples=10_000,
        rng=generator,
    ).confidence_interval
    assert interval.value == pytest.approx(first.mean() - second.mean())
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=0.006)
    assert paired_bootstrap(first, second) == interval  # keyed, not streamed


def test_pairing_narrows_the_bootstrap():
    hard = np.arange(200) % 2
    better = np.maximum(hard, np.arange(200) % 20 == 0)
    assert paired_bootstrap(better, hard).low > 0
