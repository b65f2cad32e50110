"""Bytes that a training step holds, found by running the real step on tensors that have a shape and no numbers.

Every tensor that an operation makes is counted while its storage lives, so that what autograd keeps, what a kernel
writes beside it and what is freed on the way are all as in the step itself. For a CPU the tensors are torch's fake
ones, which take every path that a CPU takes. For accelerators they lie on the meta device, and the three fused kernels
whose choice depends on real hardware are replaced by what they keep (Dao 2023, section 3.1, for attention). Left out:
what kernels allocate within themselves, and what the allocator loses between blocks.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trivium.lab.heap import Heap


class LiveBytes(TorchDispatchMode):
    """``now``: bytes of all storages made inside the block and not yet freed; ``peak``: the most at once;
    ``peak_since``: since the caller last set it; ``heap``: where they would lie on a CPU."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = self.peak_since = 0
        self.heap = Heap()
        self._storages: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = function(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            if isinstance(each, Tensor):
                self._hold(each)
        return made

    def _hold(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        place, size = storage._cdata, storage.nbytes()
        if place in self._storages:
            return

        taken = self.heap.take(size)

        def freed(_: object) -> None:
            self.now -= size
            self.heap.give(taken)
            del self._storages[place]

        self._storages[place] = weakref.ref(storage, freed)
        self.now += size
        self.peak = max(self.peak, self.now)
        self.peak_since = max(self.peak_since, self.now)


@contextmanager
def without_numbers(on_cpu: bool) -> Iterator[Callable[[Tensor, torch.dtype], Tensor]]:
    """Inside, tensors have no numbers; gives what makes one of a tensor's shape and a type."""
    if on_cpu:
        from torch._subclasses.fake_tensor import FakeTensorMode  # takes a second to import

        with FakeTensorMode(allow_non_fake_inputs=True):
            yield lambda tensor, kind: torch.empty(tensor.shape, dtype=kind, device="cpu")
    else:
        with FusedKernels():
            yield lambda tensor, kind: torch.empty(tensor.shape, dtype=kind, device="meta")


class FusedKernels(TorchFunctionMode):
    """What accelerators run in place of three functions that the meta device would take apart."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if function is F.scaled_dot_product_attention:
            return _Attention.apply(*args[:3])
        if function is F.dropout:
            rate = given["p"] if "p" in given else args[1]
            return torch.native_dropout(args[0], rate, True)[0]  # keeps a byte for each number
        if function is F.rms_norm:
            return _RootMeanSquare.apply(args[0], given["weight"] if "weight" in given else args[2])
        return function(*args, **given)


class _Attention(torch.autograd.Function):
    """Keeps queries, keys, values, what it gave, and the logarithm of each row's sum, and no scores."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        mixed = torch.empty_like(query)
        sums = query.new_empty(query.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(query, key, value, mixed, sums)
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, _, _ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


class _RootMeanSquare(torch.autograd.Function):
    """Keeps its input and one number a row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, x.new_empty(x.shape[:-1], dtype=torch.float32), weight)
        return torch.empty_like(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        x, _, weight = ctx.saved_tensors
        return torch.empty_like(x), torch.empty_like(weight)
