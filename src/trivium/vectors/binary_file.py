"""The binary format of the word2vec tool, in which the GoogleNews vectors came.

A line with the number of words and of dimensions; then for each word its UTF-8 bytes, a space and D little-endian
float32, followed by a line end or, in some releases, by the next word at once.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from trivium.errors import DataError
from trivium.text.decoding import Errors, chunks
from trivium.vectors.blocks import Block, check_finite, decoded

_LONGEST_WORD = 4096  # bytes; beyond it the file is not what its header says
_PIECE = 1 << 23  # bytes that are taken apart at a time


def read_binary(
    path: Path, start: int, rows: int, dimensions: int, limit: int | None, errors: Errors
) -> Iterator[Block]:
    """The rows after the header, which ends at byte ``start``."""
    wanted = rows if limit is None else min(rows, limit)
    size = 4 * dimensions
    done, offset, held = 0, 0, b""
    for piece in _pieces(path):
        held += piece
        begin = max(0, start - offset)
        if begin > len(held):
            continue
        names, places, end = _rows(held, begin, size, wanted - done, path, done, offset)
        if names:
            yield _block(path, held, names, places, dimensions, done, offset, errors)
            done += len(names)
        held, offset = held[end:], offset + end
        if done == wanted:
            break
    if done < wanted:
        raise DataError(
            f"{path} is truncated: it ends at byte {offset + len(held):,} inside row {done + 1:,} of the {rows:,} rows "
            f"of {dimensions} numbers that its first line promises: fetch or write it again"
        )
    if wanted == rows and held.strip(b"\n"):
        raise DataError(
            f"{path} goes on at byte {offset:,} after the {rows:,} rows of {dimensions} numbers that its first line "
            "promises: the header does not fit the rows"
        )


def _pieces(path: Path) -> Iterator[bytes]:
    held: list[bytes] = []
    for chunk in chunks(path):
        held.append(chunk)
        if sum(map(len, held)) >= _PIECE:
            yield b"".join(held)
            held = []
    yield b"".join(held)


def _rows(
    data: bytes, at: int, size: int, most: int, path: Path, done: int, offset: int
) -> tuple[list[bytes], list[int], int]:
    """Words, the byte at which the numbers of each begin, and where the last whole row ends."""
    names: list[bytes] = []
    places: list[int] = []
    find, length = data.find, len(data)
    while len(names) < most:
        space = find(b" ", at, at + _LONGEST_WORD)
        if space < 0 and length - at >= _LONGEST_WORD:
            raise DataError(
                f"{path}, byte {offset + at:,}: no word ends within {_LONGEST_WORD} bytes at row "
                f"{done + len(names) + 1:,}: the file is damaged, or its first line gives the wrong dimensions"
            )
        if space < 0 or space + 1 + size > length:
            break
        names.append(data[at:space].lstrip(b"\n"))
        places.append(space + 1)
        at = space + 1 + size
    return names, places, at


def _block(
    path: Path,
    data: bytes,
    names: list[bytes],
    places: list[int],
    dimensions: int,
    done: int,
    offset: int,
    errors: Errors,
) -> Block:
    size = 4 * dimensions
    matrix = np.empty((len(names), dimensions), "<f4")
    target, source = matrix.data.cast("B"), memoryview(data)
    at = 0
    for place in places:
        target[at : at + size] = source[place : place + size]
        at += size
    words = []
    for row, (name, place) in enumerate(zip(names, places, strict=True), done + 1):
        where = offset + place - 1 - len(name)
        if not name or b"\n" in name:
            raise DataError(
                f"{path}, byte {where:,}: row {row:,} has no word: the file is damaged, or its first line gives the "
                "wrong dimensions"
            )
        words.append(decoded(path, row, f"byte {where:,}", name, errors))
    block = Block(words, matrix.astype(np.float32, copy=False))
    check_finite(path, done + 1, block)
    return block


def binary_pieces(blocks: Iterable[Block], rows: int, dimensions: int) -> Iterator[bytes]:
    """The file's bytes, as the C tool lays them out."""
    yield f"{rows} {dimensions}\n".encode()
    for block in blocks:
        numbers = np.ascontiguousarray(block.matrix, "<f4").data.cast("B")
        size = 4 * dimensions
        out = bytearray()
        for row, word in enumerate(block.words):
            out += word.encode()
            out += b" "
            out += numbers[row * size : (row + 1) * size]
            out += b"\n"
        yield bytes(out)
