"""Vectors from files: the word2vec tool's text and binary, GloVe's text without a header, and our own, mapped ones.

Which of them a file is shows in its first bytes; ``.gz`` of the first three is unzipped on the way.
"""

import os
from pathlib import Path

import numpy as np

from trivium.errors import DataError, RefusedError, SettingsError
from trivium.text.decoding import Errors
from trivium.vectors.blocks import Format, Source, check_distinct
from trivium.vectors.detection import look
from trivium.vectors.mapped_file import MappedFile
from trivium.vectors.saving import Converted, convert_vectors, save_vectors
from trivium.vectors.vectors import Vectors

__all__ = ["Converted", "convert_vectors", "load_vectors", "save_vectors"]


def load_vectors(
    path: str | os.PathLike[str],
    limit: int | None = None,
    *,
    format: Format | None = None,
    errors: Errors = "strict",
) -> Vectors:
    """The vectors of a file, at most the first ``limit``, the format told by its first bytes if not given.

    A file of our own is mapped, not read: its matrix is read-only. ``errors="replace"`` takes words that are not
    UTF-8 with replacement characters, and of words that occur twice the first.
    """
    path = Path(path)
    if limit is not None and limit < 1:
        raise SettingsError(f"limit = {limit}: give the number of words to read, 1 or more")
    source = look(path, format, errors)
    if source.format == "trivium":
        mapped = MappedFile(path)
        words = mapped.words(limit, errors)
        counts = mapped.counts()
        matrix = mapped.matrix()[: len(words)]
        vectors = Vectors(words, matrix, None if counts is None else counts[: len(words)])
    else:
        vectors = _gathered(source, limit)
    if errors == "strict":
        check_distinct(path, list(vectors.words))
    return vectors


def _gathered(source: Source, limit: int | None) -> Vectors:
    """All rows in one matrix, which grows in place where nobody knows their number."""
    rows = source.rows if limit is None or source.rows is None else min(source.rows, limit)
    if source.path.suffix == ".gz":
        rows = None
    _check_memory(source, rows, limit)
    matrix = np.empty((rows or 1024, source.dimensions), np.float32)
    words: list[str] = []
    for block in source.blocks(limit):
        end = len(words) + len(block.words)
        if end > len(matrix):
            matrix.resize((max(end, len(matrix) * 3 // 2), source.dimensions), refcheck=False)
        matrix[len(words) : end] = block.matrix
        words += block.words
    if not words:
        raise DataError(f"{source.path} holds no vectors: name a file of vectors")
    matrix.resize((len(words), source.dimensions), refcheck=False)
    return Vectors(words, matrix)


def _check_memory(source: Source, rows: int | None, limit: int | None) -> None:
    """Refuses before the start what this machine cannot hold."""
    if rows is None:  # by the file's size, at 8 bytes for a number and what parts it from the next
        rows = min(source.path.stat().st_size // (8 * source.dimensions), limit or 1 << 60)
    needed = 4 * rows * source.dimensions
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        with open("/proc/meminfo") as file:
            free = max(free, *(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable")))
    except (OSError, ValueError, TypeError):
        return
    if needed > free:
        raise RefusedError(
            f"{source.path}: {rows:,} rows of {source.dimensions} numbers take {needed / 2**30:.1f} GiB and "
            f"{free / 2**30:.1f} GiB are free: read fewer with --limit, or make a file that is not read into memory: "
            f"trivium vectors convert {source.path} {source.path.stem}.safetensors"
        )
