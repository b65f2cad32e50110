"""What a longer sequence costs: time and memory of a training step by length, at the same number of tokens.

A Transformer's attention compares every pair of positions, so that its cost a token grows with the length; a recurrent
model does the same work at every place, one after the other, and has no longest length. Memory is what a forward pass
keeps for the backward one, counted exactly (the storages that autograd saved), not sampled from the process.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from trivium.objectives.cross_entropy import cross_entropy
from trivium.transformer import Inputs, Tokens


@dataclass(frozen=True)
class Cost:
    """Of one length, per token of the batch."""

    length: int
    rows: int
    microseconds: float  # forward and backward, median of the repetitions
    kilobytes: float  # kept for the backward pass; weights not counted


def cost_of_length(model: nn.Module, lengths: Sequence[int], tokens: int = 4096, repetitions: int = 3) -> list[Cost]:
    """Causal language modelling on random ids (the cost does not depend on them), about ``tokens`` a batch.

    ``model``: a decoder, whose context must be at least the longest length.
    """
    model.train()
    return [_cost(model, length, max(1, tokens // length), repetitions) for length in lengths]


def _cost(model: nn.Module, length: int, rows: int, repetitions: int) -> Cost:
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(model.config.vocab_size, (rows, length + 1), generator=generator).to(device)  # type: ignore[arg-type, union-attr]
    kept = _kept_bytes(model, ids)  # also what warms the allocator
    seconds = []
    for _ in range(repetitions):
        model.zero_grad(set_to_none=True)
        started = time.perf_counter()
        _loss(model, ids).backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.perf_counter() - started)
    model.zero_grad(set_to_none=True)
    return Cost(length, rows, 1e6 * median(seconds) / (rows * length), kept / 1024 / (rows * length))


def _loss(model: nn.Module, ids: Tensor) -> Tensor:
    logits = model(Inputs(target=Tokens(ids[:, :-1])), at="all").logits
    return cross_entropy(logits, ids[:, 1:].reshape(-1)) / ids[:, 1:].numel()


def _kept_bytes(model: nn.Module, ids: Tensor) -> int:
    """Of the distinct storages that autograd saves in a forward pass, the model's own left out."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    sizes: dict[int, int] = {}
    held = []  # so that no storage is freed and its address used again while we count

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        held.append(_loss(model, ids))
    return sum(sizes.values())
