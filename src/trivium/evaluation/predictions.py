"""What somebody said of a suite's items, from a file: a row for each item in their order, or SQuAD's object from
question to answer."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trivium.errors import DataError
from trivium.evaluation.columns import rows_of
from trivium.evaluation.suite import Item, LabelledSuite, checked_file
from trivium.text.decoding import lines


def read_predictions(path: Path, suite: LabelledSuite, items: Sequence[Item]) -> list[Any]:
    """One for each item. ``trivium predict`` writes such rows; GLUE's ``index`` and ``prediction`` columns are read,
    too."""
    if checked_file(path).suffix == ".json" and (by_id := _by_id(path)) is not None:
        return [suite.said(f"{path}: {item.id}", {"answer": _said_of(path, by_id, item)}) for item in items]
    said = [suite.said(place, row) for place, row in rows_of(path, None, "jsonl")]
    if len(said) != len(items):
        raise DataError(
            f"{path} has {len(said)} predictions, and the data {len(items)} rows to score: give one for each, in their "
            "order"
        )
    return said


def _by_id(path: Path) -> dict[str, object] | None:
    try:
        held = json.loads("\n".join(line for _, line in lines(path, "strict")))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON ({error}): correct it, or call it .jsonl if each line is an object"
                        ) from error  # fmt: skip
    return held if isinstance(held, dict) and "data" not in held else None


def _said_of(path: Path, by_id: dict[str, object], item: Item) -> object:
    if item.id not in by_id:
        raise DataError(f"{path} has no prediction for {item.id or item.place!r}: give one for each question")
    return by_id[item.id]
