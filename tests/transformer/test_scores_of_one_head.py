"""What one head says is the same whether or not the last layer computes the states that it does not read."""

import pytest
import torch

from trivium.families import FAMILIES
from trivium.families.bodies import initialise, network
from trivium.transformer import SEQUENCE, Inputs, Model, SequenceHead, Tokens
from trivium.transformer.adapters import DEFAULT, Adapters
from trivium.transformer.lora import Lora

B, T, V = 3, 11, 50


def made(family: str, pooling: str, dense: str | None = None) -> Model:
    config = FAMILIES[family].size("tiny", V, init_std=0.2)
    model = network(config, {SEQUENCE: SequenceHead(config, 3, pooling, dense=dense)})  # type: ignore[arg-type]
    return initialise(model, 0).eval()  # type: ignore[return-value]


def given(padded: bool) -> Tokens:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(3, V, (B, T), generator=generator)
    lengths = torch.tensor([T, 4, 1]) if padded else torch.full((B,), T)
    documents = torch.where(torch.arange(T) < lengths[:, None], 0, -1)
    return Tokens(ids, documents=documents if padded else None)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    ("family", "pooling", "dense"),
    [
        ("bert", "first", None), ("roberta", "first", "tanh"), ("distilbert", "first", "relu"), ("bert", "mean", None),
        ("gpt1", "last", None), ("gpt2", "last", None), ("gpt3", "last", None), ("llama", "last", None),
        ("t5", "last", "tanh"), ("xlnet", "last", "tanh"),
    ],
)  # fmt: skip
def test_equal_scores_and_gradients(family: str, pooling: str, dense: str | None, padded: bool) -> None:
    model, side = made(family, pooling, dense), given(padded)
    inputs = Inputs(side, side)
    whole = model(inputs, heads=(SEQUENCE,)).heads[SEQUENCE]
    whole.square().sum().backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    alone = model.scores(inputs, SEQUENCE)
    torch.testing.assert_close(alone, whole, rtol=1e-5, atol=1e-5)
    alone.square().sum().backward()
    found = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    largest = max(float(each.abs().max()) for each in expected.values())  # a key's bias has none but rounding
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6 * largest)


def test_the_last_layer_computes_one_state_of_a_row() -> None:
    model, side = made("bert", "first"), given(True)
    seen = []
    for layer in model.encoder.layers:
        layer.feed_forward.register_forward_hook(lambda module, args, out: seen.append(tuple(out.shape)))
    model.scores(Inputs(side), SEQUENCE)
    width = model.config.width
    assert seen == [(B, T, width)] * (len(seen) - 1) + [(B, 1, width)] and len(seen) > 1


def test_with_adapters() -> None:
    model, side = made("bert", "first"), given(True)
    adapters = Adapters(model)
    adapters.add(DEFAULT, Lora(rank=2), 0)
    adapters.use(DEFAULT)
    for name, parameter in model.named_parameters():
        if ".adapters." in name:
            torch.nn.init.normal_(parameter, std=0.1)
    whole = model(Inputs(side), heads=(SEQUENCE,)).heads[SEQUENCE]
    torch.testing.assert_close(model.scores(Inputs(side), SEQUENCE), whole, rtol=1e-5, atol=1e-5)
