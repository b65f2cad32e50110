"""Puzzles of words: every kind can be undone, and the paper's kinds keep what they keep."""

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import DataError
from trivium.text.word_puzzles import WORD_PUZZLES, frequent_words, puzzles

WORD = st.text("abcdefghij", min_size=4, max_size=15).filter(lambda word: len(set(word)) > 2)


@pytest.mark.parametrize(
    "kind",
    ["cycle-letters", "anagrams-1", "anagrams-2", "random-insertion", "reversed-words", "symbol-removal"],
)
@given(word=WORD, seed=st.integers(0, 9))
def test_letters_are_kept(kind: str, word: str, seed: int) -> None:
    found = puzzles(kind, [word], seed)
    assert kind in WORD_PUZZLES and found == puzzles(kind, [word], seed)
    if not found:  # a palindrome, or one whose middle is of one letter
        assert kind not in ("random-insertion", "symbol-removal")
        return
    source = found[0].example.source
    assert found[0].example.target == word and source != word
    letters = re.sub(r"[^a-z]", "", source)
    assert Counter(letters) == Counter(word)
    if kind == "cycle-letters":
        assert source in word + word and len(source) == len(word)
    if kind == "reversed-words":
        assert source[::-1] == word
    if kind in ("anagrams-1", "anagrams-2"):
        kept = int(kind[-1])
        assert source[:kept] == word[:kept] and source[-kept:] == word[-kept:]
    if kind in ("random-insertion", "symbol-removal"):
        assert letters == word
    if kind == "random-insertion":
        assert len(source) == 2 * len(word) - 1 and source[::2] == word


def test_words_are_the_frequent_ones() -> None:
    text = "the number of numbers, number and Number and letter letters letter 1234 aaaa"
    assert frequent_words([text], 2) == ["number", "letter"]
    with pytest.raises(DataError, match="there are 0 words of 4 to 15 letters"):
        frequent_words(["a b c"])
