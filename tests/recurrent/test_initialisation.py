"""Every weight as the table says, whatever else is in the model."""

import pytest
import torch

from trivium.recurrent import RecurrentConfig, RecurrentModel, initialise
from trivium.transformer import SEQUENCE, SequenceHead


def made(seed: int = 0, heads: bool = False, **fields: object) -> RecurrentModel:
    settings: dict = {"vocab_size": 900, "width": 48, "state_width": 64, "decoder_layers": 2, **fields}
    config = RecurrentConfig(**settings)
    return initialise(RecurrentModel(config, {SEQUENCE: SequenceHead(config, 2, "last")} if heads else None), seed)


def test_uniform() -> None:
    model = made(init="uniform", init_std=0.1, forget_bias=1.5)
    assert model.tokens.weight.detach().std() == pytest.approx(0.1, rel=0.02)
    cell = model.decoder.layers[1].cell
    for weight in (cell.weight_ih_l0, cell.weight_hh_l0):
        assert weight.detach().abs().max() == pytest.approx(64**-0.5, rel=0.01)
        assert weight.detach().std() == pytest.approx(64**-0.5 / 3**0.5, rel=0.02)
    assert torch.equal(cell.bias_ih_l0, torch.cat([torch.zeros(64), torch.full((64,), 1.5), torch.zeros(128)]))
    assert not cell.bias_hh_l0.any() and not model.vocabulary.bias.any()
    assert model.decoder.projection.weight.detach().abs().max() == pytest.approx(64**-0.5, rel=0.01)


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("lstm", 4), ("gru", 3)])
def test_orthogonal_gate_by_gate(cell: str, gates: int) -> None:
    layer = made(cell=cell, init="orthogonal", forget_bias=1.0).decoder.layers[0].cell
    for gate in layer.weight_hh_l0.split(64):
        torch.testing.assert_close(gate @ gate.T, torch.eye(64), atol=1e-5, rtol=0)
    assert len(layer.weight_ih_l0.split(64)) == gates
    assert layer.weight_ih_l0.detach().abs().max() == pytest.approx((6 / (48 + 64)) ** 0.5, rel=0.01)
    assert bool(layer.bias_ih_l0.any()) == (cell == "lstm")


def test_a_head_changes_no_other_number_and_a_seed_all() -> None:
    plain, topped, other = made().state_dict(), made(heads=True).state_dict(), made(seed=1).state_dict()
    assert all(torch.equal(plain[name], topped[name]) for name in plain)
    assert not any(torch.equal(plain[name], other[name]) for name in plain if "bias" not in name)
