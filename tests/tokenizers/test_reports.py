"""The figures of a tokenizer on a text, against counts by hand and against Unicode's own table of scripts."""

import unicodedata
from collections import Counter

import pytest
from algorithms import NAMES, TEXTS, trained

from trivium.tokenizers.reports import Texts, report
from trivium.tokenizers.scripts import script_of

MEASURED = Texts(["The speakers don't speak: 好 ж, the speaker spoke.", "Größe 12\n"])


def test_figures_by_hand() -> None:
    tokenizer = trained("words")
    found = report(tokenizer, MEASURED)
    ids = [tokenizer.encode(text).ids for text in MEASURED.texts]
    assert found.tokens == sum(map(len, ids)) == 14
    assert found.bytes == sum(len(text.encode()) for text in MEASURED.texts)
    assert found.words == 11 and found.fertility == 1.0
    unknown = Counter(number for each in ids for number in each)[tokenizer.unknown]
    assert found.unknown_tokens == unknown / 14 and found.unknown_words == unknown / 11
    assert found.bytes_per_token == found.bytes / 14


@pytest.mark.parametrize("name", NAMES)
def test_what_adds_up_for_every_algorithm(name: str) -> None:
    tokenizer, measured = trained(name), Texts(TEXTS[:6])
    found = report(tokenizer, measured)
    assert found.tokens == sum(len(tokenizer.encode(text).ids) for text in TEXTS[:6])
    assert sum(each.characters for each in found.scripts) == sum(map(len, TEXTS[:6]))
    spread = sum(each.tokens_per_character * each.characters for each in found.scripts)
    empty = sum(a == b for text in TEXTS[:6] for a, b in tokenizer.encode(text).offsets)
    assert spread == pytest.approx(found.tokens - empty)
    assert all(0 <= each.known <= 1 for each in found.scripts)
    if name in ("bpe", "unigram", "sentencepiece-bpe"):
        assert found.unknown_tokens == found.unknown_words == 0 and all(each.known == 1 for each in found.scripts)
    for split in found.most_split:
        assert split.word in measured.frequent and len(split.pieces) > 1
    assert [len(each.pieces) for each in found.most_split] == sorted(
        (len(e.pieces) for e in found.most_split), reverse=True
    )


def test_unknown_characters_show_in_their_script() -> None:
    found = {each.script: each for each in report(trained("wordpiece"), Texts(["the text \u13a0\u13a1 reads"])).scripts}
    assert found["Cherokee"].known == 0 and found["Latin"].known == 1


def test_nothing_to_measure_divides_by_nothing() -> None:
    found = report(trained("bpe"), Texts([""]))
    assert found.tokens == 0 and found.bytes_per_token == found.fertility == 0.0


def test_scripts_are_unicodes_own() -> None:
    regex = pytest.importorskip("regex")
    names = ["Latin", "Greek", "Cyrillic", "Han", "Hiragana", "Katakana", "Hangul", "Arabic", "Hebrew", "Devanagari",
             "Thai", "Cherokee", "Georgian", "Armenian", "Tamil", "Ethiopic"]  # fmt: skip
    letters = [
        chr(code) for code in range(0, 0x20000, 3) if unicodedata.category(chr(code)) in ("Lu", "Ll", "Lt", "Lo")
    ]
    for name in names:
        pattern = regex.compile(rf"\p{{Script={name}}}")
        theirs = {letter for letter in letters if pattern.match(letter)}
        ours = {letter for letter in letters if script_of(letter) == name}
        wrong = {letter for letter in ours - theirs if ord(letter) < 0xF000}
        assert len(theirs - ours) <= 0.12 * len(theirs) and len(wrong) <= 0.02 * len(theirs) + 2, (
            name,
            theirs - ours,
            wrong,
        )
    assert [script_of(each) for each in "1.+ \n\u0301😀\x00"] == [
        "numbers", "punctuation", "symbols", "spaces", "spaces", "marks", "symbols", "controls",
    ]  # fmt: skip
