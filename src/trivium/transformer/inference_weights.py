"""Weights in a form for inference alone: int8 or bfloat16, with several layers of one input as one product.

int8 is weight-only: each output's row of weights is divided by one positive scale, its largest magnitude over 127, and
rounded; activations, norms and biases are bfloat16. Products of up to three rows, the steps of writing one text, take
``row_kernels`` where numba is installed. A matrix is kept once: the token embeddings share it with the output
projection. Nothing of this can be trained or saved. R rows, K inputs, N outputs.
"""

from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trivium.errors import SettingsError
from trivium.transformer.attention import Attention
from trivium.transformer.layers import FeedForward
from trivium.transformer.model import Model
from trivium.transformer.network import Network
from trivium.transformer.vocabulary import Vocabulary

_FEW = 3
"""Rows up to which ``row_kernels`` won. Measured on 2 cores without bf16 matrix units (widths 576 and 1,536): one row
takes 0.5-0.8 of torch's time in int8 and 0.5-0.8 in bfloat16; four rows are equal."""
_MANY = 16
"""Rows from which widening the whole matrix for one bfloat16 product pays."""

Product = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]


@cache
def row_product() -> Product | None:
    """The kernel for a few rows; None where numba is not installed, or torch's threads are not of the kind it joins."""
    if find_spec("numba") is None or not torch.backends.openmp.is_available():
        return None
    try:
        from trivium.transformer.row_kernels import product
    except AttributeError:  # an OpenMP without GOMP_parallel
        return None
    return product


class InferenceLinear(nn.Module):
    """x W^T + b of an int8 or bfloat16 W; with a ``scale`` an output, where W is int8."""

    weight: Tensor
    scale: Tensor | None
    half_scale: Tensor | None
    bias: Tensor | None

    def __init__(self, weight: Tensor, scale: Tensor | None, bias: Tensor | None):
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)
        self.register_buffer("half_scale", None if scale is None else scale.bfloat16())

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., N)."""
        rows = x.numel() // self.in_features
        if rows <= _FEW and (product := row_product()) is not None:
            flat = x.reshape(rows, self.in_features).contiguous()
            return product(flat, self.weight, self.scale, self.bias).view(*x.shape[:-1], self.out_features)
        if self.half_scale is None:
            if rows == 1 and self.bias is None and _matrix_units():
                return torch.mv(self.weight, x.view(-1)).view(*x.shape[:-1], self.out_features)
            return F.linear(x, self.weight, self.bias)
        if rows > _MANY:
            out = F.linear(x, self.weight.to(x.dtype)) * self.half_scale
        else:
            flat = x.reshape(rows, self.in_features).contiguous()
            out = torch.ops.aten._weight_int8pack_mm(flat, self.weight, self.half_scale)
            out = out.view(*x.shape[:-1], self.out_features)
        return out if self.bias is None else out + self.bias

    def train(self, mode: bool = True) -> "InferenceLinear":
        if mode:
            _refuse("trained")
        return super().train(mode)

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        _refuse("saved")


class InferenceEmbedding(nn.Module):
    """Rows of the matrix that the output projection multiplies with."""

    weight: Tensor
    half_scale: Tensor | None

    def __init__(self, weight: Tensor, scale: Tensor | None):
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("half_scale", None if scale is None else scale.bfloat16())

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> (B, T, W)."""
        rows = F.embedding(ids, self.weight)
        return rows if self.half_scale is None else rows.bfloat16() * self.half_scale[ids][..., None]

    def _save_to_state_dict(self, *args: Any, **kwargs: Any) -> NoReturn:
        _refuse("saved")


@cache
def _matrix_units() -> bool:
    """Whether this processor multiplies bfloat16 matrices as such (AMX): there ``torch.mv`` reads weights at twice the
    speed of ``F.linear``; elsewhere at half of it."""
    return torch.cpu._is_amx_tile_supported()


def _refuse(what: str) -> NoReturn:
    raise SettingsError(
        f"this model's weights are for inference alone and cannot be {what}: load it with precision float32"
    )


def quantised(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(N, K) to int8 and the scale of each row (N,) float32. Scales are bfloat16 numbers, rounded up so that no weight
    leaves the range: what kernels that multiply in bfloat16 and those that do in float32 see is the same number."""
    most = weight.float().abs().amax(dim=1)
    scale = (most / 127).bfloat16()
    scale = torch.where(scale.float() * 127 < most, torch.nextafter(scale, torch.full_like(scale, torch.inf)), scale)
    scale = torch.where(scale == 0, torch.ones_like(scale), scale).float()
    return (weight.float() / scale[:, None]).round_().clamp_(-127, 127).to(torch.int8), scale


def for_inference(network: Network, int8: bool) -> Network:
    """The same network, changed in its place, with such weights where it is a Transformer on a CPU. bfloat16 leaves
    others as they are; int8 refuses them."""
    if not isinstance(network, Model):
        if int8:
            raise SettingsError(
                "int8 weights are made of Transformers alone, not of recurrent or two-stream networks: choose "
                "precision bfloat16 or float32"
            )
        return network.to(torch.bfloat16)
    network.to(torch.bfloat16)
    for stack in (network.encoder, network.decoder):
        for module in () if stack is None else list(stack.modules()):
            if isinstance(module, Attention | FeedForward):
                _prepare(module, int8)
    if isinstance(network.vocabulary, Vocabulary):
        _prepare_vocabulary(network, network.vocabulary, int8)
    return network.eval().requires_grad_(False)


def parameter_count(network: nn.Module) -> int:
    """The numbers that were learnt, in this form or as they were; what is shared counts once."""
    held: list[Tensor | None] = list(network.parameters())
    for module in network.modules():
        if isinstance(module, InferenceLinear):
            held += [module.weight, module.bias]
        elif isinstance(module, InferenceEmbedding):
            held.append(module.weight)
    return sum(each.numel() for each in {id(each): each for each in held if each is not None}.values())


def _prepare(module: Attention | FeedForward, int8: bool) -> None:
    joined = module.joinable()
    if joined:
        module.joined = _layer([getattr(module, name) for name in joined], int8)
        for name in joined:
            delattr(module, name)
    for name, layer in list(module.named_children()):
        if isinstance(layer, nn.Linear):
            setattr(module, name, _layer([layer], int8))


def _prepare_vocabulary(network: Model, vocabulary: Vocabulary, int8: bool) -> None:
    if isinstance(vocabulary.dense, nn.Linear):
        vocabulary.dense = _layer([vocabulary.dense], int8)
    own = vocabulary.projection
    weight, scale = _weights(network.tokens.weight if own is None else next(own.parameters()), int8)
    vocabulary.projection = InferenceLinear(weight, scale, vocabulary.bias)
    vocabulary.bias = None
    if own is None:
        network.tokens = InferenceEmbedding(weight, scale)  # type: ignore[assignment]


def _layer(layers: Sequence[nn.Linear], int8: bool) -> InferenceLinear:
    """One product for layers of one input."""
    weight, scale = _weights(torch.cat([layer.weight for layer in layers]), int8)
    biases: list[Tensor] = [layer.bias for layer in layers if layer.bias is not None]
    return InferenceLinear(weight, scale, torch.cat(biases).detach() if biases else None)


def _weights(weight: Tensor, int8: bool) -> tuple[Tensor, Tensor | None]:
    return quantised(weight.detach()) if int8 else (weight.detach().contiguous(), None)
