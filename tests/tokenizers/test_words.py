"""One token a word, and how many words are unknown."""

from collections import Counter

import pytest

from trivium.errors import DataError, SettingsError
from trivium.tokenizers import STYLES, SpecialTokens, train_bpe
from trivium.tokenizers.characters import train_characters
from trivium.tokenizers.specials import TRIVIUM
from trivium.tokenizers.words import train_words, unknown_rate

CONTROLS = len(TRIVIUM.strings())


def words_of(text):
    """All its words: a vocabulary of each, read back."""
    tokenizer = train_words([text], CONTROLS + 1)
    encoding = tokenizer.encode(text)
    return [text[start:end] for start, end in encoding.offsets]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't panic, it's 3.5!", ["Don't", "panic", ",", "it's", "3", ".", "5", "!"]),
        ("'quoted' l’eau rock'n'roll x'", ["'", "quoted", "'", "l’eau", "rock'n'roll", "x", "'"]),
        ("我喜欢 tea和茶", ["我", "喜", "欢", "tea", "和", "茶"]),
        ("नमस्ते e\u0301te snake_case $5", ["नमस्ते", "e\u0301te", "snake_case", "$", "5"]),
        ("a\u00a0b\u2003c\n\nd", ["a", "b", "c", "d"]),
    ],
)
def test_words(text, words):
    assert words_of(text) == words


def test_the_most_frequent_words_ties_to_the_first_seen():
    text = "b a b c a d e d"
    tokenizer = train_words([text], CONTROLS + 4)
    assert [tokenizer.piece(number) for number in range(CONTROLS, CONTROLS + 4)] == ["b", "a", "d", "c"]
    assert tokenizer.decode(tokenizer.encode("a  c,b").ids, skip_special=False) == "a c <unk> b"


def test_composed_and_lower_case_on_demand():
    tokenizer = train_words(["E\u0301TE É́te été"], CONTROLS + 2, lowercase=True, min_frequency=1)
    assert tokenizer.decode(tokenizer.encode("ÉTE").ids) == "éte"
    assert train_words(["one two two"], CONTROLS + 1, min_frequency=2).encode("one").ids == [
        TRIVIUM.strings().index("<unk>")
    ]


def test_the_unknown_rate_is_measured():
    """On the training text it is the share of the words that were left out."""
    texts = ["the cat sat on the mat", "the dog sat"]
    counts = Counter(word for text in texts for word in text.split())
    for size in range(1, 7):
        tokenizer = train_words(texts, CONTROLS + size)
        known = sum(count for _, count in counts.most_common(size))
        measured = unknown_rate(tokenizer, iter(texts))
        assert (measured.tokens, measured.unknown) == (9, 9 - known)
        assert measured.rate == (9 - known) / 9
    assert unknown_rate(tokenizer, ["the zebra sat"]).rate == 1 / 3
    assert unknown_rate(tokenizer, []).rate == 0.0


def test_levels_compared():
    """Words are shorter than subwords and these than characters; only words are unknown (facts, section 1)."""
    texts = ["the speaker speaks to speakers and the speakers speak " * 4] * 3
    words, characters = train_words(texts, CONTROLS + 5), train_characters(texts, CONTROLS + 10)
    pieces = train_bpe(texts, CONTROLS + 256 + 6)
    lengths = [unknown_rate(tokenizer, texts).tokens for tokenizer in (words, pieces, characters)]
    assert lengths == sorted(set(lengths))
    rates = [unknown_rate(tokenizer, ["the hearer heard speech"]).rate for tokenizer in (words, pieces)]
    assert rates[0] > 0 == rates[1]


def test_what_cannot_be():
    with pytest.raises(SettingsError, match="size 37 is too small: 37 special tokens and a word need 38"):
        train_words(["abc"], CONTROLS)
    with pytest.raises(DataError, match="41 was asked for, but 3 words and 37 special tokens support only 40 tokens"):
        train_words(["a b c"], 41)
    with pytest.raises(DataError, match="but 1 words that occur 2 times and 37 .* only 38 tokens"):
        train_words(["a b b c"], 41, min_frequency=2)
    assert train_words(["a b c"], 40).vocab_size == 40
    for empty in ([], [" \n"]):
        with pytest.raises(DataError, match="no text to learn"):
            train_words(empty, 40)
    with pytest.raises(SettingsError, match="'PAD' could be a word"):
        train_words(["a b c"], 40, SpecialTokens(pad="PAD"))
    with pytest.raises(SettingsError, match="needs an unknown token"):
        train_words(["a b c"], 40, STYLES["gpt2"])
    with pytest.raises(SettingsError, match="min_frequency is 0"):
        train_words(["a b c"], 40, min_frequency=0)
