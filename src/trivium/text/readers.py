"""Files of examples (.jsonl, .csv, .tsv, also .gz) to rows, every error with file and line; a task makes its own
examples of the rows.

TSV files are read without quoting, as GLUE's are written.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from trivium.errors import DataError
from trivium.text.decoding import lines

Row = Mapping[str, object]


def read_rows(path: Path) -> Iterator[tuple[str, Row]]:
    """Each row with its place (``reviews.csv:17``), streamed."""
    if not path.is_file():
        raise DataError(f"{path} is not a file: check the name")
    found = kind(path)
    if not found:
        raise DataError(f"{path}: examples are read from {', '.join(READERS)}: rename or convert the file")
    empty = True
    for number, row in READERS[found](path):
        empty = False
        yield f"{path}:{number}", row
    if empty:
        raise DataError(f"{path} is empty: give it one example a row")


def kind(path: Path) -> str:
    """``.csv`` of ``reviews.csv.gz``; the empty string where the name does not tell one of ``READERS``."""
    ends = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    return ends[-1] if ends and ends[-1] in READERS else ""


def json_object(place: str, line: str) -> dict[str, object]:
    """A line of JSON with an object."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not valid JSON ({error}): correct or remove this line") from error
    if not isinstance(row, dict):
        raise DataError(f'{place}: a JSON object is wanted, such as {{"text": ..., "label": ...}}')
    return row


def objects(path: Path) -> Iterator[tuple[int, Row]]:
    """A JSON object a line."""
    for number, line in lines(path, "strict"):
        if line and not line.isspace():
            yield number, json_object(f"{path}:{number}", line)


def commas(path: Path) -> Iterator[tuple[int, Row]]:
    """Comma-separated values with a header, quoted where needed."""
    return _table(path, delimiter=",", quoting=csv.QUOTE_MINIMAL)


def tabs(path: Path) -> Iterator[tuple[int, Row]]:
    """Tab-separated values with a header, never quoted."""
    return _table(path, delimiter="\t", quoting=csv.QUOTE_NONE)


def _table(path: Path, delimiter: str, quoting: int) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(1 << 30)
    numbered = (line + "\n" for _, line in lines(path, "strict"))
    reader = csv.reader(numbered, delimiter=delimiter, quoting=quoting, strict=True)  # type: ignore[arg-type]
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


READERS: dict[str, Callable[[Path], Iterator[tuple[int, Row]]]] = {
    ".jsonl": objects,
    ".ndjson": objects,
    ".csv": commas,
    ".tsv": tabs,
}
"""By the end of a file's name."""
