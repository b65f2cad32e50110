"""What is known of a text's tokens, whenever it is asked for, against the library's own way."""

import json

import pytest
from algorithms import NAMES, TEXTS, trained
from hypothesis import given
from hypothesis import strategies as st

from trivium.tokenizers import Encoding, Tokenizer
from trivium.tokenizers import tokenizer as tokenizer_module

SAMPLES = ["", " a", "Größe  und\n\n好 <s> ж 😀", "e\u0301\u0323 ﬁ x\u0301", *TEXTS[:6]]


@pytest.fixture
def all_texts_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer_module, "LONG_CHARACTERS", -1)


def everything(encoding: Encoding) -> tuple[list[int], ...]:
    return (
        encoding.ids, encoding.segments, encoding.text_of_token, encoding.word_of_token,
        [place for span in encoding.offsets for place in span],
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_long_text_has_the_ids_spans_and_words_of_a_short_one(name: str, all_texts_are_long: None) -> None:
    for layout in ("plain", "classify", "end"):
        tokenizer = trained(name).with_layout(layout)
        for first, second in [(each, pair) for each in SAMPLES for pair in (None, "", "好 the")]:
            for specials in (False, True):
                long = tokenizer.encode(first, second, specials)
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(tokenizer_module, "LONG_CHARACTERS", 1 << 30)
                    short = tokenizer.encode(first, second, specials)
                assert everything(long) == everything(short) and long == short
                assert long != tokenizer.encode(first + " x", second, specials)


TRIMMING = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


def template(single: str, pair: str) -> dict[str, object]:
    def parts(text: str) -> list[dict[str, object]]:
        return [
            {"Sequence": {"id": part, "type_id": segment}}
            if part in "AB"
            else {"SpecialToken": {"id": "</s>", "type_id": segment}}
            for segment, part in enumerate(text)
        ]

    tokens = {"</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}
    return {"type": "TemplateProcessing", "single": parts(single), "pair": parts(pair), "special_tokens": tokens}


@pytest.mark.parametrize(
    "post_processor",
    [None, TRIMMING, template("A", "AB"), template("-A", "A-B-"), template("A--", "--A--B"), template("A", "B-A"),
     template("A-A", "A-B"), template("A", "ABA")],
)  # fmt: skip
@pytest.mark.parametrize("length", [-1, 1000])
def test_any_post_processor_is_the_librarys(post_processor, length, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that move offsets, or put the texts in another order, or twice."""
    monkeypatch.setattr(tokenizer_module, "LONG_CHARACTERS", length)
    document = {**json.loads(trained("bpe").whole.to_str()), "post_processor": post_processor}
    tokenizer = Tokenizer(document, trained("bpe").specials)
    plain = tokenizer.plain
    for first, second in [("the text", None), ("  a  b ", "The reads"), ("", "x"), ("", None)]:
        for specials in (False, True):
            found = tokenizer.encode(first, second, specials)
            texts = [None if each is None else plain.encode(each, add_special_tokens=False) for each in (first, second)]
            expected = tokenizer.whole.post_process(*texts, specials)
            assert found.ids == expected.ids and found.segments == expected.type_ids
            assert found.offsets == expected.offsets
            assert found.text_of_token == [-1 if number is None else number for number in expected.sequence_ids]


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_spans_are_equal_however_often_they_are_read(text: str) -> None:
    encoding = trained("unigram").encode(text)
    assert encoding.offsets is encoding.offsets
    assert encoding == trained("unigram").encode(text)
    assert encoding != text and len(encoding.offsets) == len(encoding.ids)
    assert "ids=" in repr(encoding)
