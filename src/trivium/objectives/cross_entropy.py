"""Cross entropy as a float32 sum that makes no copy of the logits.

``F.cross_entropy(logits.float())`` keeps two or three (N, V) float32 tensors, more than the rest of a small model's
step. Here rows are taken in chunks that stay in the processor's cache, the gradient ``softmax - one_hot`` is written
over the logits during the forward pass, and the backward pass only scales it, in place. The arithmetic inside a chunk
is float32 (float64 for float64 logits), so a bfloat16 model loses nothing in the loss and one rounding in the gradient.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_CHUNK = {"cpu": 2**19, "cuda": 2**26}  # elements of logits at a time: about one core's second-level cache

_EACH: ContextVar[list[tuple[Tensor, Tensor]] | None] = ContextVar("each", default=None)


@contextmanager
def each_cost() -> Iterator[list[tuple[Tensor, Tensor]]]:
    """While open, every call of ``cross_entropy`` also leaves its targets (N,) and what each of them cost (N,) float32
    in the list: how an objective's loss is looked at target by target, whatever it adds up."""
    kept: list[tuple[Tensor, Tensor]] = []
    token = _EACH.set(kept)
    try:
        yield kept
    finally:
        _EACH.reset(token)


def cross_entropy(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> Tensor:
    """Sum of -log softmax(logits)[target]. ``logits`` (..., V) of any float type, ``targets`` (...) int64; ``weights``
    (...): what each counts, 1 where there are none. Logits beyond the targets (``steady``) count nothing.

    Call it last: logits that an operation made hold their gradient afterwards. Those that are nobody's result (leaves
    and views of them) stay as they are, and so do those whose rows share memory (``expand``).

    Returns a scalar: float32, or float64 for float64 logits.
    """
    flat = logits.reshape(-1, logits.shape[-1])
    counted = None if weights is None else weights.reshape(-1)
    if not 0 <= len(flat) - targets.numel() <= targets.numel() // 16:
        raise ValueError(f"{len(flat)} rows of logits for {targets.numel()} targets")
    if (kept := _EACH.get()) is not None:
        costs = F.cross_entropy(flat[: targets.numel()].detach().float(), targets.reshape(-1), reduction="none")
        kept.append((targets.reshape(-1), costs if counted is None else costs * counted))
    own = flat if flat._base is None else flat._base
    in_place = not own.is_leaf and flat.is_contiguous()
    total: Tensor = _SummedCrossEntropy.apply(flat, targets.reshape(-1), counted, in_place)
    return total


def chunk_rows(logits: Tensor) -> int:
    """Rows of (N, V) logits in one chunk."""
    return max(1, _CHUNK.get(logits.device.type, 2**24) // logits.shape[-1])


class GradientMadeAhead(torch.autograd.Function):
    """What has written the gradient of its first of four arguments during the forward pass, and saved it alone. The
    last is whether it is scaled where it lies: one graph then has one backward pass, and torch refuses a second."""

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, None, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient.mul_(scale) if ctx.in_place else gradient * scale, None, None, None


class _SummedCrossEntropy(GradientMadeAhead):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, weights: Tensor | None, in_place: bool) -> Tensor:
        precise = torch.promote_types(logits.dtype, torch.float32)
        rows = chunk_rows(logits)
        ctx.in_place = in_place
        gradient = (logits.detach() if in_place else torch.empty_like(logits)) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=precise, device=logits.device)
        count = len(targets)
        if gradient is not None:
            gradient[count:] = 0
        for start in range(0, count, rows):
            end = min(start + rows, count)
            chosen = targets[start:end, None]  # (C, 1)
            logs = F.log_softmax(logits[start:end], -1, dtype=precise)  # (C, V)
            counted = None if weights is None else weights[start:end, None].to(precise)  # (C, 1)
            true = logs.gather(-1, chosen)
            total -= (true if counted is None else true * counted).sum()
            if gradient is not None:
                shares = logs.exp_()
                shares.scatter_add_(-1, chosen, shares.new_full((), -1.0).expand(chosen.shape))
                gradient[start:end] = shares if counted is None else shares.mul_(counted)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total
