"""The lecture's table of T5 objectives on "Thank you for inviting me to your party last week ."."""

from dataclasses import replace

import numpy as np
import pytest

from trivium.objectives import sentinels
from trivium.objectives.sentinels import Noised

TEXT = "Thank you for inviting me to your party last week . apple".split()
MARKS = ["<X>", "<Y>", "<Z>", "<W>"]


APPLE = np.array([12])


class Fixed:
    """Draws of one row that are known beforehand."""

    def __init__(self, **numbers):
        self.numbers = numbers

    def uniform(self, purpose, count):
        return np.array([self.numbers[purpose.removeprefix("noise/")]], float)

    def integers(self, purpose, count, high):
        return np.zeros((1, count), np.int64)


def noised(*masks, draws=None):
    tokens = np.tile(np.arange(1, 12), (len(masks), 1))
    noise = np.zeros((len(masks), 11), bool)
    for row, mask in enumerate(masks):
        noise[row, list(mask)] = True
    return Noised(tokens, np.ones_like(noise), noise, np.array([100, 101, 102, 103]), draws, APPLE)


def words(ragged, row=0):
    ids = ragged.tokens[row, : ragged.lengths[row]]
    assert not ragged.tokens[row, ragged.lengths[row] :].any()
    return " ".join(MARKS[i - 100] if i >= 100 else TEXT[i - 1] for i in ids)


def test_replacing_spans():
    batch = noised({2, 3, 8}, {2, 3, 4, 6, 7, 8})
    inputs, targets = sentinels.sentinel_for_noise(batch), sentinels.noise_after_sentinels(batch)
    assert words(inputs) == "Thank you <X> me to your party <Y> week ."
    assert words(targets) == "<X> for inviting <Y> last <Z>"
    assert words(inputs, 1) == "Thank you <X> to <Y> week ."
    assert words(targets, 1) == "<X> for inviting me <Y> your party last <Z>"


def test_dropping():
    batch = noised({2, 3, 8})
    assert words(sentinels.text_alone(batch)) == "Thank you me to your party week ."
    assert words(sentinels.noise_alone(batch)) == "for inviting last"


def test_a_prefix():
    batch = noised({0, 1, 2, 3})
    assert words(sentinels.noise_alone(batch)) == "Thank you for inviting"
    assert words(sentinels.text_alone(batch)) == "me to your party last week ."


def test_one_token_for_all_noise():
    batch = noised({2, 3, 8})
    assert words(sentinels.blank_for_noise(batch)).replace("<X>", "<M>") == (
        "Thank you <M> <M> me to your party <M> week ."
    )
    assert words(sentinels.original(batch)) == " ".join(TEXT[:11])


def test_nine_in_ten_and_a_random_one():
    how = [0.99, 0.95, 0.0, 0.89, 0.99, 0.99, 0.99, 0.99, 0.91, 0.99, 0.99]
    batch = noised({2, 3, 8}, draws=Fixed(how=how))
    assert words(sentinels.blank_or_random(batch)).replace("<X>", "<M>") == (
        "Thank you <M> <M> me to your party apple week ."
    )
    assert words(sentinels.blank_random_or_kept(batch)).replace("<X>", "<M>") == (
        "Thank you <M> apple me to your party last week ."
    )


def test_deshuffling():
    shown = "party me for your to . last you inviting week Thank".split()  # the paper's row, without its extra word
    keys = [shown.index(word) / 11 for word in TEXT[:11]]
    batch = noised(set(range(11)), draws=Fixed(shuffle=keys))
    assert words(sentinels.noise_shuffled(batch)) == " ".join(shown)
    some = noised({1, 4, 9}, draws=Fixed(shuffle=keys))
    assert words(sentinels.noise_shuffled(some)) == "Thank me for inviting you to your party last week ."


def test_where_the_code_of_t5_departs_from_the_paper():
    batch = noised({9, 10}, {0, 1, 5}, {2, 3, 8})
    code, paper = sentinels.sentinel_for_text(batch), sentinels.noise_after_sentinels(batch)
    assert [words(code, row) for row in (0, 1)] == ["<X> week .", "Thank you <X> to <Y>"]
    assert [words(paper, row) for row in (0, 1)] == ["<X> week . <Y>", "<X> Thank you <Y> to <Z>"]
    assert words(code, 2) == words(paper, 2)  # no end touched: both agree


def test_padding_and_no_noise():
    batch = noised({2, 3}, set())
    batch = replace(batch, real=np.arange(11) < np.array([[6], [11]]))
    assert words(sentinels.sentinel_for_noise(batch)) == "Thank you <X> me to"
    assert words(sentinels.noise_after_sentinels(batch)) == "<X> for inviting <Y>"
    assert words(sentinels.sentinel_for_text(batch)) == "<X> for inviting <Y>"
    assert words(sentinels.sentinel_for_noise(batch), 1) == " ".join(TEXT[:11])
    assert words(sentinels.noise_after_sentinels(batch), 1) == "<X>"


def test_runs_beyond_the_sentinels_stay_text():
    noise = np.array([[True, False, True, True, False, True]])
    assert sentinels.within_sentinels(noise, 3).tolist() == [[True, False, True, True, False, False]]


@pytest.mark.parametrize("seed", range(5))
def test_inputs_and_targets_together_hold_the_text_once(seed):
    generator = np.random.default_rng(seed)
    mask = set(np.flatnonzero(generator.random(11) < 0.3)[:4].tolist())
    batch = noised(mask)
    both = [*sentinels.sentinel_for_noise(batch).tokens[0], *sentinels.noise_after_sentinels(batch).tokens[0]]
    assert sorted(i for i in both if 0 < i < 100) == list(range(1, 12))
