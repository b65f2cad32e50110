"""A tokenizer that grows: old ids stay, new pieces are used, and what they stand for is what the old one cut."""

from collections.abc import Callable
from pathlib import Path

import pytest
from algorithms import NAMES, TEXTS, trained
from transformers import PreTrainedTokenizerFast

from trivium.errors import DataError
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.extension import extended, with_roles
from trivium.tokenizers.further_merging import FurtherMerging
from trivium.tokenizers.learning import learn
from trivium.tokenizers.options import Bpe
from trivium.tokenizers.specials import BERT, GPT2

NEW = [
    "Wherefore art thou, Romeo? Deny thy father, Romeo; thou wherefore, thy father's thou!",
    "Romeo, wherefore comest thou hither and wherefore? thy thou thy Romeo <s> [SEP] <mask>",
] * 8


def test_merging_goes_on_by_hand() -> None:
    """hug 10, pug 5, pun 12, bun 4, hugs 5 (the textbook's example) with "ug" as a piece that is there already:
    h+ug 15, then p+u 12+... : (p, un) does not exist, for u and n are apart."""
    spelt = dict(enumerate(["b", "g", "h", "n", "p", "s", "u", "ug"]))
    words = {(2, 7): 10, (4, 7): 5, (4, 6, 3): 12, (0, 6, 3): 4, (2, 7, 5): 5}
    pieces = FurtherMerging(words, spelt, 8).learn(3, 2)
    assert [(piece.text, piece.parts, piece.merge) for piece in pieces] == [
        ("un", (6, 3), ("u", "n")),  # 16
        ("hug", (2, 7), ("h", "ug")),  # 15
        ("pun", (4, 6, 3), ("p", "un")),  # 12
    ]


def test_a_spelling_that_is_there_is_not_made_twice() -> None:
    spelt = dict(enumerate(["a", "b", "ab"]))
    assert FurtherMerging({(0, 1): 9}, spelt, 3).learn(5, 1) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_algorithm_grows(name: str, tmp_path: Path) -> None:
    old = trained(name)
    made = extended(old, NEW, 8)
    new = made.tokenizer
    assert (made.first, new.vocab_size, len(made.parts)) == (old.vocab_size, old.vocab_size + 8, 8)
    assert [new.piece(n) for n in range(old.vocab_size)] == [old.piece(n) for n in range(old.vocab_size)]
    assert (new.specials, new.controls, new.layout()) == (old.specials, old.controls, old.layout())
    before, after = old.encode_batch(NEW), new.encode_batch(NEW)
    assert sum(map(len, after)) < sum(map(len, before)) or name == "words"
    assert any(number >= made.first for ids in after for number in ids)
    assert not {number for ids in after for number in ids} & new.controls - {new.unknown}
    if name in ("bpe", "bpe-words", "characters", "sentencepiece-bpe"):  # merges come after all old ones
        for old_ids, new_ids in zip(before, after, strict=True):
            assert old_ids == [p for n in new_ids for p in (made.parts[n - made.first] if n >= made.first else (n,))]
    if name != "words":
        assert [new.decode(ids) for ids in after] == [old.decode(ids) for ids in before]
    new.save(tmp_path)
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    plain = [text for text in NEW + TEXTS if "<" not in text and "[" not in text]
    assert [theirs(text, add_special_tokens=False).input_ids for text in plain] == new.encode_batch(plain)
    assert Tokenizer.load(tmp_path).fingerprint == new.fingerprint


def test_a_new_piece_never_joins_letters_and_signs_of_sentencepiece() -> None:
    made = extended(trained("unigram"), ["Ende. Ende. Ende: Ende, Ende's"] * 9, 3)
    pieces = [made.tokenizer.piece(n).strip("▁") for n in range(made.first, made.first + 3)]
    assert all(piece.isalpha() for piece in pieces), pieces


def test_unknown_words_are_learnt_by_frequency(word_tokenizer: Callable[[list[str]], Tokenizer]) -> None:
    old = word_tokenizer(["the", "cat"])
    made = extended(old, ["the cat sat", "the dog sat", "sat dog on"], 2)
    assert [made.tokenizer.piece(n) for n in range(made.first, made.first + 2)] == ["sat", "dog"]
    assert list(made.parts) == [(old.unknown,)] * 2


def test_more_than_the_text_supports_is_refused_with_the_number() -> None:
    with pytest.raises(DataError, match=r"100000 new tokens .* supports only \d+ .*extend_vocabulary=\d+"):
        extended(trained("bpe"), NEW, 100_000)


@pytest.mark.parametrize("layout", ["plain", "classify", "end"])
def test_missing_control_tokens_are_added_at_the_end(layout: str, tmp_path: Path) -> None:
    old = learn(TEXTS, 400, Bpe()).tokenizer
    assert with_roles(old, layout).tokenizer is old  # ours have all
    from trivium.tokenizers import train_bpe

    gpt = train_bpe(TEXTS, 400, GPT2)
    made = with_roles(gpt, layout)
    new = made.tokenizer
    assert made.first == 400 and len(made.parts) == new.vocab_size - 400
    if layout == "plain":
        assert new is gpt
        return
    added = [new.piece(number) for number in range(400, new.vocab_size)]
    if layout == "classify":  # the one token of GPT-2 also classifies and separates
        assert added == ["<mask>"] and (new.classify, new.separator) == (gpt.end, gpt.end)
        assert new.layout().before == (gpt.end,) and new.layout().after == (gpt.end,)
    else:
        assert added[0] == "<pad>" and len(new.sentinels) == 32 and new.layout().after == (gpt.end,)
    assert not set(new.encode("a <mask> <pad> <extra_id_0> b").ids) & new.controls
    assert new.encode_batch(TEXTS) == gpt.encode_batch(TEXTS)
    new.save(tmp_path)
    theirs = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert theirs.convert_tokens_to_ids(added) == list(range(400, new.vocab_size))


def test_a_separator_ends_documents_where_bert_has_no_end() -> None:
    from trivium.tokenizers.wordpiece import train_wordpiece_bpe

    bert = train_wordpiece_bpe(TEXTS, 280, BERT, "classify")
    made = with_roles(bert, "classify")
    assert made.tokenizer.end == bert.separator and made.parts == []
