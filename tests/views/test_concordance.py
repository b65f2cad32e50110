"""Finding a word in a text: every occurrence as a word of its own, and nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import DataError, SettingsError
from trivium.views.concordance import Hit, concordance

TEXT = ["The bank of the river.\nA bankrupt bank, Bank!\n\n", "She banks at the bank-holiday bank."]


def test_whole_words_in_the_order_of_the_text() -> None:
    found = concordance(TEXT, "bank", 10)
    assert [(hit.text, hit.text[slice(*hit.span)]) for hit in found.hits] == [
        ("The bank of the river.", "bank"),
        ("A bankrupt bank, Bank!", "bank"),
        ("She banks at the bank-holiday bank.", "bank"),
        ("She banks at the bank-holiday bank.", "bank"),
    ]
    assert found.lines == 3 and not found.more
    assert len(concordance(TEXT, "bank", 10, ignore_case=True).hits) == 5


def test_only_the_first_are_taken_and_it_is_said() -> None:
    found = concordance(TEXT, "bank", 2)
    assert len(found.hits) == 2 and found.more and found.lines == 2
    assert concordance(TEXT, "bank", 3).more and not concordance(TEXT, "bank", 4).more


def test_a_long_text_is_read_no_further_than_needed() -> None:
    def endless():
        while True:
            yield "a bank\n"

    assert len(concordance(endless(), "bank", 7).hits) == 7


def test_words_of_several_parts_and_other_scripts() -> None:
    assert len(concordance(["New York is new. York, New   York"], "New York", 9).hits) == 2
    assert len(concordance(["銀行は銀行です。"], "銀行", 9).hits) == 2
    assert concordance(["can't stop"], "can't", 9).hits[0].span == (0, 5)


@given(st.lists(st.sampled_from(["bank", "banks", "river", "a", ",", "Bank"]), max_size=30))
def test_it_finds_what_a_split_at_spaces_finds(words: list[str]) -> None:
    text = " ".join(["bank", *words])
    found = concordance([text], "bank", 100)
    assert [hit.span[0] for hit in found.hits] == [match.start() for match in re.finditer(r"\bbank\b", text)]


def test_a_word_that_is_not_there_suggests_spellings() -> None:
    with pytest.raises(DataError, match="did you mean bank"):
        concordance(TEXT, "bnak", 9)
    with pytest.raises(DataError, match=r"mean River\? \(--ignore-case"):
        concordance(["The River."], "river", 9)
    with pytest.raises(DataError, match="check its spelling"):
        concordance(TEXT, "xylophone", 9)
    with pytest.raises(SettingsError, match="give one with a letter"):
        concordance(TEXT, "  ", 9)
    with pytest.raises(SettingsError, match="most = 0"):
        concordance(TEXT, "bank", 0)


def test_contexts_are_cut_between_words() -> None:
    hit = Hit("one two three bank four five six", (14, 18))
    assert hit.around(100) == ("one two three ", "bank", " four five six")
    assert hit.around(9) == ("\N{HORIZONTAL ELLIPSIS}three ", "bank", " four\N{HORIZONTAL ELLIPSIS}")
