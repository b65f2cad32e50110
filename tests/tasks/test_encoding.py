import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import SettingsError
from trivium.tasks.encoding import encode, longest_first
from trivium.text.examples import Labelled, Pair


@given(st.integers(0, 60), st.integers(0, 60), st.integers(2, 50))
def test_longest_first_is_dropping_one_token_at_a_time(first, second, room):
    a, b = first, second
    while a + b > room:  # google-research/bert: _truncate_seq_pair
        if a > b:
            a -= 1
        else:
            b -= 1
    assert longest_first(first, second, room) == (a, b)


def test_one_text_and_two_as_bert_reads_them(tokenizer):
    bert = tokenizer.with_layout("classify")
    examples = [Labelled("It's a snow day!", "yes"), Pair("It's a snow day!", "There is snow outside.", "entails")]
    encoded = encode(examples, bert, 64, {"entails": 3}, segments=True)
    one = bert.encode("It's a snow day!", specials=True)
    two = bert.encode("It's a snow day!", "There is snow outside.", specials=True)
    assert [ids.tolist() for ids in encoded.ids] == [one.ids, two.ids]
    assert [segments.tolist() for segments in encoded.segments] == [one.segments, two.segments]
    assert encoded.labels.tolist() == [-1, 3] and encoded.truncated == 0
    assert encoded.lengths.tolist() == [len(one.ids), len(two.ids)]


def test_one_text_and_two_as_xlnet_reads_them(tokenizer):
    xlnet = tokenizer.with_layout("classify-last")
    examples = [Labelled("It's a snow day!", "yes"), Pair("It's a snow day!", "There is snow outside.", "entails")]
    encoded = encode(examples, xlnet, 64, {"entails": 3}, segments=True)
    one = xlnet.encode("It's a snow day!", specials=True)
    two = xlnet.encode("It's a snow day!", "There is snow outside.", specials=True)
    assert [ids.tolist() for ids in encoded.ids] == [one.ids, two.ids]
    assert [segments.tolist() for segments in encoded.segments] == [one.segments, two.segments]
    assert two.segments[-2:] == [1, 2] and two.ids[-1] == tokenizer.classify


def test_long_texts_are_cut_and_counted(tokenizer):
    bert = tokenizer.with_layout("classify")
    examples = [Pair("snow " * 50, "storm", "x"), Labelled("winter " * 50, "x"), Labelled("cat", "x")]
    encoded = encode(examples, bert, 20, {"x": 0}, segments=False)
    assert encoded.lengths[:2].tolist() == [20, 20] and encoded.truncated == 2
    assert encoded.segments is None
    storm = tokenizer.encode("storm").ids
    assert encoded.ids[0][-len(storm) - 1 : -1].tolist() == storm  # the shorter text is whole
    assert all(ids[0] == bert.classify and ids[-1] == bert.separator for ids in encoded.ids)


def test_a_text_that_spells_a_control_token_stays_text(tokenizer):
    encoded = encode([Labelled("<s> </s> <mask>", "x")], tokenizer, 64, {"x": 0}, segments=False)
    assert not np.isin(encoded.ids[0], list(tokenizer.controls)).any()


def test_no_room_for_text(tokenizer):
    with pytest.raises(SettingsError, match="2 tokens leaves no room"):
        encode([Labelled("cat", "x")], tokenizer.with_layout("classify"), 2, {"x": 0}, segments=False)
