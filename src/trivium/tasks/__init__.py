"""Fine-tuning tasks, one file for each kind; ``TASKS`` is the table that the command line names them by."""

from typing import Any

from trivium.tasks.answer_spans import Answered
from trivium.tasks.answering import predict_all, predict_in_steps
from trivium.tasks.answers import Answering
from trivium.tasks.choices import Chosen, MultipleChoice
from trivium.tasks.multi_label import LabelSet, MultiLabel
from trivium.tasks.regression import Estimated, Regression
from trivium.tasks.relations import SpanPairs, SpanRelations
from trivium.tasks.rewriting import Rewriting, Rewritten
from trivium.tasks.sequences import Classified, SequenceClassification
from trivium.tasks.spans import SpanLabelling, SpanLabels
from trivium.tasks.tagged_words import WordTags
from trivium.tasks.tagging import Tagging
from trivium.tasks.task import Items, Outcome, Prediction, Task, Writer
from trivium.tasks.texts import TextTask

TASKS: dict[str, type[Task[Any, Any]]] = {
    "sequence": SequenceClassification,
    "regression": Regression,
    "multilabel": MultiLabel,
    "choices": MultipleChoice,
    "tagging": Tagging,
    "answers": Answering,
    "rewriting": Rewriting,
    "spans": SpanLabelling,
    "relations": SpanRelations,
}

PROBLEMS: dict[str, type[Task[Any, Any]]] = {task.problem: task for task in (Regression, MultiLabel)}
"""The tasks of folders whose ``config.json`` has a ``problem_type``."""

__all__ = [
    "PROBLEMS",
    "TASKS",
    "Answered",
    "Answering",
    "Chosen",
    "Classified",
    "Estimated",
    "Items",
    "LabelSet",
    "MultiLabel",
    "MultipleChoice",
    "Outcome",
    "Prediction",
    "Regression",
    "Rewriting",
    "Rewritten",
    "SequenceClassification",
    "SpanLabelling",
    "SpanLabels",
    "SpanPairs",
    "SpanRelations",
    "Tagging",
    "Task",
    "TextTask",
    "WordTags",
    "Writer",
    "predict_all",
    "predict_in_steps",
]
