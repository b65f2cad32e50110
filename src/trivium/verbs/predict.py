"""``trivium predict``: a fine-tuned model over texts, streamed, with the probability of each label.

Every row is computed in float32 with padding masked, so a row's answer does not depend on its neighbours (beyond the
last bits of a matrix product, which the printed six digits leave out).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from trivium.errors import DataError, SettingsError
from trivium.families import huggingface
from trivium.tasks import Prediction, SequenceClassification
from trivium.text.decoding import lines
from trivium.text.examples import Labelled, Pair
from trivium.text.labelled import Columns, example_of, json_object, kind, read_labelled
from trivium.training.precision import choose_device
from trivium.transformer import SEQUENCE, SequenceHead
from trivium.verbs.classifier import Classifier

CHUNK = 256  # rows read before the first is answered

Text = str | Labelled | Pair


@dataclass(frozen=True)
class Predicted(Prediction):
    """A prediction with the text, or pair, that it is for; ``gold`` where the row had a label."""

    text: str
    second: str | None = None
    gold: str | None = None

    def row(self) -> dict[str, object]:
        """As a line of JSON has it; probabilities to six digits, the most probable label first."""
        ordered = sorted(self.probabilities.items(), key=lambda item: -item[1])
        row: dict[str, object] = {"text": self.text}
        if self.second is not None:
            row["text2"] = self.second
        row |= {"label": self.label, "probabilities": {label: round(p, 6) for label, p in ordered}}
        return row if self.gold is None else {**row, "gold": self.gold}


def predict(
    model: str | Path | Classifier,
    data: str | Path | Iterable[Text],
    *,
    columns: Columns | None = None,
    device: str = "auto",
) -> Iterator[Predicted]:
    """Predictions in the order of ``data``: a path to .jsonl, .csv or .tsv (columns text, text2) or to a text with one
    example a line; or texts and examples themselves, such as the lines of a stream."""
    classifier = model if isinstance(model, Classifier) else load_classifier(model, device)
    rows = read_texts(Path(data), columns) if isinstance(data, str | Path) else _checked(data)
    return _predicted(classifier, rows)


def load_classifier(directory: str | Path, device: str = "auto") -> Classifier:
    """A folder that ``finetune`` wrote, or a Hugging Face sequence classifier's."""
    where = choose_device(device)
    if not Path(directory).is_dir():
        raise DataError(f"there is no model folder {directory}: give the folder that `trivium finetune` wrote (--out)")
    loaded = huggingface.load(directory)
    head = loaded.model.heads[SEQUENCE] if SEQUENCE in loaded.model.heads else None
    if loaded.labels is None or not isinstance(head, SequenceHead):
        raise SettingsError(
            f"{directory} has no classifier on top: make one with `trivium finetune --model {directory}`"
        )
    if loaded.tokenizer is None:
        raise DataError(f"{directory} has no tokenizer.json: copy the model's tokenizer into it")
    task = SequenceClassification(loaded.labels, head.pooling)
    body = loaded.model.to(where).eval().requires_grad_(False)
    return Classifier(body, loaded.tokenizer, task)


def read_texts(path: Path, columns: Columns | None = None) -> Iterator[Labelled | Pair]:
    """The examples of a file, streamed: a table by its name's end, else one text a line."""
    if not path.is_file():
        raise DataError(f"{path} is not a file: check the name")
    if kind(path):
        for located in read_labelled(path, columns, labels=False):
            yield located.example
        return
    empty = True
    for _, line in lines(path, "strict"):
        if line.strip():
            empty = False
            yield Labelled(line, "")
    if empty:
        raise DataError(f"{path} is empty: give it one text a line")


def read_stream(stream: Iterable[str], columns: Columns | None = None) -> Iterator[Labelled | Pair]:
    """The examples of an open stream, such as standard input: JSON objects or plain texts, one a line."""
    columns = columns or Columns()
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        if not line.lstrip().startswith("{"):
            yield Labelled(line.rstrip("\r\n"), "")
            continue
        place = f"line {number} of the input"
        row = json_object(place, line)
        yield example_of(place, row, columns, columns.second in row, columns.label in row)


def _checked(texts: Iterable[Text]) -> Iterator[Labelled | Pair]:
    for number, text in enumerate(texts):
        example = Labelled(text, "") if isinstance(text, str) else text
        parts = (example.first, example.second) if isinstance(example, Pair) else (example.text,)
        if not all(part.strip() for part in parts):
            raise DataError(f"text {number} is empty: leave it out")
        yield example


def _predicted(classifier: Classifier, rows: Iterator[Labelled | Pair]) -> Iterator[Predicted]:
    while chunk := list(islice(rows, CHUNK)):
        for example, prediction in zip(chunk, classifier.predict(chunk), strict=True):
            yield Predicted(
                label=prediction.label,
                probabilities=prediction.probabilities,
                text=example.first if isinstance(example, Pair) else example.text,
                second=example.second if isinstance(example, Pair) else None,
                gold=example.label or None,
            )
