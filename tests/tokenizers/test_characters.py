"""One token a character."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import DataError, SettingsError
from trivium.tokenizers import STYLES, SpecialTokens
from trivium.tokenizers.characters import train_characters
from trivium.tokenizers.specials import TRIVIUM

CONTROLS = len(TRIVIUM.strings())
LETTERS = "abc é好😀\n\t\u2028e\u0301"
TOKENIZER = train_characters([LETTERS], CONTROLS + len(set(LETTERS)))


@given(st.text(st.sampled_from(LETTERS), max_size=300))
def test_every_character_is_a_token_and_comes_back(text):
    ids = TOKENIZER.encode(text).ids
    assert [TOKENIZER.piece(number) for number in ids] == list(text)
    assert TOKENIZER.decode(ids) == text
    assert TOKENIZER.encode(text).offsets == [(at, at + 1) for at in range(len(text))]
    assert TOKENIZER.encode_batch([text]) == [ids]


def test_unseen_characters_are_unknown_one_by_one():
    ids = TOKENIZER.encode("xay zз").ids
    assert [TOKENIZER.piece(number) for number in ids] == ["<unk>", "a", "<unk>", " ", "<unk>", "<unk>"]


def test_the_most_frequent_first_ties_by_code_point():
    tokenizer = train_characters(["baab cc", "ddd e"], CONTROLS + 4)
    assert [tokenizer.piece(number) for number in range(CONTROLS, CONTROLS + 4)] == ["d", " ", "a", "b"]
    assert tokenizer.piece(tokenizer.encode("c").ids[0]) == "<unk>"


def test_sizes_that_cannot_be():
    with pytest.raises(SettingsError, match=r"size 37 is too small: 37 special tokens and a character need 38"):
        train_characters(["abc"], CONTROLS)
    with pytest.raises(DataError, match=r"41 was asked for, but 3 characters and 37 special tokens support only 40 "):
        train_characters(["abc"], 41)
    assert train_characters(["abc"], 40).vocab_size == 40
    for empty in ([], [""]):
        with pytest.raises(DataError, match="no text to learn"):
            train_characters(empty, 40)


def test_controls_that_cannot_be():
    with pytest.raises(SettingsError, match="'_' is a character of the text"):
        train_characters(["abc"], 40, SpecialTokens(pad="_"))
    with pytest.raises(SettingsError, match="needs an unknown token"):
        train_characters(["abc"], 40, STYLES["gpt2"])
    with pytest.raises(DataError, match=r"U\+DFFF, half a surrogate pair"):
        train_characters(["abc\udfff"], 40)
