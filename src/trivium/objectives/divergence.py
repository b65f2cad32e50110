"""What a student's predictions lack of its teacher's: T^2 KL(teacher || student) of both at a temperature T, as a sum
(Hinton et al. 2015, section 2). T^2 keeps the gradient's size whatever T is.

As in ``cross_entropy``, rows are taken in chunks, the gradient T (softmax(student / T) - softmax(teacher / T)) is
written during the forward pass in the logits' own type, and the arithmetic inside a chunk is float32 at least.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from trivium.objectives.cross_entropy import GradientMadeAhead, chunk_rows


def divergence(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``logits`` and ``teacher`` (..., V) of any float type, to a scalar: float32, or float64 for float64 logits.
    Logits beyond the teacher's (``steady``) count nothing."""
    flat, taught = logits.reshape(-1, logits.shape[-1]), teacher.reshape(-1, teacher.shape[-1])
    total: Tensor = _SummedDivergence.apply(flat, taught.detach(), temperature, True)
    return total


class _SummedDivergence(GradientMadeAhead):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, teacher: Tensor, temperature: float, in_place: bool) -> Tensor:
        ctx.in_place = in_place
        precise = torch.promote_types(logits.dtype, torch.float32)
        gradient = torch.empty_like(logits) if ctx.needs_input_grad[0] else None
        total = torch.zeros((), dtype=precise, device=logits.device)
        rows = chunk_rows(logits)
        count = len(teacher)
        if gradient is not None:
            gradient[count:] = 0
        for start in range(0, count, rows):
            end = min(start + rows, count)
            logs = F.log_softmax(logits[start:end].to(precise) / temperature, -1)  # (C, V)
            wanted = F.log_softmax(teacher[start:end].to(precise) / temperature, -1)
            total += temperature**2 * F.kl_div(logs, wanted, reduction="sum", log_target=True)
            if gradient is not None:
                gradient[start:end] = (logs.exp_() - wanted.exp_()).mul_(temperature)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total
