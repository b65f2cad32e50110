import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.objectives import noise
from trivium.randomness import Draws


@pytest.mark.parametrize(
    ("length", "tokens", "spans"),
    [(10, 2, 1), (11, 2, 1), (20, 3, 1), (32, 5, 2), (100, 15, 5), (512, 77, 26), (568, 85, 28)],
)
def test_the_counts_of_t5(length, tokens, spans):
    assert [int(x[0]) for x in noise.span_counts(np.array([length]), 0.15, 3.0)] == [tokens, spans]
    mask = noise.random_spans(np.array([length]), length, Draws(0, np.array([5])), 0.15, 3.0)[0]
    starts = mask & ~np.r_[False, mask[:-1]]
    assert (mask.sum(), starts.sum()) == (tokens, spans)
    assert not mask[0] and mask[-1]  # text first, noise last


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(0, 2**40), st.floats(0.05, 0.9), st.floats(1, 6)
)
def test_every_row_has_its_own_counts_whatever_the_batch(lengths, seed, rate, mean):
    sizes, draws = np.array(lengths), Draws(seed, np.arange(len(lengths)) * 7)
    mask = noise.random_spans(sizes, 60, draws, rate, mean)
    wanted, spans = noise.span_counts(sizes, rate, mean)
    for row, length in enumerate(lengths):
        alone = noise.random_spans(sizes[[row]], 60, Draws(seed, draws.examples[[row]]), rate, mean)[0]
        assert (mask[row] == alone).all()
        assert not mask[row, length:].any()
        if length >= 2:
            starts = mask[row] & ~np.r_[False, mask[row, :-1]]
            assert (mask[row].sum(), starts.sum()) == (wanted[row], spans[row])
        else:
            assert not mask[row].any()


def test_segmentations_are_uniform():
    """10 tokens, 4 of noise in 2 spans: 5 ways to cut the text times 3 ways to cut the noise, all equally likely."""
    count = 15_000
    masks = noise.random_spans(np.full(count, 10), 10, Draws(3, np.arange(count)), 0.4, 2.0)
    seen, times = np.unique(masks, axis=0, return_counts=True)
    assert len(seen) == 15
    sigma = (count * (1 / 15) * (14 / 15)) ** 0.5
    assert np.abs(times - count / 15).max() < 4.5 * sigma


def test_coins_fall_at_the_rate():
    mask = noise.iid(np.full(1000, 50), 64, Draws(1, np.arange(1000)), 0.15, 3.0)
    assert not mask[:, 50:].any()
    assert abs(mask.sum() - 7500) < 4 * (50_000 * 0.15 * 0.85) ** 0.5
