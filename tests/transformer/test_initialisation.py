"""First values: repeatable, independent of other parts, with the table's deviations."""

import pytest
import torch

from trivium.families import BERT, GPT2, T5
from trivium.transformer import SEQUENCE, Model, SequenceHead, TransformerConfig, initialise


def state(config: TransformerConfig, seed: int, heads: bool = False) -> dict[str, torch.Tensor]:
    model = Model(config, {SEQUENCE: SequenceHead(config, 2, "mean")} if heads else None)
    return initialise(model, seed).state_dict()


def test_the_seed_decides_and_the_global_generator_does_not():
    config = GPT2.size("tiny", vocab_size=50)
    torch.manual_seed(1)
    a = state(config, 0)
    torch.manual_seed(2)
    b, c = state(config, 0), state(config, 1)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not torch.equal(a["tokens.weight"], c["tokens.weight"])


def test_one_more_head_or_layer_changes_nothing_elsewhere():
    config = TransformerConfig(50, 32, 2, 64, decoder_layers=2)
    a, b = state(config, 0), state(config, 0, heads=True)
    deeper = state(TransformerConfig(50, 32, 2, 64, decoder_layers=3), 0)
    assert all(torch.equal(a[name], b[name]) and torch.equal(a[name], deeper[name]) for name in a)


@pytest.mark.parametrize(
    "config, expected",
    [
        (GPT2.size("mini", 2000), {"tokens.weight": 0.02, "attention.query.weight": 0.02, "up.weight": 0.02,
                                   "attention.output.weight": 0.02 / 2, "down.weight": 0.02 / 2}),
        # A normal distribution cut at two deviations has 0.8796 of its deviation left.
        (BERT.size("mini", 2000), {"tokens.weight": 0.0176, "attention.output.weight": 0.0176, "down.weight": 0.0176,
                                   "vocabulary.dense.weight": 0.0176}),
        (T5.size("mini", 2000), {"tokens.weight": 1.0, "attention.query.weight": (256 * 64) ** -0.5,
                                 "attention.key.weight": 1 / 16, "cross.value.weight": 1 / 16, "up.weight": 1 / 16,
                                 "attention.output.weight": 1 / 16, "down.weight": 1 / 32}),
    ],
    ids=["gpt2", "bert", "t5"],
)  # fmt: skip
def test_deviations_are_the_tables(config, expected):
    tensors = state(config, 0)
    for ending, deviation in expected.items():
        found = [name for name in tensors if name.endswith(ending)]
        assert found
        for name in found:
            assert tensors[name].std().item() == pytest.approx(deviation, rel=0.03), name
            assert abs(tensors[name].mean().item()) < 0.02 * deviation * 3, name


def test_truncation_norms_and_biases():
    tensors = state(BERT.size("mini", 500), 0)
    assert tensors["tokens.weight"].abs().max() <= 0.04
    for name, tensor in tensors.items():
        if name.endswith("bias"):
            assert not tensor.any(), name
        elif "norm" in name:
            assert (tensor == 1).all(), name
        else:
            assert tensor.std() > 0, name


def test_every_parameter_is_set():
    """No default of torch's shines through."""
    model = Model(T5.size("tiny", 50))
    for parameter in model.parameters():
        parameter.data.fill_(float("nan"))
    initialise(model, 0)
    assert all(parameter.isfinite().all() for parameter in model.parameters())
