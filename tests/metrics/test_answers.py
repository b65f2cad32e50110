"""Against the official SQuAD script as torchmetrics carries it, and the worked examples of the metrics' papers."""

import importlib
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from trivium.metrics import best_threshold, exact_match, multirc, record, squad, token_f1
from trivium.metrics.answers import normalised_answer

theirs = importlib.import_module("torchmetrics.functional.text.squad")  # a function of its package has that name too
WORDS = "the a an cat Dog, dog's U.S.A. 1,000 an-other été — café the. ' x".split() + [""]


def sentence(draw):
    return " ".join(draw.choices(WORDS, k=draw.randrange(5)))


def test_normalisation():
    assert normalised_answer("The U.S.A.") == "usa"
    assert normalised_answer("a  Cat, the  dog!") == "cat dog"
    assert normalised_answer("an-other") == "another"  # punctuation goes before articles
    assert token_f1("the Denver Broncos", "Denver Broncos team") == pytest.approx(0.8)
    assert token_f1("Sweden", "in Sweden") == pytest.approx(2 / 3)
    assert token_f1("Stockholm", "Sweden") == 0
    assert token_f1("the", "a") == exact_match("the", "a") == 1


@given(st.text(), st.text())
def test_any_text_as_the_official_script(first, second):
    assert normalised_answer(first) == theirs._normalize_text(first)
    assert exact_match(first, second) == float(theirs._compute_exact_match_score(second, first))
    assert token_f1(first, second) == pytest.approx(float(theirs._compute_f1_score(second, first)))


def test_a_thousand_questions_as_the_official_script():
    draw = random.Random(1)
    golds = [[sentence(draw) for _ in range(draw.randrange(4))] for _ in range(1000)]
    predicted = [draw.choice([sentence(draw), *each]) for each in golds]
    answerable = [bool([gold for gold in each if normalised_answer(gold)]) for each in golds]
    asked = [n for n, known in enumerate(answerable) if known]
    reference = theirs.squad(
        [{"id": str(n), "prediction_text": predicted[n]} for n in asked],
        [{"id": str(n), "answers": {"answer_start": [0], "text": [g for g in golds[n] if normalised_answer(g)]}}
         for n in asked],
    )  # fmt: skip
    ours = squad(predicted, golds)
    right = [100 * ours["answerable_exact"], 100 * ours["answerable_f1"]]
    assert right == pytest.approx([float(reference["exact_match"]), float(reference["f1"])])
    silent = np.mean([not normalised_answer(predicted[n]) for n, known in enumerate(answerable) if not known])
    assert ours["unanswerable_exact"] == ours["unanswerable_f1"] == pytest.approx(silent)
    share = len(asked) / len(golds)
    assert ours["f1"] == pytest.approx(share * ours["answerable_f1"] + (1 - share) * silent)


@pytest.mark.parametrize("seed", range(20))
def test_the_best_threshold_by_trying_all(seed):
    draw = random.Random(seed)
    count = draw.randrange(1, 40)
    answerable = [draw.random() < 0.6 for _ in range(count)]
    no_answer = [round(draw.uniform(-3, 3), 1) for _ in range(count)]
    right = [draw.choice([0.0, 0.5, 1.0]) if known else 0.0 for known in answerable]

    def mean(threshold):
        asked = zip(no_answer, right, answerable, strict=True)
        return np.mean([float(not known) if score > threshold else r for score, r, known in asked])

    score, threshold = best_threshold(no_answer, right, answerable)
    assert mean(threshold) == pytest.approx(score)
    assert score == pytest.approx(max(mean(each) for each in [-9.0, *no_answer]))


def test_equal_scores_stand_on_one_side_of_a_threshold():
    assert best_threshold([1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [True, False, False]) == (pytest.approx(2 / 3), -5e-324)


def test_multirc_by_the_worked_example_and_scikit_learn():
    scores = multirc([1, 1, 1, 2, 2], [1, 0, 1, 0, 1], [1, 0, 0, 0, 1])
    assert scores == {"f1a": pytest.approx(0.8), "exact": 0.5, "f1m": pytest.approx(0.833333, abs=1e-6)}
    draw = np.random.default_rng(0)
    questions, gold, predicted = draw.integers(0, 300, 1000), draw.integers(0, 2, 1000), draw.integers(0, 2, 1000)
    scores = multirc(questions.tolist(), gold.tolist(), predicted.tolist())
    assert scores["f1a"] == pytest.approx(f1_score(gold, predicted))
    each = [(gold[questions == q], predicted[questions == q]) for q in set(questions.tolist())]
    assert scores["exact"] == pytest.approx(np.mean([np.array_equal(g, p) for g, p in each]))
    assert scores["f1m"] == pytest.approx(np.mean([f1_score(g, p, zero_division=0) for g, p in each]))


def test_record_takes_the_best_mention():
    scores = record({1: "Barack Obama", 2: "Paris"}, {1: ["Obama", "Barack Obama"], 2: ["London"], 3: ["Rome"]})
    assert scores["exact"] == scores["f1"] == pytest.approx(1 / 3)


def test_order_does_not_matter_and_nothing_is_an_error():
    golds, predicted = [["a b"], [], ["c"]], ["b", "", "d"]
    turned = squad(predicted[::-1], golds[::-1])
    assert turned == pytest.approx(squad(predicted, golds)) and turned["unanswerable_exact"] == 1
    for call in (lambda: squad([], []), lambda: squad(["a"], []), lambda: multirc([], [], []), lambda: record({}, {})):
        with pytest.raises(ValueError):
            call()
    assert Counter(normalised_answer("a a b").split()) == Counter(["b"])
