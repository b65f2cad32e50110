"""What cannot be is refused with its numbers; the numbers of parameters are those of the equations."""

import pytest
import torch

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.recurrent import RecurrentConfig, RecurrentModel
from trivium.recurrent.stack import CELLS, Layer


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"width": 0}, "model.width is 0"),
        ({"state_width": 0}, "model.state_width is 0"),
        ({"dropout": 1.0}, "model.dropout is 1.0"),
        ({"decoder_layers": 0}, "nor both 0"),
        ({"decoder_layers": -1, "encoder_layers": 2}, "must not be negative"),
        ({"cell": "gated"}, "rnn, lstm, gru"),
        ({"attention": "dot"}, "additive, general"),
        ({"init": "normal"}, "uniform, orthogonal"),
        ({"vocabulary_head": "transform"}, "plain one, or none"),
    ],
)
def test_what_cannot_be_is_refused(fields: dict, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        RecurrentConfig(**{"vocab_size": 10, "width": 4, "decoder_layers": 1, **fields})


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
@pytest.mark.parametrize(("d", "h"), [(3, 5), (64, 32)])
def test_parameters_of_a_cell(cell: str, gates: int, d: int, h: int) -> None:
    """An LSTM has 4 (d h + h h + 2 h): a matrix from below, one from before and two biases for each gate."""
    config = RecurrentConfig(vocab_size=9, width=d, state_width=h, cell=cell, decoder_layers=1)
    counted = sum(parameter.numel() for parameter in Layer(config, d, both_ways=False).parameters())
    assert counted == gates * (d * h + h * h + 2 * h)
    assert sum(parameter.numel() for parameter in Layer(config, d, both_ways=True).parameters()) == 2 * counted
    assert set(CELLS) == {"rnn", "lstm", "gru"}


def test_a_whole_language_model() -> None:
    config = FAMILIES["lstm"].size("mini", 4096)
    assert (config.width, config.state, config.decoder_layers) == (256, 512, 1)
    with torch.device("meta"):
        total = sum(parameter.numel() for parameter in RecurrentModel(config).parameters())
    assert total == 4096 * 256 + 4 * (256 * 512 + 512 * 512 + 2 * 512) + 512 * 256 + 4096


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru", "seq2seq", "bilstm"])
def test_what_a_configuration_answers(name: str) -> None:
    config = FAMILIES[name].size("tiny", 50)
    assert config.limit is None and config.segments == 0
    assert config.carries_state == (name in ("rnn", "lstm", "gru"))
    assert config.pooling == ("last" if name in ("rnn", "lstm", "gru") else "mean")
    assert config.cell.upper() in config.describe()
    assert ("attention" in config.describe()) == (name == "seq2seq")
    with pytest.raises(SettingsError, match=f"a {name} model has no field 'heads'"):
        FAMILIES[name].size("tiny", 50, heads=2)
