"""What a training step takes in memory, by part, before any of it is taken.

Weights, gradients and the optimizer's state follow from the parameters (``MasterOptimizer``); what a batch adds is
found by running the real forward and backward pass on tensors without numbers (``live_bytes.py``). Sharding is
ZeRO's third stage (Rajbhandari et al. 2020, section 5): everything that belongs to a parameter is split, and two layers
at a time are gathered whole. Checkpointing keeps each layer's input and computes the layer again (Chen et al. 2016).
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trivium.lab.live_bytes import FusedKernels, LiveBytes, without_numbers
from trivium.objectives.objective import Batch, Loss
from trivium.training.optimizer import hidden_matrices
from trivium.training.settings import Muon, Optimizer
from trivium.transformer import Network

Precision = Literal["float32", "bfloat16"]
BYTES: dict[Precision, int] = {"float32": 4, "bfloat16": 2}
LEARNING: dict[Precision, int] = {"float32": 16, "bfloat16": 18}
"""Bytes of a parameter that learns by AdamW: weight, gradient and two moments, 4 each; in bfloat16 a weight of 2 beside
the float32 master, gradient and moments. A parameter that does not learn has its weight alone."""

HEAP = 1.21
"""What the heap of a process on a CPU has for each byte up to the highest place where a tensor should lie
(``heap.py``): small blocks of other kinds come to lie between tensors and keep free pieces apart. Fitted, to the
shapes of docs/planning.md. Drawing the first weights leaves a gap of about their size."""
PROCESS = 350_000_000
"""What a process that trains has before any of it: Python, torch and their libraries (measured)."""


@dataclass(frozen=True)
class State:
    """Bytes that lie there from step to step. In bfloat16 the float32 masters count to the optimizer; in float32 the
    gradients come and go with each step."""

    weights: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        return self.weights + self.gradients + self.optimizer


@dataclass(frozen=True)
class Memory:
    """Of one device, in bytes. ``activations``: what a micro-batch keeps for the backward pass; ``logits``: scores of
    the vocabulary, whose place their gradient takes; ``peak``: the most at once. The parts do not add up to it:
    gradients grow while activations go, and operations hold results of their own."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    peak: int


def state_bytes(model: nn.Module, optimizer: Optimizer, precision: Precision) -> State:
    """Of the parameters that learn, and of those that do not their weights alone."""
    hidden = hidden_matrices(model) if isinstance(optimizer, Muon) else set()
    sizes = {name: weight.numel() for name, weight in model.named_parameters()}
    learnt = {name: sizes[name] for name, weight in model.named_parameters() if weight.requires_grad}
    moments = sum(4 * size * (1 if name in hidden else 2) for name, size in learnt.items())
    masters = 0 if precision == "float32" else 4 * sum(learnt.values())
    return State(BYTES[precision] * sum(sizes.values()), 4 * sum(learnt.values()), masters + moments)


def step_memory(
    model: Network, loss: Callable[[Any, Batch], Mapping[str, Loss]], steps: Sequence[Sequence[Batch]],
    optimizer: Optimizer, precision: Precision, *, on_cpu: bool, checkpointing: bool = False, shards: int = 1,
) -> Memory:  # fmt: skip
    """Of a ``model`` without memory (``outline``); ``steps``: micro-batches of at least two steps, of each of which two
    are enough. On a CPU more steps leave freed places of more sizes: after four there are hardly any new.

    The model is used up: it has no numbers afterwards, of whatever device.
    """
    state = state_bytes(model, optimizer, precision)
    largest = max((_bytes(layer, precision) for layer in _layers(model)), default=0)
    learnt = BYTES[precision] * sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    found = _passes(model, loss, steps, optimizer, precision, on_cpu, checkpointing)
    peak = found.peak
    if shards > 1:  # gradients are split as they come, and two layers and the gradient of one are there whole
        state = State(*(-(-part // shards) for part in (state.weights, state.gradients, state.optimizer)))
        peak = state.total + max(found.activations + found.logits, found.passing - learnt) + 3 * largest
    return Memory(state.weights, state.gradients, state.optimizer, found.activations, found.logits, peak)


@dataclass(frozen=True)
class _Passes:
    """``passing``: what forward and backward passes hold at most, ``peak``: with all that lies there anyway."""

    activations: int
    logits: int
    passing: int
    peak: int


def _passes(
    model: Network, loss: Callable[[Any, Batch], Mapping[str, Loss]], steps: Sequence[Sequence[Batch]],
    optimizer: Optimizer, precision: Precision, on_cpu: bool, checkpointing: bool,
) -> _Passes:  # fmt: skip
    """Steps, of which the first leaves the optimizer's moments behind, as the trainer takes them."""
    low = precision == "bfloat16"
    kind = torch.bfloat16 if low else torch.float32
    hidden = hidden_matrices(model) if isinstance(optimizer, Muon) else set()
    scores: list[int] = []
    kept = logits = passing = 0
    drawn = 4 * sum(weight.numel() for weight in model.parameters())
    with without_numbers(on_cpu) as made, LiveBytes() as live:
        _strip(model, made, kind)
        learnt = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        beside = [made(weight, torch.float32) for weight in learnt.values() for _ in range(2) if low]
        model.train()
        if checkpointing:
            _recompute(model, on_cpu)
        if model.vocabulary is not None:
            model.vocabulary.register_forward_hook(lambda _, given, out: scores.append(_size(out)))
        moments: list[Tensor] = []
        for batches in steps:
            standing, live.peak_since = live.now, live.now
            for batch in (batches if on_cpu else [batch.to("meta") for batch in batches]):
                before, scores[:] = live.now, []
                total = torch.stack([part.total for part in loss(model, batch).values()]).sum()
                logits = max(logits, sum(scores))
                kept = max(kept, live.now - before - sum(scores))
                total.backward()
                del total
                if low:
                    _forget(model)  # they went to the float32 gradients
            passing = max(passing, live.peak_since - standing)
            if not moments:
                moments = [
                    made(weight, torch.float32)
                    for name, weight in learnt.items() for _ in range(1 if name in hidden else 2)
                ]  # fmt: skip
            _forget(model)
        del beside
    return _Passes(max(0, kept), logits, passing, round(HEAP * (live.heap.top + drawn)) if on_cpu else live.peak)


def _forget(model: nn.Module) -> None:
    for weight in model.parameters():
        weight.grad = None


def _strip(model: nn.Module, made: Callable[[Tensor, torch.dtype], Tensor], precision: torch.dtype) -> None:
    """Parameters and buffers as the trainer would have them, without numbers."""
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                fresh = nn.Parameter(made(weight, precision), requires_grad=weight.requires_grad)
                module._parameters[name] = fresh
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = made(buffer, buffer.dtype)


def _recompute(model: Network, on_cpu: bool) -> None:
    def again(forward: Callable[..., Tensor], *given: Any) -> Tensor:
        def kernels() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
            return nullcontext(), nullcontext() if on_cpu else FusedKernels()  # the backward pass leaves the outer one

        made: Tensor = checkpoint(forward, *given, use_reentrant=False, preserve_rng_state=False, context_fn=kernels)
        return made

    for layer in _layers(model):
        layer.forward = partial(again, layer.forward)


def _layers(model: Network) -> list[nn.Module]:
    """The numbered layers of both stacks."""
    stacks = (stack for stack in (model.encoder, model.decoder) if stack is not None)
    return [layer for stack in stacks for layer in stack.get_submodule("layers").children()]


def _bytes(module: nn.Module, precision: Precision) -> int:
    return BYTES[precision] * sum(weight.numel() for weight in module.parameters())


def _size(scores: object) -> int:
    tensors = [scores] if isinstance(scores, Tensor) else list(scores) if isinstance(scores, tuple | list) else []
    return sum(each.numel() * each.element_size() for each in tensors)
