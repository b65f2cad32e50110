"""Vectors to files, streamed, whole or not at all; what was written is read back and compared before it counts."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from trivium.durable import check_file, sync_folder, write_file
from trivium.errors import DataError, SettingsError, TriviumError
from trivium.text.decoding import Errors
from trivium.vectors.binary_file import binary_pieces
from trivium.vectors.blocks import Block, Format
from trivium.vectors.detection import look
from trivium.vectors.mapped_file import write_mapped
from trivium.vectors.text_file import text_pieces
from trivium.vectors.vectors import Vectors

FORMATS: tuple[Format, ...] = get_args(Format)
SUFFIXES: Mapping[str, Format] = {".txt": "text", ".vec": "text", ".bin": "binary", ".safetensors": "trivium"}


@dataclass(frozen=True)
class Converted:
    """What a conversion wrote. ``fingerprint``: SHA-256 over words and numbers, the same in every format."""

    path: Path
    format: Format
    words: int
    dimensions: int
    bytes: int
    fingerprint: str
    exact: bool  # read back bit for bit; False where decimals were cut


def save_vectors(
    vectors: Vectors,
    path: str | os.PathLike[str],
    format: Format | None = None,
    *,
    decimals: int | None = None,
    about: Mapping[str, str] | None = None,
) -> Converted:
    """Writes vectors, whole or not at all, in the format that the name's end tells or that is given.

    ``decimals`` cuts the numbers of a text (the C tools write 6); without it a text gives back the same float32.
    ``about``: what a file of our own shall say of its origin.
    """

    def blocks() -> Iterator[Block]:
        step = max(1, (1 << 23) // (4 * vectors.dimensions))
        for start in range(0, len(vectors), step):
            end = min(start + step, len(vectors))
            counts = None if vectors.counts is None else vectors.counts[start:end]
            yield Block(list(vectors.words[start:end]), np.asarray(vectors.matrix[start:end], np.float32), counts)

    return _written(blocks, len(vectors), vectors.dimensions, Path(path), format, decimals, about or {})


def convert_vectors(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    format: Format | None = None,
    *,
    limit: int | None = None,
    decimals: int | None = None,
    errors: Errors = "strict",
) -> Converted:
    """A file of vectors in another format, streamed, read back and compared."""
    path, target = Path(source), Path(target)
    if target.exists() and path.exists() and target.samefile(path):
        raise SettingsError(f"{target} is the file to convert: give another name for the result")
    if limit is not None and limit < 1:
        raise SettingsError(f"limit = {limit}: give the number of words to convert, 1 or more")
    found = look(path, None, errors)
    seen: set[str] = set()

    def blocks() -> Iterator[Block]:
        seen.clear()
        for block in found.blocks(limit):
            yield _new_words(path, block, seen, errors)

    rows = found.rows
    if rows is None or errors == "replace":
        rows = sum(len(block.words) for block in blocks())
    rows = rows if limit is None else min(rows, limit)
    return _written(blocks, rows, found.dimensions, target, format, decimals, {"converted": path.name})


def check_target(path: Path, format: Format | None = None, decimals: int | None = None) -> Format:
    """The format in which ``path`` would be written; what would fail then is refused now."""
    format = format or SUFFIXES.get(path.suffix)
    if format is None:
        raise SettingsError(
            f"{path}: a name that ends in {', '.join(SUFFIXES)} tells the format; for another name give one of "
            f"{', '.join(FORMATS)} (--to)"
        )
    if path.suffix == ".gz":
        raise SettingsError(f"{path}: files are written uncompressed: leave out the .gz, and gzip it afterwards")
    if decimals is not None and (format not in ("text", "glove") or not 1 <= decimals <= 20):
        raise SettingsError(f"decimals = {decimals}: between 1 and 20, and only for the formats text and glove")
    check_file(path)
    return format


def _new_words(path: Path, block: Block, seen: set[str], errors: Errors) -> Block:
    """The block, without words that came before where that is allowed."""
    keep = []
    for row, word in enumerate(block.words):
        if word not in seen:
            seen.add(word)
            keep.append(row)
        elif errors == "strict":
            raise DataError(
                f"{path}: the word {word!r} stands twice: remove one, or convert with --errors replace, which keeps "
                "the first"
            )
    if len(keep) == len(block.words):
        return block
    counts = None if block.counts is None else block.counts[keep]
    return Block([block.words[row] for row in keep], block.matrix[keep], counts)


def _written(
    blocks: Callable[[], Iterator[Block]],
    rows: int,
    dimensions: int,
    path: Path,
    format: Format | None,
    decimals: int | None,
    about: Mapping[str, str],
) -> Converted:
    format = check_target(path, format, decimals)
    digest = hashlib.sha256()
    checked = _checked(blocks(), format, digest)
    partial = path.with_name(f".{path.name}.partial")
    try:
        if format == "trivium":
            write_mapped(partial, checked, about)
        elif format == "binary":
            write_file(partial, binary_pieces(checked, rows, dimensions))
        else:
            header = (rows, dimensions) if format == "text" else None
            write_file(partial, text_pieces(checked, header, trailing=format == "text", decimals=decimals))
        if decimals is None:
            _prove(partial, format, digest.hexdigest())
        os.replace(partial, path)
    except OSError as error:
        raise TriviumError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)
    size = path.stat().st_size
    return Converted(path, format, rows, dimensions, size, digest.hexdigest(), decimals is None)


def _checked(blocks: Iterable[Block], format: Format, digest: "hashlib._Hash") -> Iterator[Block]:
    """The blocks as they pass to the writer: each word one that the format can hold, all of it hashed."""
    forbidden = re.compile("\n" if format == "trivium" else "[ \t\r\n]")
    row = 0
    for block in filter(lambda block: block.words, blocks):
        for word in block.words:
            row += 1
            if not word or forbidden.search(word):
                raise DataError(
                    f"the word {word!r} (row {row:,}) cannot stand in a file of format {format}: "
                    + ("replace its line end" if format == "trivium" else "write it as --to trivium, or rename it")
                )
        _add(digest, block)
        yield block


def _add(digest: "hashlib._Hash", block: Block) -> None:
    size = 4 * block.matrix.shape[1]
    numbers = np.ascontiguousarray(block.matrix, "<f4").data.cast("B")
    for row, word in enumerate(block.words):
        digest.update(word.encode("utf-8", "surrogatepass") + b"\n")
        digest.update(numbers[row * size : (row + 1) * size])


def _prove(path: Path, format: Format, wanted: str) -> None:
    digest = hashlib.sha256()
    for block in look(path, format).blocks(None):
        _add(digest, block)
    if digest.hexdigest() != wanted:
        raise TriviumError(f"{path} reads back otherwise than it was written: the disk may be failing; try another one")
