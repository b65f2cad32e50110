"""Supervised fine-tuning on conversations: every token that the assistant says is predicted, and no other.

-log p of each token of the assistant's turns, the end of the turn among them, summed and divided by the number of such
tokens of the whole update: each token counts the same, not each conversation (Ouyang et al. 2022, 3.5, leave this
open). Several conversations share a row; attention stops at their bounds and positions begin anew in each.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from trivium.objectives import Batch, Loss
from trivium.objectives.cross_entropy import cross_entropy
from trivium.objectives.packing import pack, places, steady
from trivium.text.packing import pack as bins
from trivium.tokenizers.chats import Rendered
from trivium.transformer import Inputs, Network

LOSS = "replies"


def rows_of(lengths: np.ndarray, room: int) -> list[np.ndarray]:
    """Which conversations, of so many inputs each (N,), share a row of at most ``room``."""
    order, bounds = bins(lengths, room)
    return [order[start:end] for start, end in zip(bounds[:-1], bounds[1:], strict=True)]


def lesson_batch(rows: Sequence[Sequence[Rendered]], draws: Sequence[int], pad: int) -> Batch:
    """(B, T) inputs, right-padded, and the tokens after them that the assistant says."""
    width = max(sum(len(each.ids) - 1 for each in row) for row in rows)
    ids = np.full((len(rows), width), pad, np.int64)
    documents = np.full((len(rows), width), -1, np.int64)
    positions = np.zeros((len(rows), width), np.int64)
    following = np.zeros((len(rows), width), np.int64)
    learnt = np.zeros((len(rows), width), bool)
    for line, row in enumerate(rows):
        at = 0
        for number, each in enumerate(row):
            end = at + len(each.ids) - 1
            ids[line, at:end], following[line, at:end] = each.ids[:-1], each.ids[1:]
            documents[line, at:end], positions[line, at:end] = number, np.arange(end - at)
            learnt[line, at:end] = each.replies[1:] >= 0
            at = end
    targets = {LOSS: torch.from_numpy(following[learnt])}
    if (where := places(learnt)) is not None:
        targets["at"] = where
    read = int((documents >= 0).sum())
    return Batch(Inputs(target=pack(ids, documents, positions)), targets, {LOSS: int(learnt.sum())}, read, draws)


def lesson_loss(model: Network, batch: Batch) -> Mapping[str, Loss]:
    """The sum over the assistant's tokens."""
    logits = model(batch.inputs, at=steady(batch.targets.get("at"))).logits
    return {LOSS: Loss(cross_entropy(logits, batch.targets[LOSS]), batch.counts[LOSS])}
