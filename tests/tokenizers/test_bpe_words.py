"""Original byte-pair encoding: both published merge lists, both conventions, encoding by rank in plain Python."""

import random
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import DataError, SettingsError
from trivium.tokenizers import STYLES, SpecialTokens
from trivium.tokenizers.bpe_words import MARK, SUFFIX, learn_merges, train_bpe_words, word_symbols
from trivium.tokenizers.counting import Counts
from trivium.tokenizers.merging import strings_of
from trivium.tokenizers.specials import TRIVIUM

CONTROLS = len(TRIVIUM.strings())
DICTIONARY = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
TEXT = " ".join(f"{word} " * count for word, count in DICTIONARY.items())


def merges_of(end, ties, wanted=10):
    words = [word + MARK if end == "symbol" else word for word in DICTIONARY]
    symbols, spelt = word_symbols(Counts(words, np.array(list(DICTIONARY.values()))), end)
    merges = learn_merges(symbols, wanted, end, ties)
    strings = [string.replace(MARK, SUFFIX) for string in strings_of(spelt, merges)]
    return [(strings[left], strings[right]) for left, right in merges.tolist()]


def test_the_papers_merges():
    """Algorithm 1 on its dictionary: the end a symbol of its own, ties to the first pair met (facts, section 2)."""
    assert merges_of("symbol", "first") == [
        ("e", "s"), ("es", "t"), ("est", "</w>"), ("l", "o"), ("lo", "w"),
        ("n", "e"), ("ne", "w"), ("new", "est</w>"), ("low", "</w>"), ("w", "i"),
    ]  # fmt: skip


def test_subword_nmts_merges():
    """The end glued to the last character, ties to the largest pair (facts, section 2)."""
    assert merges_of("glued", "largest") == [
        ("s", "t</w>"), ("e", "st</w>"), ("l", "o"), ("w", "est</w>"), ("n", "e"),
        ("ne", "west</w>"), ("lo", "w</w>"), ("w", "i"), ("wi", "d"), ("wid", "est</w>"),
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["symbol", "glued"])
def test_ends_are_spelt_out_where_the_largest_pair_wins(end):
    """ "<" of "</w>" lies before letters and behind digits: "1</w>" is larger than "11", "z</w>" less than "zz"."""
    for words, best in [(["a1", "a11"], "1"), (["az", "azz"], "z")]:
        marked = [word + MARK if end == "symbol" else word for word in words]
        symbols, spelt = word_symbols(Counts(marked, np.array([1, 1])), end)
        strings = [each.replace(MARK, SUFFIX) for each in spelt]
        found = learn_merges(symbols, 1, end, "largest", 1)[0].tolist()
        pairs = {}
        for word in words:
            row = [*word, SUFFIX] if end == "symbol" else [*word[:-1], word[-1] + SUFFIX]
            for pair in zip(row, row[1:], strict=False):
                pairs[pair] = pairs.get(pair, 0) + 1
        assert tuple(strings[number] for number in found) == max(pairs, key=lambda pair: (pairs[pair], pair)), best


def by_rank(tokenizer, word, end):
    """The pieces of a word: the earliest merge that applies, again and again."""
    document = __import__("json").loads(tokenizer.whole.to_str())["model"]
    ranks = {tuple(merge): rank for rank, merge in enumerate(document["merges"])}
    row = [*word, MARK] if end == "symbol" else [*word[:-1], word[-1] + SUFFIX]
    row = [symbol if symbol in document["vocab"] else "<unk>" for symbol in row]
    while True:
        known = [(ranks[pair], at) for at, pair in enumerate(zip(row, row[1:], strict=False)) if pair in ranks]
        if not known:
            return row
        rank = min(known)[0]
        at, merged = 0, []
        while at < len(row):
            if ranks.get(tuple(row[at : at + 2])) == rank:
                merged.append(row[at] + row[at + 1])
                at += 2
            else:
                merged.append(row[at])
                at += 1
        row = merged


TRAINED = {
    (end, ties, split): train_bpe_words(
        [TEXT + "abab aabb abba baab abab babab aaaa aaa, (aa) bb bb! " * 3],
        CONTROLS + 37 + (2 if split == "whitespace" else 0),
        end=end,
        ties=ties,
        split=split,
    )
    for end in ("symbol", "glued")
    for ties in ("first", "largest", "smallest-ids")
    for split in ("punctuation", "whitespace")
}


@pytest.mark.parametrize("key", TRAINED)
@given(words=st.lists(st.text(st.sampled_from("abelonstwid,!x"), min_size=1, max_size=14), max_size=6))
def test_the_library_applies_merges_by_rank(key, words):
    end, _, split = key
    tokenizer = TRAINED[key]
    text = "  ".join(words)
    ids = tokenizer.encode(text).ids
    cut = words
    if split == "punctuation":
        cut = text.replace(",", " , ").replace("!", " ! ").split()
    expected = [piece for word in cut for piece in by_rank(tokenizer, word, end)]
    assert [tokenizer.piece(number) for number in ids] == expected
    assert tokenizer.encode_batch([text]) == [ids]
    if "x" not in text and "<unk>" not in expected:
        assert tokenizer.decode(ids) == " ".join(cut)


@pytest.mark.parametrize("key", TRAINED)
def test_offsets_point_at_the_text(key):
    text = "newest  low, wide lower"
    encoding = TRAINED[key].encode(text)
    assert {text[start:end] for start, end in encoding.offsets} >= {"low" if key[2] == "punctuation" else ","} - {","}
    covered = {at for start, end in encoding.offsets for at in range(start, end)}
    assert covered == {at for at, letter in enumerate(text) if letter != " "}


def test_the_size_is_controls_alphabet_and_merges():
    for (end, _, _), tokenizer in TRAINED.items():
        model = __import__("json").loads(tokenizer.whole.to_str())["model"]
        alphabet = {piece for piece in model["vocab"] if len(piece.removesuffix(SUFFIX)) == 1}
        assert tokenizer.vocab_size == CONTROLS + len(alphabet) + len(model["merges"])
        assert (MARK in alphabet) == (end == "symbol")


def test_texts_that_spell_the_marks():
    """Words that hold the end's spelling are not learnt from; whatever a text spells, no end is made inside a word."""
    text = "low</w>er low</w> lower low low " * 9 + MARK
    for end in ("glued", "symbol"):
        tokenizer = train_bpe_words([text], CONTROLS + 12, end=end, split="whitespace", min_frequency=1)
        encoding = tokenizer.encode("low low\u2404 low</w>x")
        assert [tokenizer.piece(number) for number in encoding.ids][0] in ("low" + SUFFIX, "low" + MARK, "lo")
        for number, (_, stop) in zip(encoding.ids, encoding.offsets, strict=True):
            if tokenizer.piece(number).endswith((SUFFIX, MARK)):
                assert stop in (3, 8, 17)


def test_sizes_that_cannot_be():
    smallest = CONTROLS + len("lowensid") + len("wrt")
    with pytest.raises(SettingsError, match=rf"size {smallest - 1} is too small: 11 symbols .* need {smallest}"):
        train_bpe_words([TEXT], smallest - 1)
    assert train_bpe_words([TEXT], smallest).vocab_size == smallest
    with pytest.raises(
        DataError, match=r"999 was asked for, but 11 symbols, (\d+) merges of pairs seen 2 times"
    ) as error:
        train_bpe_words([TEXT], 999)
    largest = int(str(error.value).split("only ")[1].split()[0])
    assert train_bpe_words([TEXT], largest).vocab_size == largest
    with pytest.raises(DataError):
        train_bpe_words([TEXT], largest + 1)
    for empty in ([], ["", " \n"]):
        with pytest.raises(DataError, match="no text to learn"):
            train_bpe_words(empty, 99)


def test_settings_that_cannot_be():
    for setting, message in [
        ({"end": "loose"}, "end is 'loose': choose one of glued, symbol"),
        ({"ties": "none"}, "ties is 'none': choose one of first, largest, smallest-ids"),
        ({"split": "no"}, "split is 'no': choose one of"),
        ({"min_frequency": 0}, "min_frequency is 0: it is at least 1"),
        ({"alphabet": 0}, "alphabet is 0"),
        ({"specials": STYLES["gpt2"]}, "needs an unknown token"),
        ({"specials": SpecialTokens(pad="PAD")}, "'PAD' could be a word"),
    ]:
        with pytest.raises(SettingsError, match=message):
            train_bpe_words([TEXT], 60, **setting)


def test_fewer_characters_and_lower_case():
    text = TEXT + "LOW ŁOW łow"
    tokenizer = train_bpe_words([text], CONTROLS + 12, lowercase=True, alphabet=10)
    assert tokenizer.decode(tokenizer.encode("Łow LOW").ids, skip_special=False) == "<unk>ow low"
    assert "ł" in train_bpe_words([text], CONTROLS + 13, lowercase=True).whole.get_vocab()


@pytest.mark.parametrize("end", ["symbol", "glued"])
@pytest.mark.parametrize("unit", ["a", "好", "a ", "a,"])
def test_long_runs_take_linear_time(end, unit):
    """Learning from one word, or very many, of 20,000 and 200,000 characters."""
    seconds = []
    for size in (20_000, 200_000):
        begun = time.perf_counter()
        try:
            train_bpe_words([unit * (size // len(unit))], CONTROLS + 9, end=end, min_frequency=1)
        except DataError as error:
            assert "support only" in str(error)
        seconds.append(time.perf_counter() - begun)
    assert seconds[1] < 30 * seconds[0] + 1


def test_a_vocabulary_does_not_depend_on_how_the_text_is_cut_into_documents():
    draws = random.Random(4)
    lines = [" ".join("".join(draws.choices("abcdefgh", k=draws.randint(1, 7))) for _ in range(9)) for _ in range(99)]
    one, many = train_bpe_words(["\n".join(lines)], 150), train_bpe_words(iter(lines), 150)
    assert one.fingerprint == many.fingerprint == train_bpe_words(lines, 150, memory=1 << 20).fingerprint
