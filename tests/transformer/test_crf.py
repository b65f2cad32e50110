"""The chain against the worked numbers, against all paths one by one, and against pytorch-crf."""

import itertools

import numpy as np
import pytest
import torch

from trivium.transformer.crf import (
    FORBIDDEN,
    Chain,
    best_paths,
    log_partition,
    log_space_partition,
    marginals,
    path_score,
    with_ends,
)

START, END = torch.tensor([0.1, 0.2, -1e4]), torch.tensor([0.0, 0.1, -0.1])
TRANSITION = torch.tensor([[0.5, 0.3, -1e4], [0.1, -0.2, 0.8], [0.2, 0.0, 0.4]])
EMISSIONS = torch.tensor([[[0.2, 1.0, 0.5], [0.3, 0.1, 1.2], [1.0, 0.4, 0.2]]])
THREE = torch.tensor([3])


def every_path(emissions, transition):
    """(path, score) of each of K^T paths of one sequence."""
    places, kinds = emissions.shape
    for path in itertools.product(range(kinds), repeat=places):
        total = sum(emissions[t, y] for t, y in enumerate(path))
        yield path, total + sum(transition[a, b] for a, b in itertools.pairwise(path))


def test_the_worked_numbers():
    emissions = with_ends(EMISSIONS, THREE, START, END)
    logs = log_partition(emissions, TRANSITION, THREE)
    assert logs.item() == pytest.approx(5.521087, abs=1e-6)
    best = best_paths(emissions.numpy(), TRANSITION.numpy(), THREE.numpy())
    assert best.tolist() == [[1, 2, 0]]
    score = path_score(emissions, TRANSITION, THREE, torch.from_numpy(best))
    assert score.item() == pytest.approx(4.4, abs=1e-6) and (logs - score).item() == pytest.approx(1.121087, abs=1e-6)
    assert sum(score > -1000 for _, score in every_path(emissions[0], TRANSITION)) == 13
    expected = [[0.135533, 0.864467, 0], [0.213563, 0.136812, 0.649625], [0.528947, 0.259817, 0.211237]]
    assert marginals(emissions, TRANSITION, THREE)[0].tolist() == [pytest.approx(row, abs=1e-6) for row in expected]


def test_constraints_alone_make_a_greedy_path_legal():
    ban = torch.tensor([[0, 0, FORBIDDEN], [0, 0, 0], [0, 0, 0]])
    given = torch.tensor([[[1.0, 0.8, 0.0], [0.2, 0.1, 1.5], [0.5, 0.4, 0.9]]])
    emissions = with_ends(given, THREE, torch.tensor([0.0, 0.0, FORBIDDEN]), torch.zeros(3))
    assert given.argmax(2).tolist() == [[0, 2, 2]]
    best = best_paths(emissions.numpy(), ban.numpy(), THREE.numpy())
    assert best.tolist() == [[1, 2, 2]]
    assert path_score(emissions, ban, THREE, torch.from_numpy(best)).item() == pytest.approx(3.2, abs=1e-6)
    assert log_partition(emissions, ban, THREE).item() == pytest.approx(4.657940, abs=1e-6)


@pytest.mark.parametrize("kinds", [2, 3])
def test_every_path_one_by_one(kinds):
    generator = torch.Generator().manual_seed(kinds)
    lengths = torch.tensor([5, 1, 3, 4])
    emissions = torch.randn(4, 5, kinds, generator=generator).double() * 3
    transition = torch.randn(kinds, kinds, generator=generator).double().requires_grad_()
    emissions[1, 1:] = torch.nan  # never read
    free = emissions.clone().requires_grad_()
    logs = log_partition(free, transition, lengths)
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0])
    (logs * weights).sum().backward()
    plain, moves = emissions.clone().requires_grad_(), transition.detach().clone().requires_grad_()
    best, naive = best_paths(emissions.nan_to_num().numpy(), transition.detach().numpy(), lengths.numpy()), []
    for row, length in enumerate(lengths.tolist()):
        paths = list(every_path(plain[row, :length], moves))
        naive.append(torch.stack([score for _, score in paths]).logsumexp(0))
        assert tuple(best[row, :length]) == max(paths, key=lambda each: each[1].item())[0]
        assert not best[row, length:].any()
    (torch.stack(naive) * weights).sum().backward()
    torch.testing.assert_close(logs, torch.stack(naive))
    torch.testing.assert_close(free.grad, plain.grad)
    torch.testing.assert_close(transition.grad, moves.grad)
    torch.testing.assert_close(
        marginals(emissions, transition, lengths), plain.grad / weights[:, None, None], equal_nan=True
    )


def test_long_sequences_are_rescaled_and_far_scores_fall_back():
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([70, 8, 9, 16, 17, 41])
    transition = torch.randn(5, 5, generator=generator).double() * 3
    for scale in (5.0, 900.0):  # with the second, exponents vanish
        results = []
        for function in (log_partition, log_space_partition):
            emissions = (torch.randn(6, 70, 5, generator=generator.manual_seed(1)) * scale).double().requires_grad_()
            free = transition.clone().requires_grad_()
            logs = function(emissions, free, lengths)
            logs.sum().backward()
            results.append((logs, emissions.grad, free.grad))
        for ours, plain in zip(*results, strict=True):
            torch.testing.assert_close(ours, plain)
            assert ours.isfinite().all()


def test_forbidden_steps_have_finite_gradients():
    ban = torch.full((3, 3), FORBIDDEN, requires_grad=True)
    loss = log_partition(torch.zeros(1, 4, 3), ban, torch.tensor([4])) - path_score(
        torch.zeros(1, 4, 3), ban, torch.tensor([4]), torch.tensor([[0, 1, 2, 0]])
    )
    loss.sum().backward()
    assert loss.isfinite().all() and ban.grad.isfinite().all()


def test_equal_to_pytorch_crf():
    torchcrf = pytest.importorskip("torchcrf")
    generator = torch.Generator().manual_seed(3)
    theirs = torchcrf.CRF(9, batch_first=True)
    emissions = torch.randn(8, 21, 9, generator=generator)
    labels = torch.randint(9, (8, 21), generator=generator)
    lengths = torch.tensor([21, 1, 2, 20, 8, 9, 15, 16])
    mask = torch.arange(21) < lengths[:, None]
    ours = [p.detach().clone().requires_grad_() for p in theirs.parameters()]
    start, end, transition = ours
    free, other = emissions.clone().requires_grad_(), emissions.clone().requires_grad_()
    scores = with_ends(free, lengths, start, end)
    loss = (log_partition(scores, transition, lengths) - path_score(scores, transition, lengths, labels)).sum()
    loss.backward()
    expected = -theirs(other, labels, mask=mask)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(free.grad, other.grad, rtol=1e-4, atol=1e-5)
    for mine, parameter in zip(ours, theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, parameter.grad, rtol=1e-4, atol=1e-4)
    best = best_paths(scores.detach().numpy(), transition.detach().numpy(), lengths.numpy())
    assert [row[:n].tolist() for row, n in zip(best, lengths.tolist(), strict=True)] == theirs.decode(emissions, mask)


def test_a_chain_begins_as_none():
    chain = Chain(4)
    assert all(not each.any() for each in chain()) and len(list(chain.parameters())) == 3
    emissions = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0))
    lengths = torch.tensor([6, 4])
    found = marginals(with_ends(emissions, lengths, *chain()[1:]), chain()[0], lengths)
    np.testing.assert_allclose(found[0], emissions[0].double().softmax(1), rtol=1e-9)
    assert not found[1, 4:].any()
