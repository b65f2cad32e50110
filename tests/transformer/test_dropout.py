"""Dropout: how often, how much, and with which gradient."""

import pytest
import torch

from trivium.transformer.dropout import drop


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.003])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_as_many_become_zero_as_are_asked_for_wherever_they_stand(rate: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = torch.ones(4001, 101, dtype=dtype)
    dropped = drop(x, rate)
    assert dropped.shape == x.shape and dropped.dtype == dtype
    zero, scaled = dropped.float().unique().tolist()
    assert zero == 0 and scaled == pytest.approx(1 / (1 - rate), rel=1e-2 if dtype == torch.bfloat16 else 2e-5)
    zeros = (dropped == 0).double()
    for part in (zeros, *(zeros.flatten()[place::4] for place in range(4))):  # the four numbers of one draw
        count = part.numel()
        assert abs(float(part.mean()) - rate) < 4.5 * (rate * (1 - rate) / count) ** 0.5 + 1e-5
    neighbours = zeros.flatten()[:-1] * zeros.flatten()[1:]
    assert abs(float(neighbours.mean()) - rate**2) < 5 * (rate**2 / neighbours.numel()) ** 0.5 + 1e-5
    assert float(dropped.double().mean()) == pytest.approx(1, abs=0.01)


def test_the_gradient_passes_where_the_numbers_do() -> None:
    torch.manual_seed(0)
    x = torch.randn(7, 5, requires_grad=True)
    dropped = drop(x, 0.4)
    dropped.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(dropped, x * x.grad)
    assert set((x.grad == 0).flatten().tolist()) == {True, False}


def test_the_seed_decides_and_rate_0_or_use_cost_nothing() -> None:
    x = torch.randn(3, 1)
    torch.manual_seed(5)
    first = drop(x, 0.5)
    torch.manual_seed(5)
    assert torch.equal(first, drop(x, 0.5))
    assert drop(x, 0.0) is x and drop(x, 0.5, training=False) is x
    assert drop(torch.empty(0, 4), 0.5).shape == (0, 4)
