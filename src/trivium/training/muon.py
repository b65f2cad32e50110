"""torch's Muon with its orthogonalisation in float32, for runs in float32.

``torch.optim.Muon`` always multiplies in bfloat16. A processor without bf16 units emulates that: 60 times slower than
float32 on AVX2 (measured), seconds a step. The arithmetic is otherwise the same.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class Float32Muon(torch.optim.Muon):
    """Same arguments, same state, same update but for its rounding."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient; there is no closure here."""
        for group in self.param_groups:
            rate, momentum = group["lr"], group["momentum"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                buffer = state["momentum_buffer"]
                buffer.lerp_(parameter.grad, 1 - momentum)
                update = parameter.grad.lerp(buffer, momentum) if group["nesterov"] else buffer
                update = orthogonal(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
                scale = 0.2 * max(parameter.shape) ** 0.5  # "match_rms_adamw"
                parameter.mul_(1 - rate * group["weight_decay"])
                parameter.add_(update, alpha=-rate * scale)


def orthogonal(matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """(M, N) -> near it, with all singular values near 1: Newton and Schulz's iteration (Jordan et al. 2024)."""
    a, b, c = coefficients
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.T if tall else x
