"""Leaks and contradictions against a brute-force comparison of every pair, and against files that are made for it."""

from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivium.errors import DataError
from trivium.text.examples import Answer, Labelled, Located, Pair, Question, Tagged
from trivium.verbs.data_checks import DataChecks, checked, parted


def located(examples, name):
    return [Located(each, f"{name}:{number}") for number, each in enumerate(examples, 1)]


def alike(text):
    return " ".join(text.lower().split())


@dataclass(frozen=True)
class Between:
    words: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    relations: tuple[str, ...]


TEXTS = st.sampled_from(["a film", "A  film", "a Film ", "the plot", "The plot", "no"])
EXAMPLES = st.lists(st.builds(Labelled, TEXTS, st.sampled_from("xy")), max_size=9)


@settings(max_examples=200)
@given(EXAMPLES, EXAMPLES)
def test_as_every_pair_compared(train, dev):
    kept, found = checked(located(train, "train"), located(dev, "dev"))
    same = [[one for one in train if alike(one.text) == alike(each.text)] for each in dev]
    assert [each.example for each in kept] == train and found.dropped == 0
    assert found.leaked == sum(bool(ones) for ones in same)
    assert found.leaked_exactly == sum(each.text in {one.text for one in train} for each in dev)
    assert found.leaked_apart == sum(
        bool(ones) and each.label not in {one.label for one in ones} for each, ones in zip(dev, same, strict=True)
    )
    texts = {alike(each.text) for each in train}
    assert found.contradicted == sum(len({e.label for e in train if alike(e.text) == text}) > 1 for text in texts)
    pairs = {(alike(each.text), each.label) for each in train}
    assert found.repeated == len(train) - len(pairs)
    assert bool(found.notes) == bool(found.leaked or found.contradicted or found.repeated)


def test_places_are_named():
    train = located([Labelled("a film", "x"), Labelled("A film", "y"), Labelled("one", "x")], "train.csv")
    found = checked(train, located([Labelled("two", "x"), Labelled("a  FILM", "z")], "dev.csv"))[1]
    assert found == DataChecks(1, 0, 1, (("dev.csv:2", "train.csv:1"),), 1, (("train.csv:1", "train.csv:2"),), 0)
    assert found.notes == (
        "examples of dev that are in train, too: 1 (0 letter by letter, 1 of them with another truth there), such as "
        "dev.csv:2 and train.csv:1",
        "inputs in train with more than one truth: 1, such as train.csv:1 and train.csv:2",
    )


def test_what_is_done_about_leaks():
    train = located([Labelled("a film", "x"), Labelled("one", "y"), Labelled("A FILM", "y")], "train")
    dev = located([Labelled("a film", "x"), Labelled("else", "y")], "dev")
    with pytest.raises(DataError, match=r"are in train, too: 1 .* such as dev:1 and train:1: remove"):
        checked(train, dev, "error")
    kept, found = checked(train, dev, "drop")
    assert [each.place for each in kept] == ["train:2"] and found.dropped == 2
    assert len(kept) + found.dropped == len(train)
    with pytest.raises(DataError, match="every example of train is in dev, too"):
        checked(train[:1], dev, "drop")
    assert checked(train, dev[1:], "error")[1].leaked == 0


def test_what_is_given_and_what_is_true():
    for one, other in product([Pair("a", "b", "x"), Pair("a", "b", "y")], repeat=2):
        assert parted(one)[0] == parted(other)[0]
        assert (parted(one)[1] == parted(other)[1]) == (one == other)
    assert parted(Pair("a", "b", "x"))[0] != parted(Pair("b", "a", "x"))[0]
    assert parted(Tagged(("a", "b"), ("X", "Y")))[0] == parted(Tagged(("a", "b"), ("X", "Z")))[0]
    one = Question("who", "she did", (Answer("she", 0),), "q1")
    assert parted(one)[0] == parted(Question("who", "she did", (), "q2"))[0] == ("who", "she did")
    assert parted(one)[1] != parted(Question("who", "she did", (Answer("did", 4),), "q1"))[1]
    spans = [Between(("a", "b"), ((first, 1),), ()) for first in (0, 1)]  # which are given where relations are not
    assert parted(spans[0])[0] != parted(spans[1])[0] and parted(spans[0])[1] == parted(spans[1])[1]
    assert parted("a text")[0] == "a text"
    assert hash(parted(Tagged(("a",), ("X",), "a", ((0, 1),)))) is not None
