import numpy as np
import pytest

from trivium.errors import DataError
from trivium.metrics import entities
from trivium.text.tag_schemes import forbidden, from_iob1, in_order, is_iob1, misplaced, scheme_of, to_bio


def test_schemes_are_told_by_their_tags():
    assert scheme_of(["O", "B-PER", "I-PER"]) == "bio"
    assert scheme_of(["O", "B-PER", "S-PER"]) == scheme_of(["O", "L-PER", "U-PER"]) == "bioes"
    assert scheme_of(["NOUN", "B-PER"]) is scheme_of(["O"]) is scheme_of(["NN", "IN", "."]) is None
    assert in_order(["I-PER", "O", "B-PER", "B-LOC"]) == ("O", "B-LOC", "B-PER", "I-PER")
    assert in_order(["VERB", "ADJ"]) == ("ADJ", "VERB")


@pytest.mark.parametrize(("tags", "scheme", "place"), [
    ("B-A I-A O B-B I-B", "bio", None),
    ("I-A O", "bio", 0),
    ("O I-A", "bio", 1),
    ("B-A I-B", "bio", 1),
    ("B-A I-A E-A S-B O B-B E-B", "bioes", None),
    ("B-A O", "bioes", 1),
    ("B-A I-A", "bioes", 2),
    ("E-A", "bioes", 0),
    ("S-A I-A", "bioes", 1),
    ("B-A S-A", "bioes", 1),
])  # fmt: skip
def test_what_may_stand_where(tags, scheme, place):
    assert misplaced(tags.split(), scheme) == place


def test_forbidden_is_the_same_as_a_table():
    between, first, last = forbidden(("O", "B-A", "I-A", "B-B", "I-B"), "bio")
    assert first.tolist() == [False, False, True, False, True] and not last.any()
    assert np.argwhere(between).tolist() == [[0, 2], [0, 4], [1, 4], [2, 4], [3, 2], [4, 2]]
    between, first, last = forbidden(("O", "B-A", "I-A", "E-A", "S-A"), "bioes")
    assert first.tolist() == [False, False, True, True, False] and last.tolist() == [False, True, True, False, False]
    assert (~between).astype(int).tolist() == [
        [1, 1, 0, 0, 1], [0, 0, 1, 1, 0], [0, 0, 1, 1, 0], [1, 1, 0, 0, 1], [1, 1, 0, 0, 1],
    ]  # fmt: skip
    assert not any(each.any() for each in forbidden(("NOUN", "VERB"), None))


def test_iob1_as_bio():
    assert from_iob1("I-A I-A B-A I-A O I-B I-A".split()) == tuple("B-A I-A B-A I-A O B-B B-A".split())
    assert is_iob1([["I-A", "B-A"], ["O", "I-A"]])
    assert not is_iob1([["B-A", "I-A"]]) and not is_iob1([["O"]]) and not is_iob1([["O", "I-A"], ["O", "B-A"]])


def test_spans_become_tags_unless_they_share_a_word():
    spans = [("PER", 0, 1), ("LOC", 3, 3), ("LOC", 4, 4)]
    assert to_bio(spans, 6) == ("B-PER", "I-PER", "O", "B-LOC", "B-LOC", "O")
    assert entities(to_bio(spans, 6), "iob2") == spans
    assert to_bio([], 2) == ("O", "O")
    with pytest.raises(DataError, match=r"\('PER', 0, 2\) and \('LOC', 1, 1\) share word 1, and BIO has one tag"):
        to_bio([("PER", 0, 2), ("LOC", 1, 1)], 4)
    with pytest.raises(DataError, match="words 1 to 2 does not lie in the 2 words"):
        to_bio([("PER", 1, 2)], 2)
