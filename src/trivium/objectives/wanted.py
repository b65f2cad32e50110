"""What a batch asks for, target by target, in one form for every objective: ids and the places that they stand at.

The convention of all objectives: ``batch.targets[name]`` holds the ids of the loss ``name``, and ``at``, or the name
with ``_at`` behind it, their flat places in the last stack's (B, T); without places they are all of them, or, as many
as there are rows, answers about whole rows. An objective whose batches differ says itself what they want (``Wants``).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from trivium.objectives.objective import Batch, Objective
from trivium.transformer import Inputs, Tokens

if TYPE_CHECKING:
    from trivium.objectives.mixed import Mixed


@dataclass(frozen=True)
class Wanted:
    """Targets of one loss: ``ids`` (N,) int64 and ``places`` (N,) int64, flat in the last stack's (B, T); None: one a
    row, which is no token."""

    ids: Tensor
    places: Tensor | None


@runtime_checkable
class Wants(Protocol):
    """An objective that says what its batches want, in the order in which its loss scores it."""

    def wanted(self, batch: Batch) -> dict[str, Wanted]: ...


def wanted(objective: "Objective | Mixed", batch: Batch) -> dict[str, Wanted]:
    """By the name of a loss; losses without targets of their own, such as a teacher's, are not among them."""
    if isinstance(objective, Wants):
        return objective.wanted(batch)
    side = last_side(batch.inputs)
    found = {}
    for name in batch.counts:
        ids = batch.targets.get(name)
        if ids is None or ids.is_floating_point():
            continue
        at = next((batch.targets[key] for key in (f"{name}_at", "at") if key in batch.targets), None)
        if at is not None and at.numel() == ids.numel():
            found[name] = Wanted(ids.reshape(-1), _places(at, side))
        elif ids.numel() == (side.ids if side.queries is None else side.queries).numel():
            found[name] = Wanted(ids.reshape(-1), _places(torch.arange(ids.numel()), side))
        elif ids.shape == side.ids.shape[:1]:
            found[name] = Wanted(ids, None)
    return found


def last_side(inputs: Inputs) -> Tokens:
    """The sequence whose states are scored: the decoder's where there is one."""
    side = inputs.target if inputs.target is not None else inputs.source
    assert side is not None
    return side


def _places(at: Tensor, side: Tokens) -> Tensor:
    """Places in (B, T) of flat places in what is scored, which are queries where there are some."""
    if side.queries is None:
        return at
    rows, length = side.ids.shape
    return (side.queries + torch.arange(rows)[:, None] * length).reshape(-1)[at]
