"""The layer mix against its formula, in every kind of network."""

import math
from collections.abc import Callable

import pytest
import torch

from trivium.recurrent import RecurrentConfig, RecurrentModel
from trivium.transformer import SEQUENCE, Inputs, Model, Network, Record, SequenceHead, Tokens, TransformerConfig
from trivium.transformer.layer_mix import LayerMix


def test_it_begins_as_the_mean_of_the_layers() -> None:
    layers = [torch.randn(2, 3, 4, dtype=torch.float64) for _ in range(3)]
    torch.testing.assert_close(LayerMix(3).double()(layers), torch.stack(layers).mean(0))


def test_the_formula_and_the_penalty() -> None:
    mix = LayerMix(3).double()
    with torch.no_grad():
        mix.scores.copy_(torch.tensor([0.3, -1.0, 2.0]))
        mix.scale.fill_(1.7)
    layers = [torch.randn(1, 2, 4, dtype=torch.float64) for _ in range(3)]
    exponents = [math.exp(s) for s in (0.3, -1.0, 2.0)]
    wanted = sum(1.7 * e / sum(exponents) * layer for e, layer in zip(exponents, layers, strict=True))
    torch.testing.assert_close(mix(layers), wanted)
    assert mix.weights.sum().item() == pytest.approx(1)
    assert mix.penalty().item() == pytest.approx(0.09 + 1 + 4)


def test_a_norm_makes_layers_of_any_size_count_alike() -> None:
    layers = [torch.randn(2, 3, 8), 100 * torch.randn(2, 3, 8) + 5]
    mixed = LayerMix(2, norm=True)(layers)
    wanted = torch.stack([(x - x.mean(-1, keepdim=True)) / x.std(-1, unbiased=False, keepdim=True) for x in layers])
    torch.testing.assert_close(mixed, wanted.mean(0), atol=1e-4, rtol=1e-3)


def test_dropout_falls_on_the_mixture_in_training() -> None:
    config = TransformerConfig(vocab_size=29, width=16, heads=2, ffn_width=32, encoder_layers=1)
    head = SequenceHead(config, 2, "mix", dropout=0.5)
    layers, side = [torch.randn(1, 3, 16), torch.randn(1, 3, 16)], Tokens(torch.ones(1, 3, dtype=torch.long))
    assert not torch.equal(head(layers, side), head(layers, side))
    head.eval()
    torch.testing.assert_close(head(layers, side), head.classifier(torch.stack(layers).mean(0).mean(1)))


def transformer(heads: Callable[..., dict[str, torch.nn.Module]], **layers: int) -> Model:
    config = TransformerConfig(vocab_size=29, width=16, heads=2, ffn_width=32, context=32, **layers)
    return Model(config, heads(config))


def recurrent(heads: Callable[..., dict[str, torch.nn.Module]], **fields: int) -> RecurrentModel:
    config = RecurrentConfig(vocab_size=29, width=16, **fields)
    return RecurrentModel(config, heads(config))


NETWORKS: dict[str, tuple[Callable[..., Network], dict[str, int], int]] = {
    "encoder": (transformer, {"encoder_layers": 3}, 4),
    "decoder": (transformer, {"decoder_layers": 2}, 3),
    "lstm": (recurrent, {"decoder_layers": 2}, 3),
    "two-way lstm": (recurrent, {"encoder_layers": 2, "state_width": 8}, 3),
    "lstm with a projection": (recurrent, {"decoder_layers": 3, "state_width": 24}, 2),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_mixes_its_own_layers_and_is_trained_through_them(name: str) -> None:
    torch.manual_seed(0)
    build, fields, count = NETWORKS[name]
    network = build(lambda config: {SEQUENCE: SequenceHead(config, 3, "mix", dropout=0.0)}, **fields).eval()
    ids = torch.randint(1, 29, (2, 6))
    side = Tokens(ids, documents=torch.tensor([[0] * 6, [0] * 4 + [-1] * 2]))
    inputs = Inputs(side, side)
    head = network.heads[SEQUENCE]
    assert isinstance(head, SequenceHead) and head.mix is not None and len(head.mix.scores) == count
    record = Record.empty()
    recorded = network(inputs, record=record)
    layers = [
        h for h in (record.encoder_hidden or record.decoder_hidden)[:-1] if h.shape[-1] == recorded.hidden.shape[-1]
    ]
    mean = torch.stack([*layers, recorded.hidden]).mean(0)
    pooled = torch.stack([mean[0].mean(0), mean[1, :4].mean(0)])
    found = network(inputs, heads=[SEQUENCE]).heads
    assert found is not None
    torch.testing.assert_close(found[SEQUENCE], head.classifier(pooled))
    again = network(inputs, heads=[SEQUENCE], record=Record.empty()).heads
    assert again is not None
    torch.testing.assert_close(again[SEQUENCE], found[SEQUENCE])
    found[SEQUENCE].sum().backward()
    assert network.tokens.weight.grad is not None and network.tokens.weight.grad.abs().sum() > 0
    assert head.mix.scores.grad is not None and head.mix.scores.grad.abs().sum() > 0
