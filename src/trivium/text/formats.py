"""One reader for each file format: a path to its documents, streamed."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import Path

from trivium.errors import DataError
from trivium.text.decoding import Errors, lines, texts

SECTION = 2_000  # characters that a document of a plain text has at least
LONGEST_SECTION = 100_000  # and at most
_EMPTY_LINES = re.compile(r"\n\n+")


def plain(path: Path, field: str, errors: Errors) -> Iterator[str]:
    """Sections of a plain text: whole paragraphs (between empty lines), gathered until they hold 2,000 characters.

    So a novel, a folder of notes and a file of short texts all give documents of a page or so, some of which can be
    held out for evaluation. A paragraph above 100,000 characters is cut, at a space where there is one. Joined by
    nothing, the sections are the text: nothing is lost but a last section without a visible character.
    """
    held = ""
    for text in texts(path, errors):
        held += text
        start = 0
        while len(held) - start > LONGEST_SECTION + 2:  # enough to decide without what follows
            empty = _EMPTY_LINES.search(held, start + SECTION, start + LONGEST_SECTION)
            end = empty.end() if empty else _last_space(held, start, start + LONGEST_SECTION)
            yield held[start:end]
            start = end
        held = held[start:]
    start = 0
    while empty := _EMPTY_LINES.search(held, start + SECTION):
        yield held[start : empty.end()]
        start = empty.end()
    if held[start:].strip():
        yield held[start:]


def _last_space(text: str, start: int, end: int) -> int:
    """Where to cut ``text[start:end]``: before its last line end or space, else at its end."""
    for character in ("\n", " "):
        at = text.rfind(character, start + (end - start) // 2, end)
        if at > start:
            return at
    return end


def jsonl(path: Path, field: str, errors: Errors) -> Iterator[str]:
    """The ``field`` of the object on each line, or the string on it. Empty lines and texts are passed over."""
    for number, line in lines(path, errors):
        if not line or line.isspace():
            continue
        if number == 1 and line.lstrip().startswith("[") and not line.rstrip().endswith("]"):
            raise DataError(f"{path} is one JSON array: write one object a line (jq -c '.[]')")
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else str(error)
            raise DataError(f"{path}:{number}: not valid JSON ({reason}): correct or remove this line") from error
        where = f"{path}:{number}"
        if isinstance(row, dict):
            if field not in row:
                raise DataError(f"{where}: no field {field!r}{_nearest(field, list(row))}")
            row = row[field]
        if not isinstance(row, str):
            kind = "null" if row is None else type(row).__name__
            raise DataError(f"{where}: the text in field {field!r} is {kind}, not a string")
        if row:
            yield _no_surrogates(row, where, errors)


def table(path: Path, field: str, errors: Errors) -> Iterator[str]:
    """The column ``field`` of a CSV file with a header line (tab-separated where the name ends in ``.tsv``)."""
    csv.field_size_limit(1 << 30)  # the module's own limit of 131,072 is for all its users at once; only ever raised
    tabs = ".tsv" in path.suffixes
    reader = csv.reader((line + "\n" for _, line in lines(path, errors)), delimiter="\t" if tabs else ",", strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        if field not in header:
            raise DataError(f"{path}:1: no column {field!r}{_nearest(field, header)}")
        column = header.index(field)
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{path}:{reader.line_num}: {len(row)} columns where the header has {len(header)}: correct this row"
                )
            if row[column]:
                yield row[column]
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}: not valid CSV ({error}): correct this row") from error


def parquet(path: Path, field: str, errors: Errors) -> Iterator[str]:
    """The string column ``field`` of a Parquet file."""
    import pyarrow
    from pyarrow import parquet as files

    number = 0
    try:
        with files.ParquetFile(path, memory_map=True, pre_buffer=False) as file:
            names = file.schema_arrow.names
            if field not in names:
                raise DataError(f"{path}: no column {field!r}{_nearest(field, names)}")
            kind = file.schema_arrow.field(field).type
            if pyarrow.types.is_dictionary(kind):
                kind = kind.value_type
            if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
                raise DataError(f"{path}: the column {field!r} holds {kind}, not strings")
            for batch in file.iter_batches(batch_size=1024, columns=[field], use_threads=False):
                for text in batch.column(0).to_pylist():
                    number += 1
                    if text is None:
                        raise DataError(f"{path}: row {number} has no text in {field!r} (null): remove it")
                    if text:
                        yield text
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not a sound Parquet file (after row {number}): {str(error)[:200]}") from error


Reader = Callable[[Path, str, Errors], Iterator[str]]

READERS: dict[str, Reader] = {
    ".txt": plain,
    ".text": plain,
    ".md": plain,
    ".rst": plain,
    ".jsonl": jsonl,
    ".ndjson": jsonl,
    ".json": jsonl,
    ".csv": table,
    ".tsv": table,
    ".parquet": parquet,
}


def _nearest(field: str, names: list[str]) -> str:
    near = get_close_matches(field, names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f" among {', '.join(map(repr, names[:12])) or 'none'}{hint}: name the one with the text"


def _no_surrogates(text: str, where: str, errors: Errors) -> str:
    r"""JSON can spell half a character (``\ud800``), which no UTF-8 text can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        if errors == "strict":
            raise DataError(f"{where}: half a surrogate pair at character {error.start}: correct this line") from error
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
