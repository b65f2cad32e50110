"""What commands print: a result on stdout, as text or as one JSON document, and notes on stderr."""

import dataclasses
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def emit(result: Any, as_json: bool, text: str) -> None:
    """The result of a command: ``text`` for people, or all of it as JSON."""
    print(json.dumps(plain(result), ensure_ascii=False) if as_json else text)


def note(text: str) -> None:
    """Something worth knowing that is not the result."""
    print(text, file=sys.stderr)


def write_page(path: Path, page: str) -> None:
    """An HTML page, whole or not at all, and a note that it is there."""
    from trivium.durable import replace_file

    replace_file(path, page.encode())
    note(f"wrote {path}")


def coloured(text: str, number: int) -> str:
    """``text`` in one of six colours by ``number``, none if it is negative; as it is where no terminal shows it."""
    if number < 0 or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not sys.stdout.isatty():
        return text
    return f"\x1b[{31 + number % 6}m{text}\x1b[0m"


def plain(value: Any) -> Any:
    """Dataclasses, paths and tuples as JSON has them; a number that JSON has not becomes null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Iterable):
        return [plain(each) for each in value]
    if hasattr(value, "item"):  # a number of numpy or torch
        return plain(value.item())
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def table(rows: Iterable[Sequence[Any]], head: Sequence[str] = ()) -> str:
    """Rows in aligned columns; numbers to the right."""
    body = [[_cell(each) for each in row] for row in rows]
    numeric = [all(_is_number(row[i]) for row in body) for i in range(len(body[0]) if body else 0)]
    lines = ([list(head)] if head else []) + body
    if not lines:
        return ""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    right = numeric or [False] * len(widths)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(text: str) -> bool:
    return text == "-" or text.replace(",", "").replace(".", "").replace("-", "").replace("e+", "").isdigit()
