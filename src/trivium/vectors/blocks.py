"""What readers and writers of vector files hand each other: rows in blocks, so that no file is in memory as a whole."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from trivium.errors import DataError
from trivium.text.decoding import Errors

Format = Literal["text", "binary", "glove", "trivium"]


@dataclass(frozen=True)
class Block:
    """Some rows of a file, in order."""

    words: list[str]
    matrix: np.ndarray  # (n, D) float32
    counts: np.ndarray | None = None  # (n,) int64


@dataclass(frozen=True)
class Source:
    """A file of vectors that was looked at and not read yet. ``blocks(limit)`` reads its rows, at most ``limit``."""

    path: Path
    format: Format
    rows: int | None  # None: a text without a header, whose rows nobody has counted
    dimensions: int
    blocks: Callable[[int | None], Iterator[Block]]


def decoded(path: Path, number: int, place: str, word: bytes, errors: Errors) -> str:
    """The text of a word; ``place`` says where in the file it stands: "line 7", "byte 120"."""
    try:
        return word.decode("utf-8", errors)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}, {place}: the word of row {number:,} is not UTF-8 (byte 0x{word[error.start]:02x}): if the file "
            "is sound, read it with --errors replace"
        ) from error


def check_finite(path: Path, first_row: int, block: Block) -> None:
    """Refuses NaN and infinity; ``first_row`` counts from 1."""
    if not np.isfinite(block.matrix).all():
        row = int(np.flatnonzero(~np.isfinite(block.matrix).all(axis=1))[0])
        raise DataError(
            f"{path}: the vector of {block.words[row]!r} (row {first_row + row:,}) holds a number that is not finite: "
            "the file is damaged, or comes from a training that diverged"
        )


def check_distinct(path: Path, words: list[str]) -> None:
    """Refuses a word that has two rows."""
    if len(set(words)) == len(words):
        return
    first: dict[str, int] = {}
    for row, word in enumerate(words, 1):
        if word in first:
            raise DataError(
                f"{path}: the word {word!r} stands twice, in rows {first[word]:,} and {row:,}: remove one, or read "
                "the file with --errors replace, which keeps the first"
            )
        first[word] = row
