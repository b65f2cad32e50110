"""The character encoder against its formula, and its sizes against the published ones."""

import numpy as np
import torch

from trivium.recurrent.char_cnn import CharacterEncoder, Highway
from trivium.recurrent.characters import spell
from trivium.recurrent.elmo_config import FILTERS

WORDS = ["bank", "a", "internationalisation", "zürich", "", "x" * 60]


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_published_sizes() -> None:
    with torch.device("meta"):
        encoder = CharacterEncoder(16, FILTERS, 2, 512)
    assert count(encoder.characters) + count(encoder.convolutions) == 203_360
    assert count(encoder.highways) == 16_785_408
    assert count(encoder.projection) == 1_049_088


def test_the_formula_word_by_word() -> None:
    """Plain numpy over every window of every word, nothing trimmed."""
    torch.manual_seed(0)
    encoder = CharacterEncoder(5, ((1, 3), (2, 4), (7, 6)), 2, 8).double()
    for highway in encoder.highways:
        torch.nn.init.normal_(highway.gate.bias)
    spelt = spell(WORDS, 30)
    found = encoder(torch.from_numpy(spelt)).detach().numpy()
    state = {name: value.detach().numpy() for name, value in encoder.named_parameters()}

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return state[f"{name}.weight"] @ x + state[f"{name}.bias"]

    for row, vector in zip(spelt, found, strict=True):
        embedded = state["characters.weight"][row]  # (C, width)
        parts = []
        for number, reach in enumerate((1, 2, 7)):
            kernel, bias = state[f"convolutions.{number}.weight"], state[f"convolutions.{number}.bias"]
            windows = [
                np.einsum("kw,fwk->f", embedded[start : start + reach], kernel) + bias
                for start in range(len(row) - reach + 1)
            ]
            parts.append(np.maximum(np.max(windows, axis=0), 0))
        x = np.concatenate(parts)
        for number in range(2):
            gate = 1 / (1 + np.exp(-linear(f"highways.{number}.gate", x)))
            x = gate * np.maximum(linear(f"highways.{number}.transform", x), 0) + (1 - gate) * x
        np.testing.assert_allclose(vector, linear("projection", x), atol=1e-12)


def test_a_word_does_not_depend_on_those_beside_it() -> None:
    torch.manual_seed(0)
    encoder = CharacterEncoder(5, ((1, 3), (3, 4)), 1, 8).double()
    together = encoder(torch.from_numpy(spell(WORDS)))
    for number, word in enumerate(WORDS):
        torch.testing.assert_close(encoder(torch.from_numpy(spell([word])))[0], together[number])
    assert encoder(torch.zeros(0, 50, dtype=torch.int16)).shape == (0, 8)


def test_a_word_as_wide_as_the_row_and_a_row_of_no_word() -> None:
    encoder = CharacterEncoder(4, ((1, 2), (6, 2)), 0, 3)
    assert encoder(torch.from_numpy(spell(["abcdefgh"], 6))).shape == (1, 3)
    assert encoder(torch.zeros(2, 6, dtype=torch.int16)).isfinite().all()


def test_a_highway_begins_by_letting_its_input_through() -> None:
    highway = Highway(4)
    torch.nn.init.constant_(highway.gate.bias, -30.0)
    torch.nn.init.zeros_(highway.gate.weight)
    x = torch.randn(3, 4)
    torch.testing.assert_close(highway(x), x)
