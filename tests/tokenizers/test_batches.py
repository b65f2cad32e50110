"""Looked-up chunks give the ids of the whole text, for every normaliser and pre-tokeniser that allows chunks."""

import pytest
from algorithms import TEXTS, trained
from hypothesis import given, settings
from hypothesis import strategies as st

import tokenizers
from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers
from trivium.tokenizers import batches as batches_module
from trivium.tokenizers.batches import BatchEncoder

NORMALIZERS = {
    "none": None,
    "bert": normalizers.BertNormalizer(),
    "nfc": normalizers.NFC(),
    "nfkc, lower case": normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]),
    "no accents": normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents()]),
    "collapsed": normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
    ),
    "prepended": normalizers.Prepend(" "),
}
PRE_TOKENIZERS = {
    "byte level": pre_tokenizers.ByteLevel(add_prefix_space=False),
    "byte level, prefixed": pre_tokenizers.ByteLevel(add_prefix_space=True),
    "bert": pre_tokenizers.BertPreTokenizer(),
    "whitespace": pre_tokenizers.Whitespace(),
    "whitespace, metaspace": pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]),
    "metaspace": pre_tokenizers.Metaspace(prepend_scheme="always"),
    "metaspace first": pre_tokenizers.Metaspace(prepend_scheme="first"),
    "metaspace never": pre_tokenizers.Metaspace(prepend_scheme="never"),
    "first in words": pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme="first")]
    ),
    "metaspace unsplit": pre_tokenizers.Metaspace(split=False),
    "punctuation": pre_tokenizers.Punctuation(),
    "other pattern": pre_tokenizers.Split(Regex(r"\w+ \w+"), "isolated"),
    "none": None,
}
parts = st.sampled_from(
    [" ", " ", "  ", "\n", "\t", "\r\n", "\u00a0", "\x1c", "\x85", "\u3000", "the", "text", "The", "é", "\u0301", "¨",
     "▁", "▁the", "'s", "!", "3", "好", "İ", "Σ", "\u0600", "\x00", "\u200b", "reads", "x"]
)  # fmt: skip
texts = st.lists(st.lists(parts, max_size=12).map("".join), max_size=3)


def encoder(normalizer: str, pre_tokenizer: str) -> BatchEncoder:
    """A small model of merged characters that knows most of what is met, and says so of the rest."""
    whole = tokenizers.Tokenizer(models.BPE(unk_token="[UNK]"))
    if NORMALIZERS[normalizer] is not None:
        whole.normalizer = NORMALIZERS[normalizer]
    if PRE_TOKENIZERS[pre_tokenizer] is not None:
        whole.pre_tokenizer = PRE_TOKENIZERS[pre_tokenizer]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=["[UNK]"], show_progress=False, min_frequency=1)
    whole.train_from_iterator([*TEXTS[:12], " \n\t\r\u00a0\x1c\x85\u3000▁¨\u0301"], trainer)
    return BatchEncoder(whole)


@pytest.mark.parametrize("pre_tokenizer", PRE_TOKENIZERS)
@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_the_ids_of_the_whole(normalizer: str, pre_tokenizer: str) -> None:
    made = encoder(normalizer, pre_tokenizer)

    @settings(max_examples=40)
    @given(texts)
    def check(found: list[str]) -> None:
        expected = [each.ids for each in made.plain.encode_batch_fast(found, add_special_tokens=False)]
        assert made.encode(found) == expected
        assert made.encode(found) == expected

    long = batches_module.PIECE_CHARACTERS
    batches_module.PIECE_CHARACTERS = 10
    try:
        check()
    finally:
        batches_module.PIECE_CHARACTERS = long


UNKNOWN = {"metaspace unsplit", "punctuation", "other pattern", "none", "first in words"}


@pytest.mark.parametrize("pre_tokenizer", PRE_TOKENIZERS)
def test_nothing_is_assumed_of_what_has_no_proof(pre_tokenizer: str) -> None:
    assert (encoder("none", pre_tokenizer).rules is None) == (pre_tokenizer in UNKNOWN)


def test_a_token_that_is_looked_for_first_forbids_chunks() -> None:
    made = encoder("none", "bert")
    made.plain.add_tokens(["the text"])
    assert BatchEncoder(made.plain).rules is None


def test_the_memory_is_bounded_and_long_words_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made = encoder("none", "byte level")
    monkeypatch.setattr(batches_module, "CACHED_CHUNKS", 50)
    for start in range(0, 1000, 100):
        found = [f"word{number} word{number} {'x' * 50}{number}" for number in range(start, start + 100)]
        assert made.encode(found) == [each.ids for each in made.plain.encode_batch_fast(found)]
        assert len(made.inside) <= 50 + 100 and max(map(len, made.inside)) <= batches_module.LONGEST_CACHED


def test_a_long_line_is_cut_where_no_token_crosses() -> None:
    made = encoder("collapsed", "metaspace")
    text = "the text reads, e\u0301 好 " * 30_000
    assert len(list(made.pieces(text))) > 2
    assert made.encode([text]) == [made.plain.encode(text, add_special_tokens=False).ids]


def test_a_full_memory_is_not_walked_for_one_line() -> None:
    """Line by line every call would take as long as the memory is large."""

    class Table(dict):
        def __iter__(self):
            raise AssertionError("all of the memory was walked")

        keys = values = items = __iter__

    tokenizer = trained("bpe")
    encoder = BatchEncoder(tokenizer.plain)
    encoder.inside, encoder.verbatim = Table(), Table()
    for text in ("the text", "the text reads", "the text reads  it"):
        assert encoder.encode([text]) == [tokenizer.encode(text).ids]
    assert len(encoder.inside) == 2
