"""The examples of a task, from a file or as a list, each with its place for errors to name."""

import os
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

from trivium.errors import DataError, SettingsError
from trivium.tasks import Task
from trivium.text.decoding import lines
from trivium.text.examples import Located
from trivium.text.fields import Columns, NoColumnError
from trivium.text.readers import Row, json_object, kind, read_rows
from trivium.verbs.tuning import placed

Given = str | os.PathLike[str] | Sequence[Any]
"""A file's path, or the examples themselves."""


def read_examples(
    task: Task[Any, Any], given: Given, columns: Columns | None, name: str, format: str | None = None
) -> list[Located[Any]]:
    """All of them, with their gold; ``name``: what a list is called in errors (``train[3]``)."""
    if isinstance(given, str | os.PathLike):
        known = checked_columns(task, columns)
        path = Path(given)
        return [Located(example_of(task, place, row, known, True), place) for place, row in read_rows(path, format)]
    if not given:
        raise DataError(f"{name} has no examples: give some")
    return placed(given, name)


def file_rows(path: Path, format: str | None = None) -> Iterator[tuple[str, Row]]:
    """The rows of a file to predict for: a table by its name's end, else one text a line as the field ``text``."""
    if not path.is_file():
        raise DataError(f"{path} is not a file: check the name")
    if format or kind(path):
        yield from read_rows(path, format)
        return
    empty = True
    for number, line in lines(path, "strict"):
        if line.strip():
            empty = False
            yield f"{path}:{number}", {"text": line}
    if empty:
        raise DataError(f"{path} is empty: give it one text a line")


def stream_rows(stream: Iterable[str]) -> Iterator[tuple[str, Row]]:
    """The rows of an open stream, such as standard input: JSON objects or plain texts, one a line."""
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        place = f"line {number} of the input"
        yield place, json_object(place, line) if line.lstrip().startswith("{") else {"text": line.rstrip("\r\n")}


class Reader(Protocol):
    """A task, or what else makes examples of rows."""

    @property
    def columns(self) -> tuple[str, ...]: ...


class RowReader(Reader, Protocol):
    """One that makes an example of a row."""

    def example(self, place: str, row: Row, columns: Columns, gold: bool) -> Any: ...


def example_of(reader: RowReader, place: str, row: Row, columns: Columns, gold: bool) -> Any:
    """The example in a file's row; where a column of the task is missing, how to name one's own is told, too."""
    try:
        return reader.example(place, row, columns, gold)
    except NoColumnError as error:
        named = next((name for name, own in columns.items() if own == error.column), None)
        if named is not None:  # a column of the user's own
            raise DataError(f"{error}{_own_name(named, error, named in row)}") from error
        if error.column not in reader.columns:
            raise
        option = f"--column {error.column}="
        remedy = f" ({option}{error.near})" if error.near else f": name yours by {option}..."
        raise DataError(f"{error}{remedy}") from error


def _own_name(name: str, error: NoColumnError, there: bool) -> str:
    """What to do with an option whose column is not in the file; ``there``: the one that is read without it is."""
    option = f"--column {name}={error.column}"
    if error.near is None:
        return f": correct {option}" + ", or leave it out" * there
    return f" (leave out {option})" if error.near == name else f" (--column {name}={error.near})"


def checked_columns(task: Reader, columns: Columns | None) -> Columns:
    """Names of the user's own for columns that the task reads."""
    for name in columns or {}:
        if name not in task.columns:
            near = get_close_matches(name, task.columns, 1)
            advice = f"did you mean {near[0]!r}?" if near else f"it reads {', '.join(task.columns)}"
            raise SettingsError(f"this task reads no column {name!r}: {advice}")
    return columns or {}
