import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trivium.tasks.batching import training_batches, within_budget


@given(st.lists(st.integers(1, 90), min_size=1, max_size=300), st.integers(1, 40), st.integers(0, 99))
def test_an_epoch_has_every_example_once(lengths, size, seed):
    batches = training_batches(np.array(lengths), size, seed, epoch=1)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert len(batches) == -(-len(lengths) // size)
    assert sum(len(batch) != size for batch in batches) <= 1


def test_order_is_a_pure_function_of_seed_and_epoch():
    lengths = np.random.default_rng(0).integers(1, 50, 200)

    def order(seed, epoch):
        return np.concatenate(training_batches(lengths, 16, seed, epoch)).tolist()

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(0, 1) and order(0, 0) != order(1, 0)


def test_similar_lengths_share_a_batch():
    lengths = np.random.default_rng(0).integers(1, 200, 2000)

    def padded(batches):
        return sum(len(batch) * lengths[batch].max() for batch in batches)

    grouped = padded(training_batches(lengths, 16, 0, 0))
    plain = padded(np.random.default_rng(1).permutation(2000).reshape(125, 16))
    assert grouped < 1.15 * lengths.sum() < 1.5 * lengths.sum() < plain


@given(st.lists(st.integers(1, 90), min_size=1, max_size=100), st.integers(1, 500))
def test_parts_fit_the_budget(lengths, tokens):
    sizes = np.array(lengths)
    parts = within_budget(sizes, np.arange(len(sizes)), tokens)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(sizes)))
    assert all(len(part) == 1 or len(part) * sizes[part].max() <= tokens for part in parts)
    for part, following in zip(parts, parts[1:], strict=False):  # no part could have taken one more
        assert (len(part) + 1) * sizes[following[0]] > tokens
