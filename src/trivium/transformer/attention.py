"""Scaled dot-product attention (Vaswani et al. 2017, section 3.2): multi-head, grouped-query, self and cross.

One function, ``attend``, holds the choice of kernel. Keys and values may have fewer heads than queries (Ainslie et al.
2023): the queries of a group are then stacked along time, so that keys are never copied.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.transformer.cache import Cache
from trivium.transformer.config import TransformerConfig
from trivium.transformer.dropout import drop
from trivium.transformer.looks import Looking, Looks
from trivium.transformer.masks import Mask
from trivium.transformer.positions import rotate

Kernel = Literal["batched", "fused"]

BATCHED_UP_TO = 512 * 512
"""Score matrices (T x S) up to this size take batched products in training on a CPU. Measured (6 layers, width 384,
bfloat16, 2 cores): 1.15-1.25x the training speed of the fused kernel at 256, whose backward pass is slow; equal at
1024, where the batched products need more memory. Without a backward pass the fused kernel won at every shape tried
(T 1 to 512, float32 and bfloat16): 1.1-1.8x, and up to 7x for one new token in bfloat16."""


def choose_kernel(queries: int, keys: int, device: torch.device, gradients: bool) -> Kernel:
    """The measured rule, in one place."""
    return "batched" if gradients and device.type == "cpu" and queries * keys <= BATCHED_UP_TO else "fused"


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Mask, *, scale: float, dropout: float = 0.0,
    kernel: Kernel | None = None, record: Looks | None = None,
) -> Tensor:  # fmt: skip
    """(B, H, T, D) queries, (B, G, S, D) keys and values, G dividing H -> (B, T, H * D).

    ``record`` is told of the attention weights (B, H, T, S).
    """
    if record is not None:
        record.take(Looking(query.detach(), key.detach(), mask, scale))
    gradients = torch.is_grad_enabled() and query.requires_grad
    kernel = kernel or choose_kernel(query.shape[2], key.shape[2], query.device, gradients)
    if kernel == "fused":
        return _fused(query, key, value, mask, scale, dropout)
    return _mix(drop(attention_weights(query, key, mask, scale), dropout), value)


def attention_weights(query: Tensor, key: Tensor, mask: Mask, scale: float) -> Tensor:
    """softmax(scale * Q K^T + bias): (B, H, T, S), each row summing to 1."""
    (B, H, T, D), (G, S) = query.shape, key.shape[1:3]
    bias = mask.explicit(T, S, query.device, query.dtype)
    stacked = query.reshape(B * G, H // G * T, D)
    asked = key.reshape(B * G, S, D).transpose(1, 2)
    # Scale and bias are folded into the product, where they cost no pass over the scores: 1.25x in training.
    if bias is None:
        scores = torch.baddbmm(query.new_zeros(1, 1, 1), stacked, asked, beta=0, alpha=scale)
    elif bias.shape[:2] == (1, 1) and G == H:
        scores = torch.baddbmm(bias[0].expand(B * H, T, S), stacked, asked, alpha=scale)
    else:
        each = bias.expand(B, H, T, S).clone(memory_format=torch.contiguous_format)
        scores = each.view(B * G, H // G * T, S).baddbmm_(stacked, asked, alpha=scale)
    return scores.view(B, H, T, S).softmax(-1)


def _mix(weights: Tensor, value: Tensor) -> Tensor:
    (B, H, T, S), (G, D) = weights.shape, (value.shape[1], value.shape[3])
    mixed = torch.bmm(weights.view(B * G, H // G * T, S), value.reshape(B * G, S, D))
    return mixed.reshape(B, H, T, D).transpose(1, 2).reshape(B, T, H * D)


def _fused(query: Tensor, key: Tensor, value: Tensor, mask: Mask, scale: float, dropout: float) -> Tensor:
    (B, H, T, D), G = query.shape, key.shape[1]
    grouped = H != G
    if grouped and T == 1 and (mask.bias is None or mask.bias.shape[1] == 1):  # a group's queries share keys and bias
        query, grouped = query.reshape(B, G, H // G, D), False
    elif grouped and mask.bias is not None:  # no fused kernel takes both groups and a bias
        key, value = key.repeat_interleave(H // G, dim=1), value.repeat_interleave(H // G, dim=1)
        grouped = False
    mixed = F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask.bias, dropout_p=dropout, is_causal=mask.causal, scale=scale,
        enable_gqa=grouped,
    )  # fmt: skip
    return mixed.reshape(B, H, T, D).transpose(1, 2).reshape(B, T, H * D)


def project_jointly(x: Tensor, layers: Sequence[nn.Linear]) -> tuple[Tensor, ...]:
    """One product for several linear layers of one input, with their weights joined on the fly: in training 1.2-1.4x
    the speed of one after the other (width 384, 4,096 rows, bfloat16), since ``x`` and its gradient pass once."""
    weight = torch.cat([layer.weight for layer in layers])
    bias = torch.cat([layer.bias for layer in layers]) if layers[0].bias is not None else None
    return F.linear(x, weight, bias).split([layer.out_features for layer in layers], dim=-1)


class Attention(nn.Module):
    """Projections around ``attend``. Query, key and value are three linear layers, so that adapters and optimizers
    that work on one matrix find one matrix."""

    def __init__(self, config: TransformerConfig, index: int, cross: bool = False):
        super().__init__()
        self.index, self.cross = index, cross
        self.per_head, self.scale, self.dropout = config.per_head, config.score_scale, config.attention_dropout
        inner, grouped = config.heads * config.per_head, config.groups * config.per_head
        self.query = nn.Linear(config.width, inner, bias=config.projects_with_bias)
        self.key = nn.Linear(config.width, grouped, bias=config.projects_with_bias)
        self.value = nn.Linear(config.width, grouped, bias=config.projects_with_bias)
        self.output = nn.Linear(inner, config.width, bias=config.bias)
        self.heads, self.groups = config.heads, config.groups
        self.joined: nn.Module | None = None  # in the place of the first three, in models for inference alone

    def joinable(self) -> tuple[str, ...]:
        """Layers that always read the same input."""
        return () if self.cross else ("query", "key", "value")

    def forward(
        self, x: Tensor, memory: Tensor | None, mask: Mask, rotation: tuple[Tensor, Tensor] | None = None,
        cache: Cache | None = None, record: Looks | None = None,
    ) -> Tensor:  # fmt: skip
        """``x`` (B, T, W) asks; it is also asked, unless ``memory`` (B, S, W) is, which for cross-attention may be None
        once the cache holds its keys. ``rotation``: cosines and sines of rotary positions."""
        B, T, W = x.shape
        if self.cross and cache is not None and cache.remembers(self.index):
            # Branches of one source ask the same keys: to these they are more queries, not more rows.
            query = self._split(self.query(x.reshape(B // cache.branches, cache.branches * T, W)))
            key, value = cache.memory(self.index)
        elif self.joined is not None:
            asked = x if memory is None else memory
            asking, value = self._split(self.joined(asked)).split((self.heads + self.groups, self.groups), dim=1)
            if rotation is not None:
                asking = rotate(asking, *rotation)
            query, key = asking.split((self.heads, self.groups), dim=1)
            if memory is not None:  # of which x is a few places, that ask alone
                query = self._split(self.joined(x))[:, : self.heads]
            if cache is not None:
                key, value = cache.extend(self.index, key, value)
        else:
            asked = x if memory is None else memory
            if not self._joined_pays(asked):
                query, key, value = map(self._split, (self.query(x), self.key(asked), self.value(asked)))
            elif memory is None:
                query, key, value = map(self._split, project_jointly(x, (self.query, self.key, self.value)))
            else:
                query = self._split(self.query(x))
                key, value = map(self._split, project_jointly(asked, (self.key, self.value)))
            if rotation is not None:
                query, key = rotate(query, *rotation), rotate(key, *rotation)
            if cache is not None:
                key, value = (cache.remember if self.cross else cache.extend)(self.index, key, value)
        dropout = self.dropout if self.training else 0.0
        mixed = attend(query, key, value, mask, scale=self.scale, dropout=dropout, record=record)
        return self.output(mixed.reshape(B, T, -1))

    def _joined_pays(self, x: Tensor) -> bool:
        """Joining the weights is worth its copy when there are many more rows than columns, and right only while the
        three are plain linear layers: an adapter in the place of one has its own forward. A graph that is exported has
        no number of rows yet."""
        if torch.compiler.is_exporting():
            return False
        plain = type(self.query) is type(self.key) is type(self.value) is nn.Linear
        return plain and x.shape[0] * x.shape[1] >= 4 * x.shape[2]

    def _split(self, x: Tensor) -> Tensor:
        B, T, _ = x.shape
        return x.view(B, T, -1, self.per_head).transpose(1, 2)  # (B, heads, T, D)
