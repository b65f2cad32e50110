"""Fine-tuning tasks, one file for each kind; ``TASKS`` is the table that the command line names them by."""

from typing import Any

from trivium.tasks.answer_spans import Answered
from trivium.tasks.answering import predict_all
from trivium.tasks.answers import Answering
from trivium.tasks.rewriting import Rewriting, Rewritten
from trivium.tasks.sequences import Classified, SequenceClassification
from trivium.tasks.tagged_words import WordTags
from trivium.tasks.tagging import Tagging
from trivium.tasks.task import Items, Outcome, Prediction, Task, Writer

TASKS: dict[str, type[Task[Any, Any]]] = {
    "sequence": SequenceClassification,
    "tagging": Tagging,
    "answers": Answering,
    "rewriting": Rewriting,
}

__all__ = [
    "TASKS",
    "Answered",
    "Answering",
    "Classified",
    "Items",
    "Outcome",
    "Prediction",
    "Rewriting",
    "Rewritten",
    "SequenceClassification",
    "Tagging",
    "Task",
    "WordTags",
    "Writer",
    "predict_all",
]
