"""Words as character ids: the worked layout of the reference, every word its own row."""

from collections.abc import Callable

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trivium.recurrent.characters import (
    BEGIN_SENTENCE,
    BEGIN_WORD,
    CHARACTERS,
    END_SENTENCE,
    END_WORD,
    PADDING,
    boundaries,
    spell,
    spell_vocabulary,
)
from trivium.tokenizers import Tokenizer


def test_a_word_is_its_bytes_between_two_bounds() -> None:
    row = spell(["cat"])[0]
    assert row.tolist() == [259, ord("c") + 1, ord("a") + 1, ord("t") + 1, 260] + [261] * 45


def test_characters_beyond_ascii_are_several_bytes() -> None:
    row = spell(["é"], 8)[0]
    assert row.tolist() == [259, 0xC3 + 1, 0xA9 + 1, 260, 261, 261, 261, 261]


def test_a_long_word_is_cut_and_still_ends() -> None:
    row = spell(["a" * 100], 10)[0]
    assert row.tolist() == [259, *[98] * 8, 260]


def test_an_empty_word_and_no_words() -> None:
    assert spell([""], 5).tolist() == [[259, 260, 261, 261, 261]]
    assert spell([], 5).shape == (0, 5)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=8), st.integers(4, 30))
def test_spelling_can_be_read_back_and_knows_no_zero(words: list[str], length: int) -> None:
    table = spell(words, length)
    assert table.shape == (len(words), length) and table.dtype == np.int16
    for word, row in zip(words, table, strict=True):
        assert row.min(initial=1) > 0 and row.max(initial=0) < CHARACTERS
        end = row.tolist().index(END_WORD)
        assert bytes((row[1:end] - 1).tolist()) == word.encode()[: length - 2]
        assert row[0] == BEGIN_WORD and set(row[end + 1 :].tolist()) <= {PADDING}


def test_a_vocabulary_spells_its_words_and_the_bounds_of_texts(
    word_tokenizer: Callable[[list[str]], Tokenizer],
) -> None:
    tokenizer = word_tokenizer(["bank", "river"])
    table = spell_vocabulary(tokenizer, 12)
    assert table.shape == (tokenizer.vocab_size, 12)
    number = tokenizer.encode("river").ids[0]
    assert (table[number] == spell(["river"], 12)[0]).all()
    assert table[tokenizer.begin].tolist()[:3] == [BEGIN_WORD, BEGIN_SENTENCE, END_WORD]
    assert table[tokenizer.end].tolist()[:3] == [BEGIN_WORD, END_SENTENCE, END_WORD]
    assert not table[tokenizer.pad].any()
    assert (table[tokenizer.unknown] == spell(["<unk>"], 12)[0]).all()


def test_texts_have_two_bounds(word_tokenizer: Callable[[list[str]], Tokenizer]) -> None:
    tokenizer = word_tokenizer(["a"])
    assert boundaries(tokenizer) == {tokenizer.begin: BEGIN_SENTENCE, tokenizer.end: END_SENTENCE}
