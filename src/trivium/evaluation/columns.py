"""Fields of a suite's rows: published files call the same thing differently, and some have no header."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trivium.errors import DataError
from trivium.text.decoding import lines
from trivium.text.fields import Columns
from trivium.text.readers import Row, kind, read_rows


def rows_of(path: Path, format: str | None, default: str, headerless: Sequence[str] = ()) -> Iterator[tuple[str, Row]]:
    """The rows of a file; ``default``: the format where neither the user nor the name tells one; ``headerless``: the
    columns of a table that is also distributed without a header."""
    found = format or kind(path).removeprefix(".") or default
    if found == "tsv" and headerless and path.is_file() and not _has_header(path, headerless):
        return _without_header(path, headerless)
    return read_rows(path, found)


def field_of(place: str, row: Mapping[str, object], names: Sequence[str], columns: Columns, role: str) -> str:
    """Which of the ``names`` the row has; the user's own name for ``role`` goes first and must be there."""
    if role in columns:
        names = (columns[role],)
    for name in names:
        if name in row:
            return name
    wanted = " or ".join(map(repr, names))
    raise DataError(
        f"{place}: no column {wanted} among {', '.join(map(repr, list(row)[:12]))}: name yours with --column {role}=..."
    )


def _has_header(path: Path, names: Sequence[str]) -> bool:
    """Whether the first line names a column, rather than holding a row."""
    first = next((line for _, line in lines(path, "strict")), "")
    return bool({cell.strip().lower() for cell in first.split("\t")} & set(names))


def _without_header(path: Path, names: Sequence[str]) -> Iterator[tuple[str, Row]]:
    for number, line in lines(path, "strict"):
        if not line:
            continue
        cells = line.split("\t")
        if len(cells) != len(names):
            raise DataError(
                f"{path}:{number}: {len(cells)} columns where {len(names)} are wanted ({', '.join(names)}): correct "
                "this row"
            )
        yield f"{path}:{number}", dict(zip(names, cells, strict=True))
