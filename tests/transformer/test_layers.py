"""The block's formulas: norms, activations, residuals before and after; parameter counts in closed form."""

import pytest
import torch
from torch import nn

from trivium.transformer import Model, RelativeBias, TransformerConfig
from trivium.transformer.layers import ACTIVATIONS, FeedForward, Layer, RMSNorm, Surroundings
from trivium.transformer.masks import Mask

AROUND = Surroundings(Mask())


def test_published_values_of_activations():
    x = torch.tensor([-1.0, 0.5, 1.0, 2.0])
    expected = {
        "gelu": [-0.158655, 0.345731, 0.841345, 1.9545],
        "gelu_tanh": [-0.158808, 0.345714, 0.841192, 1.954598],
        "silu": [-0.268941, 0.31123, 0.731059, 1.761594],
        "relu": [0.0, 0.5, 1.0, 2.0],
    }
    assert set(expected) == set(ACTIVATIONS)
    for name, values in expected.items():
        torch.testing.assert_close(ACTIVATIONS[name](x), torch.tensor(values), atol=1e-6, rtol=0)


def test_published_values_of_norms():
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])
    rms = torch.tensor([0.365148, 0.730297, 1.095445, 1.460593])
    torch.testing.assert_close(RMSNorm(4, 0.0)(x), rms, atol=1e-6, rtol=0)
    layer = torch.tensor([-1.341635, -0.447212, 0.447212, 1.341635])
    torch.testing.assert_close(nn.LayerNorm(4, eps=1e-5)(x), layer, atol=1e-6, rtol=0)


def test_rms_norm_agrees_with_torch_forward_and_backward():
    ours, theirs = RMSNorm(24, 1e-6), nn.RMSNorm(24, eps=1e-6)
    ours.weight.data.normal_()
    theirs.weight.data = ours.weight.data.clone()
    x = torch.randn(3, 5, 24)
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    out, expected = ours(a), theirs(b)
    torch.testing.assert_close(out, expected)
    for result in (out, expected):
        (result * torch.linspace(-1, 1, result.numel()).view_as(result)).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)


def test_rms_norm_in_bfloat16_takes_its_mean_in_float32():
    x = torch.randn(4, 512).bfloat16()
    expected = nn.RMSNorm(512, eps=1e-6)(x.float())
    torch.testing.assert_close(RMSNorm(512, 1e-6).bfloat16()(x).float(), expected, rtol=2e-2, atol=1e-3)


@pytest.mark.parametrize("activation", ["relu", "silu"])
def test_feed_forward_gated_and_not(activation):
    config = TransformerConfig(9, 6, 2, 10, encoder_layers=1, activation=activation)
    x, act = torch.randn(2, 3, 6), ACTIVATIONS[activation]
    plain = FeedForward(config)
    expected = act(x @ plain.up.weight.T + plain.up.bias) @ plain.down.weight.T + plain.down.bias
    torch.testing.assert_close(plain(x), expected)
    gated = FeedForward(TransformerConfig(9, 6, 2, 10, encoder_layers=1, activation=activation, gated=True, bias=False))
    expected = (act(x @ gated.gate.weight.T) * (x @ gated.up.weight.T)) @ gated.down.weight.T
    torch.testing.assert_close(gated(x), expected)


def test_post_norm_block_in_closed_form():
    """x <- LN(x + MHA(x)); x <- LN(x + FFN(x)): Vaswani et al. 2017, section 3.1."""
    layer = Layer(TransformerConfig(9, 8, 2, 12, encoder_layers=1, norm_place="post"), 0, cross=False)
    x = torch.randn(2, 5, 8)
    y = layer.attention_norm(x + layer.attention(x, None, Mask()))
    torch.testing.assert_close(layer(x, AROUND), layer.feed_forward_norm(y + layer.feed_forward(y)))


def test_pre_norm_block_in_closed_form():
    """x <- x + MHA(LN(x)); x <- x + FFN(LN(x)): Radford et al. 2019, section 2.3."""
    layer = Layer(TransformerConfig(9, 8, 2, 12, encoder_layers=1, norm_place="pre"), 0, cross=False)
    x = torch.randn(2, 5, 8)
    y = x + layer.attention(layer.attention_norm(x), None, Mask())
    torch.testing.assert_close(layer(x, AROUND), y + layer.feed_forward(layer.feed_forward_norm(y)))


def test_cross_attention_stands_between():
    layer = Layer(TransformerConfig(9, 8, 2, 12, encoder_layers=1, decoder_layers=1), 0, cross=True)
    x, memory = torch.randn(2, 5, 8), torch.randn(2, 7, 8)
    y = x + layer.attention(layer.attention_norm(x), None, Mask())
    y = y + layer.cross(layer.cross_norm(y), memory, Mask())
    expected = y + layer.feed_forward(layer.feed_forward_norm(y))
    torch.testing.assert_close(layer(x, Surroundings(Mask(), memory=memory)), expected)


def test_dropout_at_rate_zero_draws_nothing():
    model = Model(TransformerConfig(9, 8, 2, 12, encoder_layers=2)).train()
    layer = model.encoder.layers[0]
    state = torch.get_rng_state()
    layer(torch.randn(1, 3, 8, generator=torch.Generator()), AROUND)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("L, d, V, n", [(2, 8, 30, 16), (5, 24, 100, 7)])
def test_closed_forms_of_parameter_counts(L, d, V, n):
    def count(**fields: object) -> int:
        config = TransformerConfig(V, d, 2, 4 * d, context=n, **fields)
        return sum(p.numel() for p in Model(config).parameters())

    assert count(decoder_layers=L) == V * d + n * d + L * (12 * d**2 + 13 * d) + 2 * d
    bert = {"encoder_layers": L, "norm_place": "post", "embedding_norm": True, "segments": 2, "pooler": True}
    encoder = (V + n + 2) * d + 2 * d + L * (12 * d**2 + 13 * d) + d**2 + d
    assert count(**bert) == encoder
    assert count(**bert, vocabulary_head="transform") == encoder + d**2 + 3 * d + V
    i, f, heads = 2 * 3, 4 * d, 2
    t5 = {"encoder_layers": L, "decoder_layers": L, "norm": "rms", "bias": False, "head_width": 3}
    expected = (
        V * d + L * (4 * d * i + 2 * d * f + 2 * d) + L * (8 * d * i + 2 * d * f + 3 * d) + 2 * 32 * heads + 2 * d
    )
    assert count(**t5, position=RelativeBias()) == expected
