"""Which words are kept, and word2vec's formulas on their counts: the worked numbers and frequencies of real draws."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import DataError, SettingsError
from trivium.vectors import word2vec_kernels as kernels
from trivium.vectors.sentences import END, read_corpus
from trivium.vectors.vocabulary import (
    VocabularySettings,
    keep_frequent,
    keep_probabilities,
    noise_probabilities,
    prepare,
)

TEXT = ["b a c\na b d b\n", "e c a b d"]


def test_words_by_falling_count_and_ties_by_first_appearance() -> None:
    corpus = prepare(TEXT, VocabularySettings(min_count=1))
    assert corpus.words == ["b", "a", "c", "d", "e"]
    assert corpus.counts.tolist() == [4, 3, 2, 2, 1]
    assert corpus.ids.tolist() == [0, 1, 2, END, 1, 0, 3, 0, END, 4, 2, 1, 0, 3, END]


def test_many_ties_stay_in_the_order_of_the_text() -> None:
    times = {f"w{n}": 2 + n % 3 for n in np.random.default_rng(0).permutation(500)}
    text = " ".join([*times, *(word for word in reversed(times) for _ in range(times[word] - 1))])
    expected = sorted(times, key=lambda word: -times[word])  # Python's sort keeps the order of equals
    assert prepare([text], VocabularySettings(min_count=2)).words == expected


def test_rare_words_leave_no_gap() -> None:
    corpus = prepare(TEXT, VocabularySettings(min_count=3))
    assert corpus.words == ["b", "a"]
    assert corpus.ids.tolist() == [0, 1, END, 1, 0, 0, END, 1, 0, END]
    assert prepare(TEXT, VocabularySettings(min_count=1, max_words=3)).words == ["b", "a", "c"]


@given(st.lists(st.text(alphabet="abcdef ", min_size=1, max_size=30), min_size=1, max_size=6), st.integers(1, 3))
def test_kept_words_are_those_of_a_plain_count(documents: list[str], least: int) -> None:
    counted = Counter(word for document in documents for word in document.split())
    kept = {word: times for word, times in counted.items() if times >= least}
    if len(kept) < 2:
        with pytest.raises(DataError):
            prepare(documents, VocabularySettings(min_count=least))
        return
    corpus = prepare(documents, VocabularySettings(min_count=least))
    assert dict(zip(corpus.words, corpus.counts.tolist(), strict=True)) == kept
    assert np.all(np.diff(corpus.counts) <= 0)
    running = [word for document in documents for word in document.split() if word in kept]
    assert [corpus.words[n] for n in corpus.ids if n != END] == running


def test_a_count_that_leaves_no_words_says_which_would() -> None:
    with pytest.raises(DataError, match="min_count = 9 leaves 0 of 5 different words.*min_count = 3 or less"):
        prepare(TEXT, VocabularySettings(min_count=9))
    with pytest.raises(DataError, match="give more text"):
        prepare(["alone alone"], VocabularySettings(min_count=1))
    with pytest.raises(DataError, match="no words"):
        prepare(["", " \n"], VocabularySettings())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"min_count": 0}, "min_count is 0"),
        ({"max_words": 1}, "max_words is 1"),
        ({"memory": 5}, "memory is 5 bytes"),
        ({"phrases": (100.0, -1.0)}, "threshold -1.0"),
        ({"pattern": "("}, "no regular expression"),
    ],
)
def test_settings_that_cannot_be(changed: dict, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        VocabularySettings(**changed)


def test_the_given_corpus_is_used_up_not_copied() -> None:
    corpus = read_corpus(TEXT)
    assert keep_frequent(corpus, 2).ids.base is not None


# ---- subsampling ----


def test_worked_numbers_of_subsampling() -> None:
    # t = 1e-3; shares of the running text 0.1, 0.01 and 0.001 (and one word that fills the rest).
    counts = np.array([88_900, 10_000, 1_000, 100])
    assert keep_probabilities(counts, 1e-3, "paper")[1:] == pytest.approx([0.1, 0.316228, 1], abs=1e-6)
    assert keep_probabilities(counts, 1e-3, "code")[1:] == pytest.approx([0.11, 0.416228, 1], abs=1e-6)
    assert keep_probabilities(counts, 0).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize("rule", ["code", "paper"])
def test_words_are_kept_as_often_as_the_formula_says(rule: str) -> None:
    counts = np.array([60_000, 30_000, 10_000, 90])
    keep = keep_probabilities(counts, 1e-3, rule)  # type: ignore[arg-type]
    ids = np.random.default_rng(0).permutation(np.repeat(np.arange(4), counts)).astype(np.int32)
    sentence, state = np.zeros(kernels.LONGEST, np.int32), np.array([1], np.uint64)
    at, kept = 0, np.zeros(4)
    while at < len(ids):
        at, length = kernels.next_sentence(ids, at, len(ids), keep, state, sentence)
        assert length <= 1000
        kept += np.bincount(sentence[:length], minlength=4)
    sigma = np.sqrt(counts * keep * (1 - keep))
    assert np.all(np.abs(kept - counts * keep) <= 4 * sigma)
    assert kept[3] == 90  # rarer than t: all stay


# ---- noise ----


def test_worked_numbers_of_the_noise() -> None:
    counts = np.array([100, 16, 16, 1])
    assert (counts**0.75).sum() == pytest.approx(48.622777, abs=1e-6)
    assert noise_probabilities(counts) == pytest.approx([0.650370, 0.164532, 0.164532, 0.020566], abs=1e-6)
    assert noise_probabilities(counts, 1.0) == pytest.approx([0.7519, 0.1203, 0.1203, 0.0075], abs=1e-4)


@pytest.mark.parametrize("counts", [[100, 16, 16, 1], [5, 5], [1000, 1, 1, 1, 1], list(range(400, 0, -1))])
def test_noise_is_drawn_as_often_as_the_formula_says(counts: list[int]) -> None:
    probabilities = noise_probabilities(np.array(counts))
    alias = kernels.build_alias(probabilities)
    # The table holds the distribution itself, to 32 bits...
    own = alias[:, 0].astype(np.float64) / 2**32
    held = own.copy()
    np.add.at(held, alias[:, 1].astype(np.int64), 1 - own)
    assert held / len(counts) == pytest.approx(probabilities, abs=1e-9)
    # ... and draws follow it.
    state, draws = np.array([7], np.uint64), 200_000
    drawn = np.bincount([kernels.draw_noise(state, alias) for _ in range(draws)], minlength=len(counts))
    sigma = np.sqrt(draws * probabilities * (1 - probabilities))
    assert np.all(np.abs(drawn - draws * probabilities) <= 4 * sigma)


def test_window_radii_are_uniform() -> None:
    state, draws, window = np.array([3], np.uint64), 100_000, 5
    radii = np.bincount([window - kernels.draw(state, window) for _ in range(draws)], minlength=6)
    assert radii[0] == 0
    assert np.all(np.abs(radii[1:] - draws / 5) <= 4 * np.sqrt(draws * 0.2 * 0.8))
