"""Files of labelled texts or pairs (.jsonl, .csv, .tsv, also .gz) to examples, every error with file, line and field.

TSV files are read without quoting, as GLUE's are written. Labels are strings; JSON integers and booleans become such.
"""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from pathlib import Path

from trivium.errors import DataError
from trivium.text.decoding import lines
from trivium.text.examples import Labelled, Pair

KINDS = (".jsonl", ".ndjson", ".csv", ".tsv")


@dataclass(frozen=True)
class Columns:
    """The names under which a file has its texts and labels; the second text may be absent."""

    text: str = "text"
    second: str = "text2"
    label: str = "label"


@dataclass(frozen=True)
class Located:
    """An example and where it stands: ``reviews.csv:17``."""

    example: Labelled | Pair
    place: str


def read_labelled(path: Path, columns: Columns | None = None, labels: bool = True) -> Iterator[Located]:
    """The examples of a file, streamed. ``labels=False``: a label is taken where there is one and else is empty."""
    columns = columns or Columns()
    if not path.is_file():
        raise DataError(f"{path} is not a file: check the name")
    pairs: bool | None = None
    for number, row in _rows(path):
        place = f"{path}:{number}"
        if pairs is None:
            pairs = columns.second in row
            _check_names(place, row, columns, pairs, labels)
        yield Located(example_of(place, row, columns, pairs, labels or columns.label in row), place)
    if pairs is None:
        raise DataError(f"{path} is empty: give it one example a row")


def example_of(place: str, row: Mapping[str, object], columns: Columns, pair: bool, label: bool) -> Labelled | Pair:
    """One row's example; ``place`` opens the sentence of what is wrong with it."""
    text = _text(place, row, columns.text)
    second = _text(place, row, columns.second) if pair else None
    name = _label(place, row, columns.label) if label else ""
    return Labelled(text, name) if second is None else Pair(text, second, name)


def kind(path: Path) -> str:
    """``.csv`` of ``reviews.csv.gz``; the empty string where the name does not tell one of ``KINDS``."""
    ends = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    return ends[-1] if ends and ends[-1] in KINDS else ""


def _rows(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    found = kind(path)
    if found in (".jsonl", ".ndjson"):
        yield from _objects(path)
    elif found:
        yield from _table(path, tabs=found == ".tsv")
    else:
        raise DataError(f"{path}: labelled examples are read from {', '.join(KINDS)}: rename or convert the file")


def _objects(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    for number, line in lines(path, "strict"):
        if not line or line.isspace():
            continue
        yield number, json_object(f"{path}:{number}", line)


def json_object(place: str, line: str) -> dict[str, object]:
    """A line of JSON with an object."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not valid JSON ({error}): correct or remove this line") from error
    if not isinstance(row, dict):
        raise DataError(f'{place}: a JSON object is wanted, such as {{"text": ..., "label": ...}}')
    return row


def _table(path: Path, tabs: bool) -> Iterator[tuple[int, dict[str, object]]]:
    csv.field_size_limit(1 << 30)
    numbered = (line + "\n" for _, line in lines(path, "strict"))
    if tabs:
        reader = csv.reader(numbered, delimiter="\t", quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(numbered, strict=True)
    try:
        header = next(reader, [])
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{path}:{reader.line_num}: {len(row)} columns where the header has {len(header)}: correct this row"
                )
            yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not valid CSV ({error}): correct this row") from error


def _check_names(place: str, row: dict[str, object], columns: Columns, pairs: bool, labels: bool) -> None:
    names = list(row)
    for wanted in (columns.text, columns.label) if labels else (columns.text,):
        if wanted not in row:
            near = get_close_matches(wanted, names, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise DataError(f"{place}: no column {wanted!r} among {', '.join(map(repr, names[:12]))}{hint}")
    if not pairs:
        known = {columns.text, columns.second, columns.label}
        close = [n for n in names if n not in known and SequenceMatcher(None, n.lower(), columns.second).ratio() > 0.8]
        if close:
            raise DataError(f"{place}: column {close[0]!r} would be ignored: call it {columns.second!r} for text pairs")


def _text(place: str, row: Mapping[str, object], field: str) -> str:
    value = row.get(field)
    if not isinstance(value, str):
        kind = "missing" if field not in row else "null" if value is None else type(value).__name__
        raise DataError(f"{place}: the text in {field!r} is {kind}, not a string")
    if not value.strip():
        raise DataError(f"{place}: the text in {field!r} is empty: remove this row")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: half a surrogate pair in {field!r} at character {error.start}") from error
    return value


def _label(place: str, row: Mapping[str, object], field: str) -> str:
    value = row.get(field)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str):
        kind = "missing" if field not in row else "null" if value is None else type(value).__name__
        raise DataError(f"{place}: the label in {field!r} is {kind}, not a string or an integer")
    if not value.strip():
        raise DataError(f"{place}: the label in {field!r} is empty")
    return value.strip()
