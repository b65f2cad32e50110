"""The reference's numbers: computed once, and never taken for those of other weights or other pairs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pairs_by_hand import PAIRS, alone, network
from safetensors.numpy import save_file

from trivium.alignment.pairs import TokenPairs
from trivium.alignment.reference import kept_scores, log_probabilities
from trivium.errors import StoppedError
from trivium.transformer import Rotary


@torch.no_grad()
@pytest.mark.parametrize("tokens", [1, 4096])
def test_they_are_those_of_each_reply_alone(tokens: int) -> None:
    model = network(position=Rotary())
    seen: list[int] = []
    found = log_probabilities(model, TokenPairs(PAIRS, True), tokens, seen.append)
    expected = [[alone(model, pair.chosen)[0], alone(model, pair.rejected)[0]] for pair in PAIRS]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert seen == ([1, 2, 3] if tokens == 1 else [3])


class Reference:
    """Counts how often it is asked."""

    def __init__(self, value: float = -1.0) -> None:
        self.asked, self.value = 0, value

    def __call__(self) -> np.ndarray:
        self.asked += 1
        return np.full((3, 2), self.value, np.float32)


def test_they_are_computed_once_and_anew_for_other_weights_or_pairs(tmp_path: Path) -> None:
    path, reference = tmp_path / "data" / "reference.safetensors", Reference()
    pairs = TokenPairs(PAIRS, True)
    for _ in range(2):
        assert kept_scores(path, "weights", pairs, reference).tolist() == [[-1, -1]] * 3
    assert reference.asked == 1
    kept_scores(path, "other weights", pairs, reference)
    assert reference.asked == 2
    kept_scores(path, "other weights", TokenPairs(PAIRS[::-1], True), reference)
    assert reference.asked == 3


@pytest.mark.parametrize("damage", ["cut", "empty", "shape", "no hashes"])
def test_a_damaged_file_is_computed_anew(tmp_path: Path, damage: str) -> None:
    path, pairs = tmp_path / "reference.safetensors", TokenPairs(PAIRS, True)
    kept_scores(path, "weights", pairs, Reference())
    belongs = {"weights": "weights", "pairs": pairs.digest}
    if damage in ("cut", "empty"):
        path.write_bytes(path.read_bytes()[: 0 if damage == "empty" else -4])
    else:
        shape = (2, 2) if damage == "shape" else (3, 2)
        save_file({"log_probabilities": np.zeros(shape, np.float32)}, path, belongs if damage == "shape" else None)
    assert kept_scores(path, "weights", pairs, Reference(-2.0)).tolist() == [[-2, -2]] * 3


def test_numbers_that_are_not_finite_are_refused_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "reference.safetensors"
    with pytest.raises(StoppedError, match=r"log-probabilities of pair 1 are \[nan, nan\]"):
        kept_scores(path, "weights", TokenPairs(PAIRS, True), Reference(float("nan")))
    assert not path.exists()
