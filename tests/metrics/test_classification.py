import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from trivium.metrics import binary_f1, classification, confusion, multi_label


def test_the_worked_example_of_glue():
    gold, predicted = [1, 1, 1, 0, 0, 0, 1, 0], [1, 0, 1, 0, 1, 0, 1, 0]
    scores = classification(gold, predicted)
    assert scores["matthews"] == pytest.approx(0.5)
    assert scores["accuracy"] == pytest.approx(0.75)
    assert binary_f1(gold, predicted)["f1"] == pytest.approx(0.75)


def test_the_macro_f1_of_three_classes():
    assert classification([0, 0, 1, 2, 1], [0, 1, 1, 2, 1])["macro_f1"] == pytest.approx(0.822222, abs=1e-6)


def test_a_constant_prediction_has_no_correlation():
    assert classification([0, 1, 1], [1, 1, 1])["matthews"] == 0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_agrees_with_scikit_learn(pairs):
    gold, predicted = [g for g, _ in pairs], [p for _, p in pairs]
    scores = classification(gold, predicted)
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(gold, predicted))
    assert scores["macro_f1"] == pytest.approx(sk.f1_score(gold, predicted, average="macro", zero_division=0))
    assert scores["micro_f1"] == pytest.approx(sk.f1_score(gold, predicted, average="micro", zero_division=0))
    assert scores["matthews"] == pytest.approx(sk.matthews_corrcoef(gold, predicted), abs=1e-12)
    labels, counts = confusion(gold, predicted)
    assert (counts == sk.confusion_matrix(gold, predicted, labels=labels)).all()
    two = binary_f1([g > 1 for g in gold], [p > 1 for p in predicted], positive=True)
    expected = sk.precision_recall_fscore_support(
        [g > 1 for g in gold], [p > 1 for p in predicted], average="binary", pos_label=True, zero_division=0
    )
    assert [two["precision"], two["recall"], two["f1"]] == pytest.approx(expected[:3])


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="2 gold labels but 1"):
        classification(["a", "b"], ["a"])


def test_sets_of_labels_as_scikit_learn():
    draw = np.random.default_rng(0)
    gold, predicted = draw.integers(0, 2, (1000, 5)), draw.integers(0, 2, (1000, 5))
    sets = [[{label for label in range(5) if row[label]} for row in rows] for rows in (gold, predicted)]
    scores = multi_label(*sets)
    assert scores["accuracy"] == pytest.approx(sk.accuracy_score(gold, predicted))
    assert scores["micro_f1"] == pytest.approx(sk.f1_score(gold, predicted, average="micro"))
    assert scores["macro_f1"] == pytest.approx(sk.f1_score(gold, predicted, average="macro"))
    assert multi_label([set()], [set()]) == {"accuracy": 1.0, "micro_f1": 0.0, "macro_f1": 0.0}
    for call in (lambda: multi_label([], []), lambda: multi_label([{1}], [])):
        with pytest.raises(ValueError):
            call()
