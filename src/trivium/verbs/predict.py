"""``trivium predict``: a fine-tuned model over rows, streamed: each row as it came, with what the model says of it.

Every row is computed in float32 with padding masked, so a row's answer does not depend on its neighbours (beyond the
last bits of a matrix product, which the printed six digits leave out).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from trivium.errors import DataError, SettingsError
from trivium.families import adapter_folder
from trivium.settings import build, read_toml
from trivium.tasks import PROBLEMS, TASKS, Prediction, Task
from trivium.text.fields import Columns
from trivium.text.readers import Row
from trivium.training.precision import choose_device
from trivium.training.run_directory import RECIPE
from trivium.verbs.examples import checked_columns, example_of, file_rows
from trivium.verbs.load import find
from trivium.verbs.reward_models import is_reward_model, open_reward_model
from trivium.verbs.tuning import Tuned

if TYPE_CHECKING:
    from trivium.transformer import Network

CHUNK = 256  # rows read before the first is answered


class Predictor(Protocol):
    """What says something of each row of a file: a tuned model by its task, or a reward model."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    def example(self, place: str, row: Row, columns: Columns, gold: bool) -> Any: ...

    def predict(self, examples: Sequence[Any]) -> list[Any]: ...


Source = str | Path | Iterable[str | Row]


@dataclass(frozen=True)
class Predicted:
    """What a model says of one row of the user's."""

    given: Row
    prediction: Prediction

    def row(self) -> dict[str, object]:
        """As a line of JSON: the row's own fields, then the prediction's. A field that both have is the prediction's;
        the row's is then called ``gold``, or is in a table of that name where there are several."""
        said = self.prediction.row()
        both = {name: value for name, value in self.given.items() if name in said}
        own = {name: value for name, value in self.given.items() if name not in said}
        gold = next(iter(both.values())) if len(both) == 1 else both
        return {**own, **said, **({"gold": gold} if both else {})}


def predict(
    model: str | Path | Predictor, data: Source, *, columns: Columns | None = None, device: str = "auto"
) -> Iterator[Predicted]:
    """Predictions in the order of ``data``: a path to a table (.jsonl, .csv, .tsv) or to a text with one example a
    line; or rows themselves, and texts, such as the lines of a stream."""
    says = load_predictor(model, device) if isinstance(model, str | Path) else model
    return predict_rows(says, file_rows(Path(data)) if isinstance(data, str | Path) else _placed(data), columns)


def predict_rows(
    model: Predictor, rows: Iterable[tuple[str, Row]], columns: Columns | None = None
) -> Iterator[Predicted]:
    """The same for rows with the places that errors name."""
    known, rows = checked_columns(model, columns), iter(rows)
    while chunk := list(islice(rows, CHUNK)):
        examples = [example_of(model, place, row, known, False) for place, row in chunk]
        for (_, row), prediction in zip(chunk, model.predict(examples), strict=True):
            yield Predicted(row, prediction)


def load_predictor(directory: str | Path, device: str = "auto") -> Predictor:
    """A model for a task, or a reward model."""
    folder = find(directory)
    return open_reward_model(folder, device) if is_reward_model(folder) else load_tuned(folder, device)


def load_tuned(directory: str | Path, device: str = "auto") -> Tuned:
    """A folder that ``finetune`` wrote, or a Hugging Face model with a head of a kind that a task has."""
    where, directory = choose_device(device), find(directory)
    if directory.is_file():
        raise SettingsError(
            f"{directory} is a file that holds a language model: a model for a task is the folder that trivium "
            "finetune wrote"
        )
    loaded = adapter_folder.load(directory)
    task = task_of(loaded.model, loaded.head_labels, directory, loaded.problem)
    if task is None:
        raise SettingsError(
            f"{directory} was not fine-tuned for a task: make a model that was with `trivium finetune --model "
            f"{directory}`"
        )
    if loaded.tokenizer is None:
        raise DataError(f"{directory} has no tokenizer.json: copy the model's tokenizer into it")
    return Tuned(loaded.model.to(where).eval().requires_grad_(False), loaded.tokenizer, task)


def task_of(
    model: "Network", labels: Mapping[str, tuple[str, ...]], directory: Path, problem: str | None = None
) -> Task[Any, Any] | None:
    """What a folder's model predicts: by the table ``[task]`` of its recipe, else by its heads. ``problem``: what kind
    of labels the folder says that they are."""
    recipe = directory / RECIPE
    written = read_toml(recipe).get("task") if recipe.is_file() else None
    if isinstance(written, dict):
        settings = dict(written)
        kind = settings.pop("kind", None)
        if kind not in TASKS:
            raise DataError(f"{recipe} has task.kind = {kind!r}: it must be one of {', '.join(TASKS)}")
        return build(TASKS[kind], settings)
    kinds = [PROBLEMS[problem]] if problem in PROBLEMS else TASKS.values()
    found = (task.found(model, labels) for task in kinds)
    return next((task for task in found if task is not None), None)


def _placed(data: Iterable[str | Row]) -> Iterator[tuple[str, Row]]:
    for number, row in enumerate(data):
        yield f"row {number}", {"text": row} if isinstance(row, str) else row
