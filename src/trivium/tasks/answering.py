"""Predictions for many examples: items in batches of similar length, answers back in order, whatever the batch."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trivium.tasks.batching import within_budget
from trivium.tasks.task import Task

if TYPE_CHECKING:
    from trivium.transformer import Network

TOKENS = 8192  # of a batch with its padding, unless one item alone has more


@torch.no_grad()
def predict_all(
    task: Task[Any, Any], model: "Network", examples: Sequence[Any], items: Any, tokens: int = TOKENS
) -> list[Any]:
    """Predictions in the order of the examples, which ``items`` are."""
    answers: list[Any] = [None] * len(items)
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    for numbers in within_budget(items.lengths, np.arange(len(items)), tokens):
        batch = task.batch(items, numbers).to(device)
        for number, answer in zip(numbers, task.answers(model, batch), strict=True):
            answers[number] = answer
    model.train(training)
    return task.predictions(examples, items, answers)
