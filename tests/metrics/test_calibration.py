import numpy as np
import pytest

from trivium.metrics import calibration


def by_the_definition(chances, right, bins):
    gaps, weights = [], []
    for low in range(bins):
        inside = [i for i, c in enumerate(chances) if low / bins < c <= (low + 1) / bins or (low == 0 and c == 0)]
        weights.append(len(inside) / len(chances))
        accuracy = np.mean([right[i] for i in inside]) if inside else 0.0
        gaps.append(abs(accuracy - np.mean([chances[i] for i in inside])) if inside else 0.0)
    return float(np.dot(gaps, weights)), max(gaps)


@pytest.mark.parametrize("bins", [1, 7, 15])
def test_a_thousand_random_predictions_by_the_definition(bins):
    draw = np.random.default_rng(bins)
    chances = [0.0, 1.0, *draw.random(998)]
    right = [bool(each) for each in draw.random(1000) < 0.6]
    scores = calibration(chances, right, bins)
    assert [scores["ece"], scores["mce"]] == pytest.approx(by_the_definition(chances, right, bins))
    assert scores["brier"] == pytest.approx(np.mean([(c - r) ** 2 for c, r in zip(chances, right, strict=True)]))


def test_perfect_and_hopeless():
    assert calibration([1.0, 0.0], [True, False]) == {"ece": 0.0, "mce": 0.0, "brier": 0.0}
    assert calibration([1.0], [False]) == {"ece": 1.0, "mce": 1.0, "brier": 1.0}
    for chances, right in (([], []), ([0.5], []), ([1.5], [True])):
        with pytest.raises(ValueError):
            calibration(chances, right)
