"""Against seqeval on random tags, and its worked results."""

import random

import pytest
from seqeval import scheme
from seqeval.metrics import sequence_labeling as labeling
from seqeval.metrics import v1

from trivium.metrics import entities, entity_scores, span_scores

GOLD = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-ORG", "I-ORG", "O"]]
PREDICTED = [["B-PER", "I-PER", "O", "O"], ["O", "B-ORG", "O", "I-ORG"]]


def three(scores):
    return [scores["precision"], scores["recall"], scores["f1"]]


def test_the_worked_examples():
    assert three(entity_scores(GOLD, PREDICTED)) == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert three(entity_scores(GOLD, PREDICTED, "iob2")) == pytest.approx([0.5, 1 / 3, 0.4])
    gold, said = [["B-PER", "I-PER"]], [["I-PER", "I-PER"]]
    assert three(entity_scores(gold, said)) == [1, 1, 1]
    assert three(entity_scores(gold, said, "iob2")) == [0, 0, 0]


@pytest.mark.parametrize(("tags", "lenient", "strict"), [
    ("O I-A I-A B-A I-B", [("A", 1, 2), ("A", 3, 3), ("B", 4, 4)], [("A", 3, 3)]),
    ("B-A B-A I-A O", [("A", 0, 0), ("A", 1, 2)], [("A", 0, 0), ("A", 1, 2)]),
    ("B-A I-A E-A S-B O B-B E-A", [("A", 0, 2), ("B", 3, 3), ("B", 5, 5), ("A", 6, 6)], [("A", 0, 2), ("B", 3, 3)]),
    ("S-A S-A E-B", [("A", 0, 0), ("A", 1, 1), ("B", 2, 2)], [("A", 0, 0), ("A", 1, 1)]),
    ("B-x-y I-x-y", [("x-y", 0, 1)], [("x-y", 0, 1)]),
    ("O O", [], []),
    ("", [], []),
])  # fmt: skip
def test_entities_of_a_sequence(tags, lenient, strict):
    assert entities(tags.split()) == lenient
    assert entities(tags.split(), "iobes" if set("ES") & set(tags) else "iob2") == strict


@pytest.mark.parametrize("marks", ["OBI", "OBIES"])
def test_a_thousand_random_sequences_as_seqeval(marks):
    draw = random.Random(0)

    def tags(length):
        return [m if (m := draw.choice(marks)) == "O" else f"{m}-{draw.choice('XYZ')}" for _ in range(length)]

    gold = [tags(draw.randrange(1, 12)) for _ in range(1000)]
    said = [tags(len(each)) for each in gold]
    for each in gold:
        assert entities(each) == labeling.get_entities(each)
    theirs = labeling.precision_recall_fscore_support(gold, said, average="micro")[:3]
    assert three(entity_scores(gold, said)) == pytest.approx(theirs)
    assert entity_scores(gold, said)["macro_f1"] == pytest.approx(labeling.f1_score(gold, said, average="macro"))
    name, kind = ("iob2", scheme.IOB2) if marks == "OBI" else ("iobes", scheme.IOBES)
    theirs = v1.precision_recall_fscore_support(gold, said, average="micro", scheme=kind)[:3]
    assert three(entity_scores(gold, said, name)) == pytest.approx(theirs)
    assert entity_scores(gold, said)["accuracy"] == pytest.approx(labeling.accuracy_score(gold, said))


def test_spans_may_nest_and_are_sets():
    gold = [[("protein", 0, 4), ("dna", 0, 2)], []]
    said = [[("dna", 0, 2), ("dna", 0, 2), ("protein", 0, 3)], [("dna", 1, 1)]]
    scores = span_scores(gold, said)
    assert three(scores) == pytest.approx([1 / 3, 1 / 2, 0.4])
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0) / 2)
    assert span_scores([[]], [[]])["f1"] == 0


def test_what_cannot_be_scored():
    with pytest.raises(ValueError, match="'X-PER' is no tag"):
        entities(["X-PER"])
    with pytest.raises(ValueError, match="sequence 1 has 4 gold tags but 3"):
        entity_scores(GOLD, [PREDICTED[0], PREDICTED[1][:3]])
    with pytest.raises(ValueError, match="no sequences"):
        entity_scores([], [])
    with pytest.raises(ValueError, match="1 gold sequences but 2"):
        span_scores([[]], [[], []])
