"""Mixtures: exact shares, every row once an epoch, the same rows from wherever a run starts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import SettingsError
from trivium.text import Layout, Mixture, cut, write_shards
from trivium.text.mixture import shares

# GPT-3's mixture (Brown et al. 2020, table 2.2): weights in percent, which sum to 101.
GPT3 = {"Common Crawl": 60, "WebText2": 22, "Books1": 8, "Books2": 8, "Wikipedia": 3}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Five sources of 41, 19, 12, 55 and 3 rows (a tenth of GPT-3's billions of tokens, rows as units)."""
    made = []
    for name, rows in zip(GPT3, (41, 19, 12, 55, 3), strict=True):
        folder = tmp_path_factory.mktemp("source")
        base = 1 + 100 * len(made)
        shards = write_shards(
            map(str, range(rows)),
            lambda texts, base=base: [[base + int(text)] * 3 for text in texts],
            0,
            600,
            folder,
            name,
        )
        made.append(cut(shards, Layout("stream", 4)))
        assert len(made[-1]) == rows
    return made


def test_gpt3s_weights_hold_exactly_in_every_cycle(sources):
    mixture = Mixture(sources, list(GPT3.values()), seed=1)
    assert mixture.cycle.tolist() == [60, 22, 8, 8, 3]
    source, _ = mixture.draw(np.arange(101 * 5))
    for cycle in range(5):
        assert np.bincount(source[cycle * 101 : cycle * 101 + 101]).tolist() == [60, 22, 8, 8, 3]
    assert len({tuple(source[start : start + 101]) for start in range(0, 505, 101)}) == 5  # each in its own order


@pytest.mark.parametrize("weights", [list(GPT3.values()), [0.6, 0.22, 0.08, 0.08, 0.03], [2**0.5, 1, 1, 1, 1]])
@pytest.mark.parametrize("first", [0, 12_345])
def test_the_shares_of_any_stretch_are_the_weights_within_four_sigma(sources, weights, first):
    source, _ = Mixture(sources, weights, seed=4).draw(np.arange(first, first + 10_000))
    for found, weight in zip(np.bincount(source, minlength=5), weights, strict=True):
        share = weight / sum(weights)
        assert abs(found - 10_000 * share) < 4 * (10_000 * share * (1 - share)) ** 0.5


def test_epochs_are_the_weights_times_the_draws_over_the_size(sources):
    """GPT-3's table, last column: the weight of the draws over the quantity of text."""
    mixture = Mixture(sources, list(GPT3.values()), seed=1)
    draws = 101 * 7
    expected = [7 * weight / rows for weight, rows in zip(GPT3.values(), (41, 19, 12, 55, 3), strict=True)]
    assert mixture.epochs(draws) == pytest.approx(expected, abs=1e-12)
    source, _ = mixture.draw(np.arange(250))
    assert mixture.epochs(250) == pytest.approx(np.bincount(source) / [41, 19, 12, 55, 3])
    assert mixture.epochs(0) == [0.0] * 5


def test_each_source_gives_every_row_once_an_epoch(sources):
    mixture = Mixture(sources, [60, 22, 8, 8, 3], seed=3)
    source, row = mixture.draw(np.arange(101 * 42))
    for index, blocks in enumerate(sources):
        # A source's draws fill its epochs: over whole cycles that are whole epochs, each row comes equally often.
        rows = row[source == index]
        whole = len(rows) // len(blocks) * len(blocks)
        assert rows.max() < len(blocks)
        counts = np.bincount(rows, minlength=len(blocks))
        assert counts.min() >= whole // len(blocks) - 1 and counts.max() <= whole // len(blocks) + 1


def test_rows_are_those_of_the_sources(sources):
    mixture = Mixture(sources, [1, 2, 1, 1, 1], seed=0)
    rows = mixture.rows(40, 25)
    source, row = mixture.draw(np.arange(40, 65))
    assert rows.draws.tolist() == list(range(40, 65))
    assert rows.tokens.tolist() == [[1 + 100 * s + r] * 3 + [0] for s, r in zip(source, row, strict=True)]


@given(first=st.integers(0, 10**12), count=st.integers(1, 40), cut_at=st.integers(0, 40))
def test_a_run_goes_on_from_anywhere(sources, first, count, cut_at):
    mixture = Mixture(sources, [0.5, 0.2, 0.1, 0.1, 0.1], seed=2)
    cut_at = min(cut_at, count)
    together = mixture.rows(first, count)
    parts = [mixture.rows(first, cut_at).tokens, mixture.rows(first + cut_at, count - cut_at).tokens]
    assert (np.concatenate(parts) == together.tokens).all()


def test_one_source_is_its_own_order(sources):
    mixture = Mixture.of(sources[0], seed=5)
    firsts = mixture.rows(0, 82).tokens[:, 0]
    assert sorted(firsts[:41]) == sorted(firsts[41:]) == list(range(1, 42))
    assert (
        firsts[:41].tolist()
        != firsts[41:].tolist()
        != Mixture.of(sources[0], seed=6).rows(41, 41).tokens[:, 0].tolist()
    )
    assert mixture.epochs(82) == [2.0]


@pytest.mark.parametrize(
    ("weights", "cycle"),
    [
        ([1, 1], [1, 1]),
        ([0.5, 0.25, 0.25], [2, 1, 1]),
        ([0.1, 0.2], [1, 2]),
        ([3], [1]),
        ([0.999999, 1e-6], [999999, 1]),
    ],
)
def test_cycles_are_the_smallest_whole_numbers(weights, cycle):
    assert shares(weights).tolist() == cycle


def test_irrational_weights_are_as_near_as_a_millionth():
    weights = np.array([2**0.5, 3**0.5, 5**0.5])
    found = shares(weights)
    assert found.sum() <= 1_000_000 and np.abs(found / found.sum() - weights / weights.sum()).max() < 1e-6


@pytest.mark.parametrize("weights", [[1, 0], [1, -1], [1, float("nan")], [1, float("inf")], [1, 1e-9]])
def test_weights_that_cannot_be(weights):
    with pytest.raises(SettingsError, match="weights"):
        shares(weights)


def test_sources_and_weights_must_match(sources):
    with pytest.raises(SettingsError, match="5 sources have 1 weights"):
        Mixture(sources, [1.0], 0)
