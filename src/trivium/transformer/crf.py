"""Linear-chain conditional random fields over the labels of a sequence (Lafferty et al. 2001; Lample et al. 2016).

score(x, y) = start[y1] + sum over t of emission[t, yt] + sum over t of transition[y(t-1), yt] + end[yT]; a path's
probability is exp(score) over the sum Z of all paths. B sequences, T places, K labels; each sequence has its own length
and what stands behind it is never read. Scores of what may not be are ``FORBIDDEN``: finite, so that gradients are.

The partition function runs forward and backward at once in one loop, in float64 and exponent space: a step is one
batched product of matrices, and the sums of both directions are all that the gradients need (they are marginals), so
autograd never sees the loop. Exponents of scores that lie hundreds apart would vanish; then the plain recursion in log
space is used. Left out: second derivatives; chains of higher order.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

FORBIDDEN = -1e4
RESCALED = 8  # steps between two rescalings
SMALLEST = 1e-200  # a sum of exponents below this has lost digits
PACE = 20.0  # F1 on CoNLL-2003, three seeds: 0.890 at 20 and at 100; one seed: 0.884 at 1, 0.892 at 20


class Chain(nn.Module):
    """The scores of neighbouring labels, of the first and of the last one; zero at first, which is no chain at all.

    They are kept divided by ``PACE``: an optimizer whose steps do not depend on a gradient's size, as Adam's, then
    moves them so many times faster than the weights around them, without which a fine-tuning's small rates would leave
    them where they began.
    """

    def __init__(self, labels: int):
        super().__init__()
        self.transition = nn.Parameter(torch.zeros(labels, labels))
        self.start = nn.Parameter(torch.zeros(labels))
        self.end = nn.Parameter(torch.zeros(labels))

    def forward(self) -> tuple[Tensor, Tensor, Tensor]:
        """(K, K) from row to column, (K,) to begin with, (K,) to end with; float32."""
        return self.transition.float() * PACE, self.start.float() * PACE, self.end.float() * PACE


def with_ends(emissions: Tensor, lengths: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """(B, T, K) float64 emissions with the scores of first and last labels, (K,) or (B, K), added where they belong."""
    emissions = _double(emissions)
    rows = torch.arange(len(lengths), device=emissions.device)
    lengths = lengths.to(emissions.device)
    added = torch.zeros_like(emissions)
    added = added.index_put((rows, torch.zeros_like(rows)), start.to(added).expand(len(rows), -1))
    return emissions + added.index_put((rows, lengths - 1), end.to(added).expand(len(rows), -1), accumulate=True)


def path_score(emissions: Tensor, transition: Tensor, lengths: Tensor, labels: Tensor) -> Tensor:
    """(B,) scores of paths: (B, T) labels, of which those behind the length are not read."""
    emissions = _double(emissions)
    transition, lengths, labels = (each.to(emissions.device) for each in (_double(transition), lengths, labels))
    real = torch.arange(emissions.shape[1], device=emissions.device) < lengths[:, None]  # (B, T)
    labels = labels * real
    score = emissions.gather(2, labels[:, :, None])[:, :, 0]
    kinds = len(transition)
    steps = transition.reshape(-1).index_select(0, (labels[:, :-1] * kinds + labels[:, 1:]).reshape(-1))
    return (score * real).sum(1) + (steps.view(len(labels), -1) * real[:, 1:]).sum(1)


def log_partition(emissions: Tensor, transition: Tensor, lengths: Tensor) -> Tensor:
    """(B,) float64: log of the sum over all paths of exp(score). Differentiable once."""
    emissions = _double(emissions)
    transition, lengths = _double(transition).to(emissions.device), lengths.to(emissions.device)
    sums = _both_ways(emissions.detach(), transition.detach(), lengths)
    if not bool(sums.smallest > SMALLEST):  # also where a score is not a number
        return log_space_partition(emissions, transition, lengths)
    found: Tensor = _LogPartition.apply(emissions, transition, *sums[:-1])
    return found


def log_space_partition(emissions: Tensor, transition: Tensor, lengths: Tensor) -> Tensor:
    """The same by the textbook's recursion, whose gradient is autograd's: for any scores, and slower."""
    alpha = emissions[:, 0]
    for place in range(1, emissions.shape[1]):
        following = (alpha[:, :, None] + transition).logsumexp(1) + emissions[:, place]
        alpha = torch.where((place < lengths)[:, None], following, alpha)
    return alpha.logsumexp(1)


def marginals(emissions: Tensor, transition: Tensor, lengths: Tensor) -> Tensor:
    """(B, T, K) float64: how probable each label is at each place; zeros behind the length."""
    with torch.enable_grad():
        free = _double(emissions).detach().requires_grad_()
        (found,) = torch.autograd.grad(log_partition(free, transition.detach(), lengths).sum(), free)
    return found


def best_paths(emissions: np.ndarray, transition: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(B, T) int64: the labels of the path with the highest score (Viterbi), of equal ones the lower label; 0 behind
    the length. Only the best sums are kept on the way; where one came from is looked up again on the way back."""
    best = np.array(emissions.transpose(1, 0, 2), np.float64, order="C")  # (T, B, K), a copy
    step, into = transition.astype(np.float64)[:, None, :], np.ascontiguousarray(transition.T, np.float64)
    places, rows, kinds = best.shape
    sums = np.empty((kinds, rows, kinds))  # from, row, to: the longest runs are compared side by side
    for place in range(1, places):
        np.add(best[place - 1].T[:, :, None], step, out=sums)
        best[place] += sums.max(0)
    label = last = best[lengths - 1, np.arange(rows)].argmax(1)  # (B,)
    path = np.zeros((places, rows), np.int64)
    path[-1] = last
    inside = np.arange(1, places)[:, None] < lengths
    for place in range(places - 2, -1, -1):
        label = np.where(inside[place], (best[place] + into[label]).argmax(1), last)
        path[place] = label
    path[1:] *= inside
    return np.ascontiguousarray(path.T)


class _LogPartition(torch.autograd.Function):
    """log Z, whose gradients are the probabilities of labels and of neighbours."""

    @staticmethod
    def forward(
        ctx: Any, emissions: Tensor, transition: Tensor, logs: Tensor, ahead: Tensor, behind: Tensor, onward: Tensor,
        steps: Tensor,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(ahead, behind, onward, steps)
        return logs.clone()  # a new tensor: what is returned becomes part of the graph

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, outward: Tensor) -> tuple[Tensor | None, ...]:
        ahead, behind, onward, steps = ctx.saved_tensors
        weighted = ahead * outward[:, None]
        pairs = weighted[:-1].flatten(0, 1).t() @ onward[1:].flatten(0, 1)  # (K, K)
        return (weighted * behind).transpose(0, 1), steps * pairs, *(None,) * 5


class _Sums(NamedTuple):
    """All that log Z and its gradients are made of. ``ahead[t, b, i] behind[t, b, i]`` is the probability of label i,
    ``ahead[t, b, i] steps[i, j] onward[t + 1, b, j]`` that of j after i; zeros behind a sequence's length."""

    logs: Tensor  # (B,) log Z
    ahead: Tensor  # (T, B, K) over paths up to a place, its emission included
    behind: Tensor  # (T, B, K) over paths from a place on, its emission not included
    onward: Tensor  # (T, B, K) the same with its emission
    steps: Tensor  # (K, K) exp(transition), the largest being 1
    smallest: Tensor  # the smallest of the sums divided by


def _both_ways(emissions: Tensor, transition: Tensor, lengths: Tensor) -> _Sums:
    """One loop for both directions: the states of the second half of the columns read each sequence backwards."""
    _, places, kinds = emissions.shape
    place = torch.arange(places, device=emissions.device)[:, None]
    real = place < lengths  # (T, B)
    scores = emissions.transpose(0, 1).masked_fill(~real[:, :, None], 0.0)  # (T, B, K)
    top = scores.amax(2, keepdim=True)
    factors = (scores - top).exp_()
    peak = transition.amax()
    steps = (transition - peak).exp_()
    mirror = torch.where(real, lengths - 1 - place, place)[:, :, None].expand(-1, -1, kinds)
    given = torch.cat((factors, factors.gather(0, mirror)), 2)  # (T, B, 2K)
    ways = torch.block_diag(steps, steps.t())  # (2K, 2K): one product a step for both directions
    sums = torch.empty_like(given)
    at, scales = sums.unbind(), []
    at[0].copy_(given[0])
    for step, factor in enumerate(given.unbind()[1:], 1):
        torch.mm(at[step - 1], ways, out=at[step])
        at[step].mul_(factor)
        if step % RESCALED == 0:
            halves = at[step].unflatten(1, (2, kinds))
            scales.append(halves.sum(2, keepdim=True))  # (B, 2, 1)
            halves.div_(scales[-1])
    ahead = sums[:, :, :kinds]
    onward = sums[:, :, kinds:].gather(0, mirror).masked_fill_(~real[:, :, None], 0.0)
    behind = torch.ones_like(onward)
    torch.matmul(onward[1:], steps.t(), out=behind[:-1])
    behind.masked_fill_((place == lengths - 1)[:, :, None], 1.0)
    whole = (ahead * behind).sum(2, keepdim=True).masked_fill_(~real[:, :, None], 1.0)  # (T, B, 1)
    last = whole[:, :, 0].gather(0, lengths[None] - 1)[0]  # (B,)
    smallest = whole.min()
    logs = last.log() + top[:, :, 0].sum(0) + peak * (lengths - 1)
    if scales:
        scaled = torch.stack(scales)[:, :, :, 0].transpose(1, 2)  # (S, 2, B)
        done = place[RESCALED::RESCALED] < lengths  # (S, B)
        smallest = torch.minimum(smallest, scaled.masked_fill(~done[:, None], 1.0).min())
        logs = logs + scaled[:, 0].log().masked_fill(~done, 0.0).sum(0)
    ahead = (ahead / whole).masked_fill_(~real[:, :, None], 0.0)
    return _Sums(logs, ahead, behind, onward, steps, smallest)


def _double(values: Tensor) -> Tensor:
    """In float64, which Apple's GPUs do not have: there the CPU does it."""
    return (values.cpu() if values.device.type == "mps" else values).double()
