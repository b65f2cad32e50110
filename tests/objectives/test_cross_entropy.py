import pytest
import torch
from torch.nn import functional as F

from trivium.objectives.cross_entropy import cross_entropy
from trivium.objectives.packing import steady


@pytest.mark.parametrize("shape", [(1, 7), (50, 300), (3, 41, 500), (700, 1000)])
def test_equals_torch_in_float32(shape):
    torch.manual_seed(0)
    logits = (torch.randn(shape) * 5).requires_grad_()
    targets = torch.randint(0, shape[-1], shape[:-1])
    total = cross_entropy(logits, targets)
    (gradient,) = torch.autograd.grad(total * 0.3, logits)
    expected = F.cross_entropy(logits.flatten(0, -2), targets.flatten(), reduction="sum")
    (expected_gradient,) = torch.autograd.grad(expected * 0.3, logits)
    torch.testing.assert_close(total, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-6, atol=1e-6)


def test_weights_count_targets():
    torch.manual_seed(3)
    logits, targets = torch.randn(700, 1000, requires_grad=True), torch.randint(0, 1000, (700,))
    weights = torch.rand(700)
    total = cross_entropy(logits, targets, weights)
    expected = (F.cross_entropy(logits, targets, reduction="none") * weights).sum()
    torch.testing.assert_close(total, expected, rtol=1e-6, atol=1e-6)
    ours, theirs = (torch.autograd.grad(each, logits)[0] for each in (total, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(700, 1000), (7, 100, 1000)])
def test_the_gradient_takes_the_place_of_the_logits(shape):
    """Of what an operation made: not a copy is kept, and what would be wrong then is refused by torch."""
    torch.manual_seed(5)
    hidden, projection = torch.randn(700, 16, requires_grad=True), torch.randn(1000, 16, requires_grad=True)
    targets, given = torch.randint(0, 1000, (700,)), []
    logits = (hidden @ projection.T).view(shape)
    logits.register_hook(lambda gradient: given.append(gradient.data_ptr()))
    total = cross_entropy(logits, targets.view(shape[:-1]))
    ours = torch.autograd.grad(total * 0.3, (hidden, projection), retain_graph=True)
    assert given == [logits.data_ptr()]
    expected = F.cross_entropy(hidden @ projection.T, targets, reduction="sum")
    theirs = torch.autograd.grad(expected * 0.3, (hidden, projection))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(total, hidden)
    bounded = (hidden @ projection.T).tanh()  # its own backward pass reads what it gave
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        cross_entropy(bounded, targets).backward()


@pytest.mark.parametrize("made", [lambda w: w.view(1, 6, 11), lambda w: (w[:1] * 2).expand(6, 11), lambda w: w[:, :9]])
def test_what_others_read_stays_as_it_is(made):
    """Views of weights, and rows that are one row."""
    torch.manual_seed(6)
    weights, targets = torch.randn(6, 11, requires_grad=True), torch.randint(0, 9, (6,))
    before = weights.detach().clone()
    (ours,) = torch.autograd.grad(cross_entropy(made(weights), targets), weights)
    expected = F.cross_entropy(made(weights).flatten(0, -2), targets, reduction="sum")
    torch.testing.assert_close(ours, torch.autograd.grad(expected, weights)[0], rtol=1e-5, atol=1e-5)
    assert torch.equal(weights, before)


def test_gradient_by_finite_differences():
    torch.manual_seed(1)
    logits = torch.randn(6, 11, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(cross_entropy, (logits, torch.randint(0, 11, (6,))))


def test_bfloat16_logits_lose_nothing_in_the_sum():
    torch.manual_seed(2)
    logits = torch.randn(300, 4000, dtype=torch.bfloat16).requires_grad_()
    targets = torch.randint(0, 4000, (300,))
    total = cross_entropy(logits, targets)
    exact = F.cross_entropy(logits.double(), targets, reduction="sum")
    assert total.dtype == torch.float32
    torch.testing.assert_close(total.double(), exact, rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(total, logits)
    (expected,) = torch.autograd.grad(exact, logits)
    assert gradient.dtype == torch.bfloat16
    torch.testing.assert_close(gradient.double(), expected.double(), rtol=2**-7, atol=1e-12)


def test_extreme_logits_stay_finite_and_no_rows_sum_to_zero():
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    total = cross_entropy(logits, torch.tensor([1]))
    assert total.item() == pytest.approx(2e4)
    assert torch.autograd.grad(total, logits)[0].isfinite().all()
    empty = torch.zeros(0, 5, requires_grad=True)
    total = cross_entropy(empty, torch.zeros(0, dtype=torch.int64))
    assert total.item() == 0 and torch.autograd.grad(total, empty)[0].shape == (0, 5)


def test_needs_no_gradient_in_evaluation():
    with torch.no_grad():
        total = cross_entropy(torch.zeros(4, 8), torch.zeros(4, dtype=torch.int64))
    assert not total.requires_grad
    assert total.item() == pytest.approx(4 * torch.log(torch.tensor(8.0)).item())


@pytest.mark.parametrize("count", [1, 31, 32, 700, 1023])
def test_places_that_even_out_the_sizes_count_nothing(count):
    torch.manual_seed(4)
    hidden, projection = torch.randn(2000, 16, requires_grad=True), torch.randn(300, 16)
    at, targets = torch.randperm(2000)[:count], torch.randint(0, 300, (count,))
    even = steady(at)
    assert torch.equal(even[:count], at) and 0 <= len(even) - count <= count // 16
    total = cross_entropy(hidden[even] @ projection.T, targets)
    expected = F.cross_entropy(hidden[at] @ projection.T, targets, reduction="sum")
    torch.testing.assert_close(total, expected, rtol=1e-6, atol=1e-6)
    ours, theirs = (torch.autograd.grad(each, hidden)[0] for each in (total, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_counts_that_differ_a_little_give_one_size():
    assert len({len(steady(torch.arange(count))) for count in range(801, 833)}) == 1
    assert steady(None) == "all" and len(steady(torch.arange(0))) == 0


def test_logits_of_other_places_than_the_targets_are_an_error():
    with pytest.raises(ValueError, match="64 rows of logits for 32 targets"):
        cross_entropy(torch.randn(64, 9), torch.zeros(32, dtype=torch.long))
    with pytest.raises(ValueError, match="31 rows of logits for 32 targets"):
        cross_entropy(torch.randn(31, 9), torch.zeros(32, dtype=torch.long))
