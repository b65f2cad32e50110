"""Predictions for many examples: items in batches of similar length, answers back in order, whatever the batch."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trivium.tasks.batching import within_budget
from trivium.tasks.task import Task, Writer

if TYPE_CHECKING:
    from trivium.transformer import Network

TOKENS = 8192  # of a batch with its padding, unless one item alone has more


def predict_all(
    task: Task[Any, Any], model: "Network", examples: Sequence[Any], items: Any, tokens: int = TOKENS
) -> list[Any]:
    """Predictions in the order of the examples, which ``items`` are."""
    training = model.training
    model.eval()
    *_, predictions = predict_in_steps(task, model, examples, items, tokens)
    model.train(training)
    assert predictions is not None
    return predictions


def predict_in_steps(
    task: Task[Any, Any], model: "Network", examples: Sequence[Any], items: Any, tokens: int = TOKENS
) -> Iterator[list[Any] | None]:
    """The same by a model that is in use, for a caller who has other work between two batches, or two tokens where
    they are written: None after each of them, the predictions at the end."""
    answers: list[Any] = [None] * len(items)
    device = next(model.parameters()).device
    for numbers in within_budget(items.lengths, np.arange(len(items)), tokens):
        batch = task.batch(items, numbers).to(device)
        if isinstance(task, Writer):
            found = yield from task.answers_in_steps(model, batch)
        else:
            with torch.no_grad():
                found = task.answers(model, batch)
        for number, answer in zip(numbers, found, strict=True):
            answers[number] = answer
        yield None
    yield task.predictions(examples, items, answers)
