"""Words by Unicode's boundaries in every script, and the tokens of each word."""

import unicodedata

import pytest
from algorithms import NAMES, TEXTS, trained
from hypothesis import given
from hypothesis import strategies as st

from trivium.tokenizers.alignment import tokens_of_words, word_spans, words_of_tokens


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I can't, don’t: 3.14!", ["I", "can't", ",", "don’t", ":", "3.14", "!"]),
        ("你好世界", ["你", "好", "世", "界"]),
        ("カタカナ ひら", ["カタカナ", "ひ", "ら"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("e\u0301toile na\u0308ive", ["e\u0301toile", "na\u0308ive"]),
        ("👩\u200d👩\u200d👧 👍🏽🇩🇪", ["👩\u200d👩\u200d👧", "👍🏽", "🇩🇪"]),
        ("한국어 단어", ["한국어", "단어"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("a\ue000 \ue001", ["a", "\ue000", "\ue001"]),
        (" \n\t\u3000", []),
        ("", []),
    ],
)
def test_words_of_unicode(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in word_spans(text)] == words


@given(st.text(max_size=60))
def test_words_cover_all_but_spaces_in_order(text: str) -> None:
    spans = word_spans(text)
    assert spans == sorted(spans) and all(start < end for start, end in spans)
    assert all(one[1] <= other[0] for one, other in zip(spans, spans[1:], strict=False))
    covered = {place for start, end in spans for place in range(start, end)}
    assert all(text[place].isspace() for place in range(len(text)) if place not in covered)


def test_tokens_over_two_words_and_in_none() -> None:
    words = [(0, 3), (4, 8), (8, 9)]
    offsets = [(0, 2), (2, 3), (3, 5), (5, 9), (3, 4), (0, 0), (9, 9), (8, 8), (9, 12)]
    assert words_of_tokens(offsets, words) == [0, 0, 1, 1, -1, 0, -1, 2, -1]
    assert tokens_of_words([0, 0, 1, -1, 1], 3) == [[0, 1], [2, 4], []]
    tagged = [(0, 5), (6, 12)]  # any words will do: those of a tagged corpus, too
    assert words_of_tokens([(0, 5), (5, 6), (6, 9), (9, 12)], tagged) == [0, -1, 1, 1]


def brute_force(offsets, words):
    """The first word that shares a character with the token."""
    return [
        next((n for n, (a, b) in enumerate(words) if max(a, start) < min(b, max(end, start + 1))), -1)
        for start, end in offsets
    ]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 4)), max_size=8), st.sets(st.integers(0, 16), max_size=10))
def test_words_of_tokens_by_brute_force(tokens, bounds) -> None:
    edges = sorted(bounds)
    words = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False)]
    offsets = [(start, start + length) for start, length in tokens]
    assert words_of_tokens(offsets, words) == brute_force(offsets, words)


def without_marks(word: str) -> str:
    """BERT's normaliser takes them off, and no token covers them."""
    return "".join(c for c in word if unicodedata.category(c) != "Mn")


@pytest.mark.parametrize("name", NAMES)
def test_from_words_to_pieces_and_back(name: str) -> None:
    """Row T13: the pieces of a word put together are the word, punctuation and unknown words among them."""
    tokenizer = trained(name)
    for text in [*TEXTS[:3], TEXTS[4], "Unaffable zebras, quantised: “xyzzy”!", "ж\u0301, 好 naïveté"]:
        spans = word_spans(text)
        encoding = tokenizer.encode(text)
        for (start, end), tokens in zip(spans, tokens_of_words(encoding.word_of_token, len(spans)), strict=True):
            word = text[start:end]
            told = "".join(text[p] for p in sorted({p for t in tokens for p in range(*encoding.offsets[t])})).strip()
            assert told == word or without_marks(told) == without_marks(word), (name, word, told)
        pair = tokenizer.encode("The text", text)
        second = [word for word, of in zip(pair.word_of_token, pair.text_of_token, strict=True) if of == 1]
        assert second == encoding.word_of_token


def test_a_piece_over_several_words_is_of_the_first() -> None:
    """Japanese has no spaces: what BERT takes for a word, Unicode cuts at every hiragana."""
    encoding = trained("wordpiece").encode("すきだ.")
    assert encoding.word_of_token == [0, 3] and len(word_spans("すきだ.")) == 4


def test_an_unknown_word_keeps_its_number() -> None:
    tokenizer = trained("wordpiece")
    encoding = tokenizer.encode("the \u13a0\u13a1, text")
    numbers = list(zip([tokenizer.piece(i) for i in encoding.ids], encoding.word_of_token, strict=True))
    assert ("[UNK]", 1) in numbers and (",", 2) in numbers and numbers[-1][1] == 3
