"""Files of examples, also compressed with gzip, to rows, every error with file and line; a task makes its own examples
of the rows.

- ``.jsonl``, ``.ndjson``: a JSON object a line. ``.csv``, and ``.tsv`` without quoting, as GLUE's are: a header.
- ``.conll`` (also ``.iob``, ``.bio``): a word a line, columns between blanks or tabs, an empty line after a sentence.
  A row is a sentence: ``words``, the columns after them as ``1``, ``2`` ..., and the last one also as ``tags``.
- ``.conllu`` of Universal Dependencies: ``words``, ``lemmas``, ``upos``, ``xpos``, ``deprel``; ``tags`` are upos.
- ``.json``: SQuAD's file of articles, paragraphs and questions, a row a question; or a list of objects.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from trivium.errors import DataError, SettingsError
from trivium.text.decoding import lines

Row = Mapping[str, object]


def read_rows(path: Path, format: str | None = None) -> Iterator[tuple[str, Row]]:
    """Each row with its place (``reviews.csv:17``), streamed. ``format``: one of ``READERS``, where the name does not
    tell it."""
    if not path.is_file():
        raise DataError(f"{path} is not a file: check the name")
    found = kind(path) if format is None else f".{format.removeprefix('.')}"
    if format is not None and found not in READERS:
        raise SettingsError(f"format {format!r} is not known: choose one of {', '.join(READERS)}")
    if not found:
        raise DataError(f"{path}: examples are read from {', '.join(READERS)}: rename the file, or name its format")
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


_DIVIDED = re.compile(r"[ \t]+")
_UNIVERSAL = {"words": 1, "lemmas": 2, "upos": 3, "xpos": 4, "deprel": 7, "tags": 3}
"""Columns of CoNLL-U by the names that rows have for them."""


def sentences(path: Path) -> Iterator[tuple[int, Row]]:
    """CoNLL's columns; comment lines (``# ...`` alone in their column) and -DOCSTART- are passed over."""
    for number, table in _blocks(path, tabs=False):
        if table[0][0] == "-DOCSTART-":
            continue
        columns = [list(column) for column in zip(*table, strict=True)]
        row: dict[str, object] = {"words": columns[0]}
        row |= {str(place): column for place, column in enumerate(columns[1:], 1)}
        yield number, row | ({"tags": columns[-1]} if len(columns) > 1 else {})


def universal(path: Path) -> Iterator[tuple[int, Row]]:
    """CoNLL-U; multiword tokens (``3-4``) and empty nodes (``5.1``), no words of the tree, are passed over."""
    for number, table in _blocks(path, tabs=True):
        if len(table[0]) != 10:
            raise DataError(f"{path}:{number}: {len(table[0])} columns, and CoNLL-U has 10, divided by tabs")
        words = [row for row in table if row[0].isdecimal()]
        if words:
            yield number, {name: [row[column] for row in words] for name, column in _UNIVERSAL.items()}


def _blocks(path: Path, tabs: bool) -> Iterator[tuple[int, list[list[str]]]]:
    """The lines between empty ones, cut into columns, with the number of their first line."""
    block: list[list[str]] = []
    first = 0
    for number, line in lines(path, "strict"):
        if not line.strip():
            if block:
                yield first, block
            block = []
            continue
        if line.startswith("#") and (tabs or "\t" not in line and not block):
            continue
        cells = line.split("\t") if tabs or "\t" in line else _DIVIDED.split(line.strip())
        if block and len(cells) != len(block[0]):
            raise DataError(
                f"{path}:{number}: {len(cells)} columns where the sentence's first word has {len(block[0])}: correct "
                "this line, or put an empty line before it"
            )
        first = first if block else number
        block.append(cells)
    if block:
        yield first, block


def document(path: Path) -> Iterator[tuple[int, Row]]:
    """One JSON document: SQuAD's ``data``, or a list of objects. Numbers count questions, or objects."""
    text = "\n".join(line for _, line in lines(path, "strict"))
    try:
        held = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: not valid JSON ({error}): correct it, or call it .jsonl if each line is an object"
        ) from error
    if isinstance(held, dict) and isinstance(held.get("data"), list):
        yield from enumerate(_questions(path, held["data"]), 1)
    elif isinstance(held, list) and all(isinstance(each, dict) for each in held):
        yield from enumerate(held, 1)
    else:
        raise DataError(f"{path}: neither SQuAD's layout (a list 'data' of articles) nor a list of objects")


def _questions(path: Path, articles: list[object]) -> Iterator[Row]:
    for article in articles:
        for paragraph in _listed(path, article, "paragraphs"):
            for question in _listed(path, paragraph, "qas"):
                if not isinstance(question, dict):
                    raise DataError(f"{path}: a question in 'qas' is {type(question).__name__}, not an object")
                context = paragraph.get("context") if isinstance(paragraph, dict) else None
                yield {"context": context, **question}


def _listed(path: Path, holder: object, name: str) -> list[object]:
    value = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(value, list):
        raise DataError(f"{path}: SQuAD's layout needs a list {name!r} in each article or paragraph")
    return value


READERS: dict[str, Callable[[Path], Iterator[tuple[int, Row]]]] = {
    ".jsonl": objects,
    ".ndjson": objects,
    ".csv": commas,
    ".tsv": tabs,
    ".conll": sentences,
    ".iob": sentences,
    ".bio": sentences,
    ".conllu": universal,
    ".json": document,
}
"""By the end of a file's name."""
