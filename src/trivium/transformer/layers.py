"""The block of the figure: attention, feed-forward, residuals and norms, before or after.

Post-norm: Vaswani et al. 2017, section 3.1; pre-norm: Radford et al. 2019, section 2.3. Feed-forward: section 3.3;
gated: Shazeer 2020. T5's dropout inside the feed-forward is left out: dropout falls on what joins the residual.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from trivium.transformer.attention import Attention
from trivium.transformer.cache import Cache
from trivium.transformer.config import TransformerConfig
from trivium.transformer.dropout import drop
from trivium.transformer.looks import Looks
from trivium.transformer.masks import Mask

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "relu": F.relu,
    "silu": F.silu,
}


class RootMeanSquare(torch.autograd.Function):
    """The formula and its gradient in few passes over memory: on a CPU, where torch has no fused kernel for it, three
    times as fast as ``F.rms_norm`` forward and backward in bfloat16. Scaled rows: z = x / rms(x), y = z w."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
        scale = torch.rsqrt(norm.square() / x.shape[-1] + eps).to(x.dtype)
        scaled = x * scale
        ctx.save_for_backward(scaled, scale, weight)
        return scaled * weight

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        """dw = sum of dy z; dx = (dy w - z mean(dy w z)) / rms(x)."""
        scaled, scale, weight = ctx.saved_tensors
        products = (gradient * scaled).view(-1, len(weight))
        along = torch.mv(products, weight).view(scale.shape)
        for_x = torch.addcmul(gradient * weight, scaled, along, value=-1.0 / len(weight)).mul_(scale)
        return for_x, products.sum(0), None


_FEW_NUMBERS = 1 << 14  # up to which torch's own form is faster on a CPU: half the time of one row of width 576


class RMSNorm(nn.Module):
    """Root-mean-square norm (Zhang and Sennrich 2019): no mean, no bias; the square mean is taken in float32."""

    def __init__(self, width: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """(..., W) -> (..., W)."""
        if x.device.type != "cpu" or (not torch.is_grad_enabled() and x.numel() <= _FEW_NUMBERS):
            return F.rms_norm(x, self.weight.shape, self.weight, self.eps)
        return RootMeanSquare.apply(x, self.weight, self.eps)


def norm(config: TransformerConfig) -> nn.Module:
    """The norm that the configuration names, over the model's width."""
    if config.norm == "rms":
        return RMSNorm(config.width, config.norm_eps)
    return nn.LayerNorm(config.width, config.norm_eps, bias=True)


def at_places(x: Tensor, places: Tensor) -> Tensor:
    """(B, T, W) and one place of each row (B,) -> (B, 1, W)."""
    return x[torch.arange(len(x), device=x.device), places][:, None]


class FeedForward(nn.Module):
    """down(act(up(x))), or gated: down(act(gate(x)) * up(x))."""

    def __init__(self, config: TransformerConfig):
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        self.up = nn.Linear(config.width, config.ffn_width, bias=config.bias)
        self.gate = nn.Linear(config.width, config.ffn_width, bias=config.bias) if config.gated else None
        self.down = nn.Linear(config.ffn_width, config.width, bias=config.bias)
        self.joined: nn.Module | None = None  # in the place of gate and up, in models for inference alone

    def joinable(self) -> tuple[str, ...]:
        """Layers that always read the same input."""
        return () if self.gate is None else ("gate", "up")

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, W) -> (B, T, W)."""
        if self.joined is not None:
            gate, up = self.joined(x).chunk(2, dim=-1)
            return self.down(self.activation(gate) * up)
        if self.gate is None:
            return self.down(self.activation(self.up(x)))
        return self.down(self.activation(self.gate(x)) * self.up(x))


@dataclass(frozen=True)
class Surroundings:
    """What all layers of a stack share in one pass."""

    mask: Mask
    rotation: tuple[Tensor, Tensor] | None = None
    memory: Tensor | None = None  # (B, S, W): the encoder's output
    cross_mask: Mask = Mask()
    cache: Cache | None = None
    attention: Looks | None = None  # records, filled by each layer
    cross_attention: Looks | None = None
    near_mask: Mask = Mask()  # of the layers that see only what is near


class Layer(nn.Module):
    """Self-attention, cross-attention where ``cross``, feed-forward; each with its residual and norm."""

    def __init__(self, config: TransformerConfig, index: int, cross: bool):
        super().__init__()
        self.pre, self.dropout = config.norm_place == "pre", config.dropout
        self.near = config.band is not None and (index + 1) % config.band.every == 0
        self.attention_norm = norm(config)
        self.attention = Attention(config, index)
        self.cross_norm = norm(config) if cross else None
        self.cross = Attention(config, index, cross=True) if cross else None
        self.feed_forward_norm = norm(config)
        self.feed_forward = FeedForward(config)

    def forward(self, x: Tensor, around: Surroundings, only: Tensor | None = None) -> Tensor:
        """(B, T, W) -> (B, T, W); with ``only`` (B,), one place of each row, -> (B, 1, W): all are heard, and no other
        place is computed any further."""
        h = self.attention_norm(x) if self.pre else x
        mask, heard = around.near_mask if self.near else around.mask, None
        if only is not None:
            x, h, heard, mask = at_places(x, only), at_places(h, only), h, mask.at_places(only, x)
        h = self.attention(h, heard, mask, around.rotation, around.cache, around.attention)
        x = self._join(x, h, self.attention_norm)
        if self.cross is not None and self.cross_norm is not None:
            h = self.cross_norm(x) if self.pre else x
            h = self.cross(h, around.memory, around.cross_mask, None, around.cache, around.cross_attention)
            x = self._join(x, h, self.cross_norm)
        h = self.feed_forward_norm(x) if self.pre else x
        return self._join(x, self.feed_forward(h), self.feed_forward_norm)

    def _join(self, x: Tensor, update: Tensor, norm: nn.Module) -> Tensor:
        x = x + drop(update, self.dropout, self.training)
        return x if self.pre else norm(x)
