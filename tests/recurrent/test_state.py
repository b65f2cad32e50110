"""Carried state: two halves are one whole, gradients stop between them, lanes keep apart, nothing grows."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from trivium.recurrent.state import carried_states, carry_on, set_aside
from trivium.transformer import Inputs, Tokens

CELLS = ["rnn", "lstm", "gru"]
IDS = torch.randint(0, 31, (3, 21), generator=torch.Generator().manual_seed(0))
LANES = torch.arange(3)


def logits(model, ids, lanes=None):
    return model(Inputs(target=Tokens(ids, lanes=lanes)), at="all").logits


def loss(scores, targets):
    return cross_entropy(scores.reshape(-1, scores.shape[-1]), targets.reshape(-1), reduction="sum")


@pytest.mark.parametrize("cell", CELLS)
def test_two_carried_halves_are_one_long_pass(small, cell):
    model = small(cell=cell, decoder_layers=2)
    whole = loss(logits(model, IDS[:, :-1]), IDS[:, 1:])
    halves = [loss(logits(model, IDS[:, a:b], LANES), IDS[:, a + 1 : b + 1]) for a, b in ((0, 10), (10, 20))]
    assert sum(half.item() for half in halves) == pytest.approx(whole.item(), rel=1e-5)
    cut = loss(logits(model, IDS[:, 10:20]), IDS[:, 11:21])
    assert abs(cut.item() - halves[1].item()) > 1e-2  # the state matters


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_stop_at_the_boundary(small, cell):
    """Exactly those of a pass whose first state is a constant."""
    model = small(cell=cell, decoder_layers=2)
    with torch.no_grad():
        cache = model.new_cache(3, 10, torch.device("cpu"), torch.float32)
        model(Inputs(target=Tokens(IDS[:, :10])), cache=cache)
    model.zero_grad()
    loss(model(Inputs(target=Tokens(IDS[:, 10:20])), at="all", cache=cache).logits, IDS[:, 11:21]).backward()
    expected = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    logits(model, IDS[:, :10], LANES)
    model.zero_grad()
    loss(logits(model, IDS[:, 10:20], LANES), IDS[:, 11:21]).backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-4, atol=1e-5)


def test_lanes_keep_apart_in_any_order_and_grouping(small):
    """Micro-batches of a step read and leave the states of their own lanes."""
    model = small(cell="lstm", decoder_layers=2)
    together = torch.stack([logits(model, IDS[:, a : a + 7], LANES) for a in (0, 7, 14)])
    carry_on(model, {})
    apart = torch.empty_like(together)
    for step, a in enumerate((0, 7, 14)):
        for rows in ([2, 0], [1]) if step % 2 else ([1], [0, 2]):
            apart[step, rows] = logits(model, IDS[rows, a : a + 7], torch.tensor(rows))
    torch.testing.assert_close(apart, together)


def test_states_come_back_exactly(small):
    model = small(cell="lstm", decoder_layers=2)
    logits(model, IDS[:, :10], LANES)
    kept = {name: state.clone() for name, state in carried_states(model).items()}
    assert {name: tuple(state.shape) for name, state in kept.items()} == {"carried": (2, 2, 3, 5)}
    after = logits(model, IDS[:, 10:], LANES)
    carry_on(model, kept)
    assert torch.equal(logits(model, IDS[:, 10:], LANES), after)
    carry_on(model, {})
    assert not carried_states(model)


def test_set_aside_for_evaluation_and_taken_up_again(small):
    model = small(cell="gru", decoder_layers=1)
    fresh = logits(model, IDS[:, :5], LANES)
    after = logits(model, IDS[:, 5:10], LANES)
    carry_on(model, {})
    logits(model, IDS[:, :5], LANES)
    with pytest.raises(KeyError), set_aside(model):
        assert torch.equal(logits(model, IDS[:, :5], LANES), fresh)
        logits(model, IDS[:, 9:], torch.tensor([5, 6, 7]))  # more lanes than training has
        raise KeyError
    assert torch.equal(logits(model, IDS[:, 5:10], LANES), after)


def test_no_state_is_saved_with_a_model_nor_grows_with_steps(small):
    model = small(cell="lstm", decoder_layers=2).train()
    names = set(model.state_dict())
    for _ in range(20):
        loss(logits(model, IDS[:, :-1], LANES), IDS[:, 1:]).backward()
        (state,) = carried_states(model).values()
        assert not state.requires_grad and state.grad_fn is None and state.shape[2] == 3
    assert set(model.state_dict()) == names


def test_in_bfloat16_the_carried_state_is_the_network_s_own(small):
    """What is kept in float32 gives back the same bf16 numbers: two halves are a whole there too."""
    model = small(cell="lstm", decoder_layers=1).to(torch.bfloat16)
    whole = logits(model, IDS[:, :20]).float()
    halves = torch.cat([logits(model, IDS[:, :10], LANES), logits(model, IDS[:, 10:20], LANES)], 1).float()
    torch.testing.assert_close(halves, whole, rtol=0.05, atol=0.15)
    assert carried_states(model)["carried"].dtype == torch.float32
