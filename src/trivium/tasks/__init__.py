"""Fine-tuning tasks, one file for each kind; ``TASKS`` is the table that the command line names them by."""

from trivium.tasks.encoding import Encoded
from trivium.tasks.sequences import SequenceClassification
from trivium.tasks.task import Prediction, Task

TASKS = {"sequence": SequenceClassification}

__all__ = ["TASKS", "Encoded", "Prediction", "SequenceClassification", "Task"]
