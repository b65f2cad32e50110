"""Attention views: numbers that sum to 1 and agree with brute force, then a picture that shows those numbers."""

import json
import re

import numpy as np
import pytest
import torch

from trivium.errors import TriviumError
from trivium.transformer import Record
from trivium.views import attention, attention_picture, head_summaries

TOKENS = ["<s>", "Return", " the", " <b>list</b>", "</s>"]


def recorded(layers: int = 2, heads: int = 3, queries: int = 7, keys: int = 7, valid: int = 5) -> Record:
    """Attention of a batch of 2 whose second row has ``valid`` real tokens; padding keys get nothing."""
    generator = torch.Generator().manual_seed(0)
    record = Record.empty()
    for _ in range(layers):
        scores = torch.randn(2, heads, queries, keys, generator=generator)
        scores[1, :, :, valid:] = -torch.inf
        record.encoder_attention.append(scores.softmax(-1))
    return record


def test_rows_sum_to_one_without_padding() -> None:
    view = attention(recorded(), TOKENS, row=1)
    assert view.weights.shape == (2, 3, 5, 5)
    np.testing.assert_allclose(view.weights.sum(-1), 1, atol=1e-5)


def test_tokens_that_leave_out_weight_are_refused() -> None:
    with pytest.raises(TriviumError, match="rows sum to"):
        attention(recorded(), TOKENS[:3], row=1)
    with pytest.raises(TriviumError, match=r"8 x 8 tokens were given for attention of 7 x 7"):
        attention(recorded(), [str(i) for i in range(8)])
    with pytest.raises(TriviumError, match="no decoder attention"):
        attention(recorded(), TOKENS, stack="decoder")


def test_cross_attention_has_its_own_columns() -> None:
    record = Record.empty()
    record.cross_attention.append(torch.full((1, 2, 3, 4), 0.25))
    view = attention(record, list("abc"), list("wxyz"), stack="cross")
    assert view.weights.shape == (1, 2, 3, 4)
    with pytest.raises(TriviumError, match="source tokens"):
        attention(record, list("abc"), stack="cross")


def test_summaries_of_known_heads() -> None:
    t = 4
    previous = np.eye(t, k=-1)
    previous[0, 0] = 1
    record = Record.empty()
    heads = [np.eye(t), previous, np.full((t, t), 1 / t)]
    record.decoder_attention.append(torch.tensor(np.stack(heads))[None])
    same, before, uniform = head_summaries(attention(record, list("abcd"), stack="decoder"))
    assert (same.entropy, same.same, same.previous, same.next) == (0, 1, 0, 0)
    assert (before.previous, before.first) == (1, 0.5)
    assert uniform.entropy == pytest.approx(2)
    assert (uniform.previous, uniform.same, uniform.next, uniform.first) == pytest.approx((0.25,) * 4)


def test_json_carries_the_numbers() -> None:
    view = attention(recorded(), TOKENS, row=1)
    read = json.loads(json.dumps(view.to_json()))
    np.testing.assert_allclose(np.array(read["weights"]), view.weights, atol=1e-6)
    assert read["queries"] == TOKENS
    assert [(h["layer"], h["head"]) for h in read["heads"]] == [(la, h) for la in (1, 2) for h in (1, 2, 3)]


def test_picture_has_a_map_for_each_head_and_prints_its_weights() -> None:
    view = attention(recorded(), TOKENS, row=1)
    picture = str(attention_picture(view, "demo", start=(2, 3)))
    assert "<b>" not in picture
    assert "&lt;b&gt;list&lt;/b&gt;" in picture
    assert re.findall(r'id="demo-([lh]\d)" aria-label="[^"]*" checked', picture) == ["l2", "h3"]
    maps = re.split(r'<div class="l\d+h\d+">', picture)[1:]
    assert len(maps) == 6
    for index, one in enumerate(maps):
        printed = sorted(map(int, re.findall(r'class="(?:value|over)">(\d+)<', one)))
        weights = view.weights[index // 3, index % 3]
        assert printed == sorted(int(100 * w + 0.5) for w in weights.flat if w >= 0.095)


def test_identifiers_are_checked() -> None:
    with pytest.raises(TriviumError, match="no identifier"):
        attention_picture(attention(recorded(), TOKENS, row=1), 'x"><script>')
