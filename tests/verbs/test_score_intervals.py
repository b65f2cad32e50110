"""Intervals of scores: against Wilson by scipy, and against a bootstrap written out."""

import numpy as np
import pytest
from scipy import stats

from trivium.metrics.intervals import mean_t
from trivium.tasks import Classified, SequenceClassification, Tagging, WordTags
from trivium.text.examples import Labelled, Tagged
from trivium.verbs.finetuning_result import Spread
from trivium.verbs.score_intervals import score_intervals

TASK = SequenceClassification(("bad", "good"))


def answers(count, seed=0):
    generator = np.random.default_rng(seed)
    examples = [Labelled("a", ("bad", "good")[int(generator.integers(2))]) for _ in range(count)]
    chances = [generator.uniform(0.3, 0.99) if each.label == "good" else generator.uniform(0.01, 0.7)
               for each in examples]  # fmt: skip
    said = [Classified("good" if p > 0.5 else "bad", {"bad": 1 - p, "good": p}) for p in chances]
    return said, examples


def test_each_score_has_the_interval_of_its_kind():
    said, examples = answers(240)
    found = score_intervals(TASK, said, examples)
    scores = TASK.score(said, examples)
    assert list(found) == list(scores)
    right = sum(one.label == other.label for one, other in zip(said, examples, strict=True))
    low, high = stats.binomtest(right, 240).proportion_ci(method="wilson")
    assert (found["accuracy"].low, found["accuracy"].high) == pytest.approx((low, high), abs=1e-9)
    losses = [-np.log(each.probabilities[other.label]) for each, other in zip(said, examples, strict=True)]
    generator = np.random.default_rng(3)
    means = [np.mean(generator.choice(losses, 240)) for _ in range(5000)]
    assert (found["loss"].low, found["loss"].high) == pytest.approx(np.quantile(means, [0.025, 0.975]), rel=0.02)
    again = []
    for _ in range(800):
        picked = generator.integers(240, size=240)
        again.append(TASK.score([said[n] for n in picked], [examples[n] for n in picked])["matthews"])
    bounds = np.quantile(again, [0.025, 0.975])
    assert (found["matthews"].low, found["matthews"].high) == pytest.approx(bounds, abs=0.03)
    for name, interval in found.items():
        assert interval.low <= interval.value == pytest.approx(scores[name]) and interval.value <= interval.high


def test_many_examples_are_drawn_in_parts():
    """F1 of 4,000 examples: the width of a bootstrap of all of them."""
    said, examples = answers(4000)
    found = score_intervals(TASK, said, examples)["macro_f1"]
    generator = np.random.default_rng(1)
    again = []
    for _ in range(150):
        picked = generator.integers(4000, size=4000)
        again.append(TASK.score([said[n] for n in picked], [examples[n] for n in picked])["macro_f1"])
    low, high = np.quantile(again, [0.025, 0.975])
    assert found.high - found.low == pytest.approx(high - low, rel=0.3)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.007)  # of a width of 0.028


def test_all_right_is_not_certain():
    examples = [Labelled("a", "good"), Labelled("b", "bad")] * 10
    said = [Classified(each.label, {"bad": float(each.label == "bad"), "good": float(each.label == "good")})
            for each in examples]  # fmt: skip
    accuracy = score_intervals(TASK, said, examples)["accuracy"]
    assert accuracy.high == 1 and 0.8 < accuracy.low < 0.9  # Wilson of 20 of 20: 0.839


def test_words_of_a_sentence_are_drawn_together():
    """A tagger's accuracy is a share of words, but sentences are drawn: as wide as their differences make it."""
    task = Tagging(("A", "B"))
    examples = [Tagged(("a",) * 20, ("A",) * 20)] * 30
    said = [WordTags(each, ("AB"[n % 2],) * 20, np.full(20, n % 2), np.full((20, 2), 0.5), False)
            for n, each in enumerate(examples)]  # fmt: skip
    found = score_intervals(task, said, examples)["accuracy"]
    assert found.value == 0.5 and found.high - found.low > 0.25  # of 600 independent words: 0.08


class Rare:
    """A score that only some examples have, as that of questions without an answer."""

    def score(self, predicted, examples):
        rare = [each for each in examples if each >= 0]
        return {"all": float(np.mean(examples)), **({"rare": max(rare) - min(rare)} if rare else {})}


def test_a_score_that_some_draws_have_not():
    often = score_intervals(Rare(), [0] * 40, [-1] * 20 + list(range(20)))
    assert often["rare"].value == 19 and 10 < often["rare"].low < often["rare"].high == 19
    seldom = score_intervals(Rare(), [0] * 400, [-1] * 399 + [3])
    assert "rare" not in seldom and "all" in seldom


def test_one_example_says_nothing():
    said, examples = answers(1)
    assert score_intervals(TASK, said, examples) == {}


def test_the_mean_over_seeds_agrees_with_scipy():
    values = [0.91, 0.93, 0.88, 0.92, 0.9]
    low, high = stats.t.interval(0.95, 4, np.mean(values), stats.sem(values))
    spread = Spread.of(values)
    assert (spread.mean, spread.deviation) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert (spread.low, spread.high) == pytest.approx((low, high))
    assert mean_t(values).low == spread.low
    assert Spread.of([0.5]) == Spread(0.5, None, None, None)
