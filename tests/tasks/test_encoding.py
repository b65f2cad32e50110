import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import SettingsError
from trivium.tasks.encoding import Row, encode, longest_first, windows


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
    examples = [[Row("It's a snow day!")], [Row("It's a snow day!", "There is snow outside.")]]
    encoded = encode(examples, bert, 64, segments=True)
    one = bert.encode("It's a snow day!", specials=True)
    two = bert.encode("It's a snow day!", "There is snow outside.", specials=True)
    assert [ids.tolist() for ids in encoded.ids] == [one.ids, two.ids]
    assert [segments.tolist() for segments in encoded.segments] == [one.segments, two.segments]
    assert encoded.examples.tolist() == [0, 1] and encoded.truncated == 0
    assert encoded.lengths.tolist() == [len(one.ids), len(two.ids)]


def test_one_text_and_two_as_xlnet_reads_them(tokenizer):
    xlnet = tokenizer.with_layout("classify-last")
    examples = [[Row("It's a snow day!")], [Row("It's a snow day!", "There is snow outside.")]]
    encoded = encode(examples, xlnet, 64, segments=True)
    one = xlnet.encode("It's a snow day!", specials=True)
    two = xlnet.encode("It's a snow day!", "There is snow outside.", specials=True)
    assert [ids.tolist() for ids in encoded.ids] == [one.ids, two.ids]
    assert [segments.tolist() for segments in encoded.segments] == [one.segments, two.segments]
    assert two.segments[-2:] == [1, 2] and two.ids[-1] == tokenizer.classify


def test_long_texts_are_cut_and_counted(tokenizer):
    bert = tokenizer.with_layout("classify")
    examples = [[Row("snow " * 50, "storm")], [Row("winter " * 50)], [Row("cat")]]
    encoded = encode(examples, bert, 20, segments=False)
    assert encoded.lengths[:2].tolist() == [20, 20] and encoded.truncated == 2 and encoded.cut == (0, 1)
    assert encoded.segments is None
    storm = tokenizer.encode("storm").ids
    assert encoded.ids[0][-len(storm) - 1 : -1].tolist() == storm  # the shorter text is whole
    assert all(ids[0] == bert.classify and ids[-1] == bert.separator for ids in encoded.ids)


def test_a_text_that_spells_a_control_token_stays_text(tokenizer):
    encoded = encode([[Row("<s> </s> <mask>")]], tokenizer, 64, segments=False)
    assert not np.isin(encoded.ids[0], list(tokenizer.controls)).any()


def test_no_room_for_text(tokenizer):
    with pytest.raises(SettingsError, match="2 tokens leaves no room"):
        encode([[Row("cat")]], tokenizer.with_layout("classify"), 2, segments=False)


@given(st.integers(1, 200), st.integers(1, 40))
def test_windows_leave_no_gap_and_end_with_the_text(count, room):
    found = windows(count, room)
    assert found[0][0] == 0 and found[-1][1] == count and len(set(found)) == len(found)
    assert all(end - start == min(count, room) for start, end in found)
    assert all(after <= before_end for (_, before_end), (after, _) in zip(found, found[1:], strict=False))
    overlaps = [end - after for (_, end), (after, _) in zip(found, found[1:], strict=False)]
    assert all(each >= room // 4 for each in overlaps)


def test_a_long_text_is_read_in_windows_beside_the_short_one(tokenizer):
    bert = tokenizer.with_layout("classify")
    long = " ".join(f"snow day {number}" for number in range(40))
    encoded = encode([[Row("cat", long)], [Row("cat")], [Row(long, "cat")]], bert, 20, segments=True, split=True)
    whole, cat = tokenizer.encode(long).ids, tokenizer.encode("cat").ids
    firsts = [encoded.ids[n].tolist() for n in np.flatnonzero(encoded.examples == 0)]
    room = 20 - 3 - len(cat)
    expected = [
        [bert.classify, *cat, bert.separator, *whole[start:end], bert.separator]
        for start, end in windows(len(whole), room)
    ]
    assert firsts == expected and len(firsts) > 2
    lasts = [encoded.ids[n].tolist() for n in np.flatnonzero(encoded.examples == 2)]
    assert [row[-1 - len(cat) : -1] for row in lasts] == [cat] * len(lasts) == [cat] * len(firsts)
    assert encoded.truncated == 0 and encoded.counts.tolist() == [1] * len(encoded.ids)
    assert encoded.notes[0].startswith("2 of 3 texts are longer than 20 tokens")
    assert encoded.notes[0].endswith(f"{len(encoded)} in all")
    assert all(len(ids) == len(segments) for ids, segments in zip(encoded.ids, encoded.segments, strict=True))
    both = encode([[Row(long, long)]], bert, 20, segments=False, split=True)
    assert both.truncated == 1  # of the second half a row is read


def test_rows_of_one_item_stay_together(tokenizer):
    items = encode([[Row("a", "b"), Row("a", "b c d e f")], [Row("cat")], [Row("x", "y")] * 3], tokenizer, 64, False)
    assert items.counts.tolist() == [2, 1, 3] and items.starts.tolist() == [0, 2, 3]
    assert items.rows(np.array([2, 0])).tolist() == [3, 4, 5, 0, 1]
    assert items.lengths.tolist() == [2 * len(items.ids[1]), len(items.ids[2]), 3 * len(items.ids[3])]


@given(st.integers(0, 30), st.integers(0, 30), st.integers(4, 30))
def test_a_pair_in_both_orders_is_cut_alike(tokenizer, first, second, length):
    a, b = "snow " * first + "day", "cat " * second + "mat"
    rows = [[Row(a, b), Row(b, a)], [Row(b, a), Row(a, b)]]
    one, two, three, four = (ids.tolist() for ids in encode(rows, tokenizer, length, False, even=True).ids)
    assert one == four and two == three and sorted(one) == sorted(two)


def test_what_stands_behind_the_first_text_is_cut_last(tokenizer):
    context, question, option = "snow " * 30, " storm warning", "cat"
    (ids,) = encode([[Row(context, option, question)]], tokenizer, 20, False).ids
    tail, last = tokenizer.encode(question).ids, tokenizer.encode(option).ids
    assert ids.tolist()[-len(tail) - len(last) :] == [*tail, *last] and len(ids) == 20
    assert ids.tolist()[: 20 - len(tail) - len(last)] == tokenizer.encode(context).ids[: 20 - len(tail) - len(last)]
