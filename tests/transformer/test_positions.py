"""Sines, rotations and buckets, held against their published values."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.t5.modeling_t5 import T5Attention

from trivium.transformer.positions import RelativePositions, relative_buckets, rotate, rotations, sinusoids

CPU = torch.device("cpu")


def test_sinusoids_of_width_four():
    expected = [
        [0, 1, 0, 1],
        [0.841471, 0.540302, 0.01, 0.99995],
        [0.909297, -0.416147, 0.019999, 0.9998],
        [0.14112, -0.989992, 0.029996, 0.99955],
    ]
    torch.testing.assert_close(
        sinusoids(4, 4, CPU, torch.float32), torch.tensor(expected, dtype=torch.float32), atol=1e-6, rtol=0
    )


def test_rotary_rotates_halves():
    """Position 1 of (1, 0, 0, 1) with width 4: Hugging Face's half-split layout."""
    cosine, sine = rotations(2, 4, 10000.0, CPU, torch.float32)
    x = torch.tensor([[[[1.0, 0, 0, 1], [1.0, 0, 0, 1]]]])
    expected = torch.tensor([[1.0, 0, 0, 1], [0.540302, -0.01, 0.841471, 0.99995]])
    torch.testing.assert_close(rotate(x, cosine, sine)[0, 0], expected, atol=1e-6, rtol=0)


def test_rotary_products_depend_on_distance_alone():
    cosine, sine = rotations(40, 8, 100.0, CPU, torch.float32)
    q, k = torch.randn(8), torch.randn(8)

    def product(i: int, j: int) -> float:
        return float(rotate(q, cosine[i], sine[i]) @ rotate(k, cosine[j], sine[j]))

    assert product(3, 1) == pytest.approx(product(33, 31), abs=1e-4)
    assert product(3, 1) != pytest.approx(product(3, 2), abs=1e-3)


def test_t5_buckets_near():
    distance = torch.arange(-10, 11)
    assert relative_buckets(distance, 32, 128, True).tolist() == [
        8, 8, 8, 7, 6, 5, 4, 3, 2, 1, 0, 17, 18, 19, 20, 21, 22, 23, 24, 24, 24
    ]  # fmt: skip
    assert relative_buckets(distance, 32, 128, False).tolist() == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1] + [0] * 11


def test_t5_buckets_far():
    """The first distance that falls into each of the logarithmic buckets."""
    distance = -torch.arange(0, 200)
    both, one = (relative_buckets(distance, 32, 128, both_ways).tolist() for both_ways in (True, False))
    assert [both.index(bucket) for bucket in range(8, 16)] == [8, 12, 16, 23, 32, 46, 64, 91]
    assert [one.index(b) for b in range(16, 32)] == [
        16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113
    ]  # fmt: skip


@given(st.sampled_from([(32, 128), (8, 20), (16, 64)]), st.booleans())
def test_buckets_are_those_of_transformers(sizes, both_ways):
    distance = torch.arange(-300, 301)
    expected = T5Attention._relative_position_bucket(distance, both_ways, *sizes)
    assert torch.equal(relative_buckets(distance, *sizes, both_ways), expected)


@pytest.mark.parametrize("queries, keys", [(5, 5), (1, 6), (3, 7), (1, 1)])
@pytest.mark.parametrize("both_ways", [True, False])
def test_the_bias_of_each_pair_is_that_of_its_bucket(queries, keys, both_ways):
    positions = RelativePositions(8, 20, 3, both_ways)
    bias = positions(queries, keys)
    assert bias.shape == (1, 3, queries, keys)
    for i in range(queries):
        for j in range(keys):
            distance = torch.tensor(j - (i + keys - queries))
            assert torch.equal(bias[0, :, i, j], positions.bias.weight[relative_buckets(distance, 8, 20, both_ways)])


def test_tables_made_under_inference_mode_can_be_trained_with():
    with torch.inference_mode():
        cosine, sine = rotations(7, 6, 123.0, CPU, torch.float32)
    x = torch.randn(1, 1, 7, 6, requires_grad=True)
    rotate(x, cosine, sine).sum().backward()
    assert x.grad is not None
