"""Pairs as rows: the common beginning is read once, and every number is that of two rows read apart."""

import numpy as np
import pytest
import torch
from pairs_by_hand import PAIRS, alone, config, network, pair

from trivium.alignment.pairs import PREFERENCE, Side, TokenPair, TokenPairs, pair_batch, reads_endings
from trivium.alignment.preference import PreferenceOptimisation, reply_scores
from trivium.alignment.reward import RewardModelling, rewards_at
from trivium.transformer import Band, Learned, NoPosition, RelativeBias, Rotary, Sinusoidal

POSITIONS = {"learned": Learned(), "sinusoidal": Sinusoidal(), "rotary": Rotary(100.0), "none": NoPosition()}


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("position", list(POSITIONS))
@torch.no_grad()
def test_every_reply_has_the_numbers_that_it_has_alone(position: str, shared: bool) -> None:
    model = network(position=POSITIONS[position], kv_heads=2)
    batch = pair_batch(TokenPairs(PAIRS, shared), np.arange(3))
    expected = [alone(model, side) for side in (*(p.chosen for p in PAIRS), *(p.rejected for p in PAIRS))]
    sums, tokens = reply_scores(model, batch)
    rewards = rewards_at(model, batch.inputs, batch.targets["last"])
    torch.testing.assert_close(sums.tolist(), [total for total, _ in expected], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(rewards.tolist(), [reward for _, reward in expected], rtol=1e-5, atol=1e-5)
    assert tokens.tolist() == [2, 4, 1, 1, 3, 3]


def test_the_common_beginning_is_read_once() -> None:
    batch = pair_batch(TokenPairs(PAIRS, True), np.array([1]))
    assert batch.inputs.target is not None
    assert batch.inputs.target.ids.tolist() == [[7, 8, 9, 10, 11, 12, 13]]
    assert batch.inputs.target.positions is not None and batch.inputs.target.branches is not None
    assert batch.inputs.target.positions.tolist() == [[0, 1, 2, 3, 4, 5, 4]]
    assert batch.inputs.target.branches.tolist() == [[0, 0, 0, 0, 1, 1, 2]]
    assert batch.targets["at"].tolist() == [1, 2, 3, 4, 1, 2, 3]
    assert batch.targets["tokens"].tolist() == [9, 10, 11, 12, 9, 10, 13]
    assert batch.targets["last"].tolist() == [5, 6]
    assert batch.tokens == 7
    assert TokenPairs(PAIRS, True).lengths.tolist() == [6, 7, 8]
    assert TokenPairs(PAIRS, False).lengths.tolist() == [10, 12, 16]


@pytest.mark.parametrize("shared", [True, False])
def test_the_other_replys_tokens_and_what_comes_after_change_nothing(shared: bool) -> None:
    model = network(position=Rotary())
    other = (PAIRS[0], pair([7, 8], [9, 10, 11, 12], [9, 10, 20, 21, 22]), PAIRS[2])
    with torch.no_grad():
        first, second = (reply_scores(model, pair_batch(TokenPairs(p, shared), np.arange(3))) for p in (PAIRS, other))
    torch.testing.assert_close(first.sums[[0, 1, 2, 3, 5]], second.sums[[0, 1, 2, 3, 5]], rtol=1e-5, atol=1e-5)
    assert first.sums[4] != second.sums[4]


@pytest.mark.parametrize("objective", ["reward", "dpo"])
def test_gradients_are_those_of_rows_apart(objective: str) -> None:
    found = []
    for shared in (True, False):
        model = network(position=Rotary(), kv_heads=2)
        pairs, numbers = TokenPairs(PAIRS, shared), np.array([2, 0, 1])
        if objective == "reward":
            learning = RewardModelling(center=0.1)
            losses = learning.loss(model, learning.batch(pairs, numbers))
        else:
            chosen = PreferenceOptimisation(label_smoothing=0.1, imitation=0.5)
            reference = np.array([[-3, -4], [-5, -6], [-7, -8]], np.float32)
            batch = chosen.batch(pairs, numbers, reference)
            assert batch.targets["reference"].tolist() == [-7, -3, -5, -8, -4, -6]
            losses = chosen.loss(model, batch)
        losses[PREFERENCE].total.backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert found[0].keys() == found[1].keys()
    for name, gradient in found[0].items():
        torch.testing.assert_close(gradient, found[1][name], rtol=1e-4, atol=1e-5, msg=name)


def test_figures_are_watched_and_count_nothing() -> None:
    model = network(position=Rotary())
    reference = np.zeros((3, 2), np.float32)
    objective = PreferenceOptimisation(beta=0.5)
    batch = objective.batch(TokenPairs(PAIRS, True), np.arange(3), reference)
    losses = objective.loss(model, batch)
    sums = reply_scores(model, batch).sums.detach()
    margins = 0.5 * (sums[:3] - sums[3:])
    assert losses["accuracy"].total.item() == (margins > 0).sum()
    torch.testing.assert_close(losses["margin"].total, margins.sum())
    torch.testing.assert_close(losses["log_probability_chosen"].total, sums[:3].sum())
    assert {name: batch.weights[name] for name in objective.watched} == dict.fromkeys(objective.watched, 0.0)


@pytest.mark.parametrize(
    ("fields", "shared"),
    [
        ({}, True), ({"position": RelativeBias(8, 20)}, False), ({"band": Band(4)}, False),
        ({"encoder_layers": 2}, False),
    ],
)  # fmt: skip
def test_networks_that_count_places_in_a_row_read_two(fields: dict, shared: bool) -> None:
    assert reads_endings(config(**fields)) is shared


@torch.no_grad()
def test_of_several_turns_what_others_say_between_is_read_and_not_counted() -> None:
    model, ids = network(position=Rotary()), np.array([1, 2, 3, 4, 5, 6, 7, 8], np.int64)
    turns = TokenPair(Side(ids, np.array([2, 3, 6, 7])), PAIRS[0].rejected)
    found = reply_scores(model, pair_batch(TokenPairs((turns,), True), np.arange(1)))
    assert found.sums[0].item() == pytest.approx(alone(model, turns.chosen)[0], abs=1e-4)
    assert found.tokens.tolist() == [4, 1]


def test_the_hash_is_of_the_tokens_and_of_where_replies_begin() -> None:
    def digest(*pairs: TokenPair) -> str:
        return TokenPairs(pairs, True).digest

    assert digest(*PAIRS) == TokenPairs(PAIRS, False).digest
    assert len({digest(*PAIRS), digest(*PAIRS[:2]), digest(pair([1, 2], [3, 4, 5], [3, 6]), *PAIRS[1:])}) == 3
