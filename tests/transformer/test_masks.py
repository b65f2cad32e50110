"""Who may see whom."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trivium.transformer import Tokens
from trivium.transformer.masks import Mask, additive, causal, cross_mask, in_prefix, same_document, self_mask

CPU = torch.device("cpu")


def visible(mask: Mask, queries: int, keys: int) -> torch.Tensor:
    bias = mask.explicit(queries, keys, CPU, torch.float32)
    return torch.ones(1, 1, queries, keys, dtype=torch.bool) if bias is None else bias == 0


def test_causal_is_the_lower_triangle_and_bidirectional_the_full_square():
    x, side = torch.zeros(1, 4, 2), Tokens(torch.zeros(1, 4, dtype=torch.long))
    expected = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]).bool()
    assert torch.equal(visible(self_mask(x, side, 0, True, None), 4, 4)[0, 0], expected)
    assert visible(self_mask(x, side, 0, False, None), 4, 4).all()


def test_no_mask_is_built_where_kernels_know_it():
    x, side = torch.zeros(1, 4, 2), Tokens(torch.zeros(1, 4, dtype=torch.long))
    assert self_mask(x, side, 0, True, None) == Mask(causal=True)
    assert self_mask(x, side, 0, False, None) == Mask()
    assert self_mask(x[:, :1], side, 7, True, None) == Mask(), "one new token sees all that was cached"
    first = Mask(causal=True).explicit(4, 4, CPU, torch.float32)
    assert first is Mask(causal=True).explicit(4, 4, CPU, torch.float32), "made once"


def test_new_tokens_see_the_cache_and_what_is_before_them():
    expected = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]).bool()
    assert torch.equal(causal(2, 4, CPU), expected)


def test_documents_separate_and_padding_is_hidden():
    documents = torch.tensor([[0, 0, 1, -1]])
    expected = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]).bool()
    assert torch.equal(same_document(documents, documents)[0, 0], expected)


def test_a_prefix_is_seen_from_everywhere():
    prefix = torch.tensor([[True, True, False, False]])
    x, side = torch.zeros(1, 4, 2), Tokens(torch.zeros(1, 4, dtype=torch.long), prefix=prefix)
    expected = torch.tensor([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]).bool()
    assert torch.equal(visible(self_mask(x, side, 0, True, None), 4, 4)[0, 0], expected)
    assert in_prefix(prefix, 6).tolist() == [[[[False, False, True, True, False, False]]]]


def test_a_row_without_visible_keys_gives_a_mean_and_no_nan():
    bias = additive(torch.zeros(1, 1, 1, 3, dtype=torch.bool), torch.float32)
    assert torch.equal((bias + 1.5).softmax(-1), torch.full((1, 1, 1, 3), 1 / 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_hidden_keys_get_exactly_no_weight(dtype):
    bias = additive(torch.tensor([True, False]), dtype)
    assert (torch.tensor([-30.0, 30.0], dtype=dtype) + bias).softmax(-1).tolist() == [1.0, 0.0]


@given(st.lists(st.integers(-1, 3), min_size=1, max_size=8), st.integers(0, 4), st.booleans(), st.data())
def test_self_masks_are_what_the_definitions_say(documents, past, causally, data):
    """Every entry by the words: same document; near; not after the query, unless in the prefix."""
    band = data.draw(st.none() | st.integers(1, 9))
    past = min(past, len(documents) - 1)
    T, S = len(documents) - past, len(documents)
    prefix = data.draw(st.lists(st.booleans(), min_size=T, max_size=T))
    known = torch.tensor([documents])
    side = Tokens(torch.zeros(1, T, dtype=torch.long), prefix=torch.tensor([prefix]) if T > 1 else None)
    found = visible(self_mask(torch.zeros(1, T, 2), side, past, causally, known, band), T, S)[0, 0]
    for i in range(T):
        for j in range(S):
            early = j <= past + i or (T > 1 and j >= past and prefix[j - past])
            near = band is None or abs(past + i - j) < band
            assert found[i, j] == (near and (not causally or early) and documents[past + i] == documents[j])


def test_cross_attention_sees_the_same_documents_and_no_padding():
    x = torch.zeros(1, 3, 2)
    keys = torch.tensor([[0, 0, 1, -1]])
    queries = torch.tensor([[0, 1, -1]])
    expected = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]).bool()
    assert torch.equal(visible(cross_mask(x, queries, keys), 3, 4)[0, 0], expected)
    alone = visible(cross_mask(x, None, keys), 3, 4)[0, 0]
    assert torch.equal(alone, torch.tensor([[1, 1, 0, 0]] * 3).bool()), "targets without numbers are document 0"
    assert cross_mask(x, None, None) == Mask()
