"""Our own file of vectors, a safetensors file: the matrix in one piece, so that it is used without being read.

``vectors`` (V, D) float32, ``counts`` (V,) int64 where they are known, and ``words``, the words' UTF-8 bytes with a
line end between two. Opening 3 million words of 300 numbers takes the time of reading the words; rows are fetched from
the disk when they are looked at. Like every file here it holds no code: no pickle.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trivium.durable import sync_folder
from trivium.errors import DataError
from trivium.text.decoding import Errors
from trivium.vectors.blocks import Block, check_finite, decoded

_HEADER = 4096  # bytes kept free for the header, which is known last; safetensors allows spaces at its end
_LONGEST_HEADER = 1 << 20
_SIZES = {"F32": 4, "I64": 8, "U8": 1}


class MappedFile:
    """The parts of a file, all bounds checked; nothing but the header is read yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                length = int.from_bytes(file.read(8), "little")
                if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
                    raise ValueError(f"a header of {length} bytes in a file of {size}")
                header = json.loads(file.read(length))
            self._start = 8 + length
            self.about: dict[str, str] = dict(header.pop("__metadata__", {}))
            self._parts = {name: _part(entry) for name, entry in header.items()}
            self.rows, self.dimensions = self._parts["vectors"][1]
            counts = self._parts.get("counts", ("I64", (self.rows,), 0, 0))
            if (
                self._parts["vectors"][0] != "F32"
                or self._parts["words"][0] != "U8"
                or (*counts[:2],) != ("I64", (self.rows,))
                or not self.rows
                or not self.dimensions
            ):
                raise ValueError("parts of other types than vectors have")
            ends = max(end for _, _, _, end in self._parts.values())
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DataError(
                f"{path} is not a sound file of vectors ({error}): fetch it again, or make it with "
                "`trivium vectors convert`"
            ) from error
        if size != self._start + ends:
            raise DataError(
                f"{path} has {size:,} bytes and should have {self._start + ends:,}: it is truncated or damaged; fetch "
                "it again, or make it with `trivium vectors convert`"
            )

    def matrix(self) -> np.ndarray:
        """(V, D) float32, read from the disk where it is looked at, and read-only."""
        return self._mapped("vectors", "<f4")

    def counts(self) -> np.ndarray | None:
        return self._mapped("counts", "<i8") if "counts" in self._parts else None

    def words(self, limit: int | None, errors: Errors) -> list[str]:
        """The words of the first ``limit`` rows."""
        blob = self._mapped("words", "u1").tobytes()
        if limit is not None and limit < self.rows:
            names = blob.split(b"\n", limit)[:limit]
        else:
            names = blob.split(b"\n")
        if len(names) != min(self.rows, limit or self.rows):
            raise DataError(f"{self.path} has {len(names):,} words for {self.rows:,} vectors: it is damaged")
        try:
            return b"\n".join(names).decode().split("\n")
        except UnicodeDecodeError:
            return [decoded(self.path, row, f"row {row:,}", name, errors) for row, name in enumerate(names, 1)]

    def blocks(self, limit: int | None, errors: Errors) -> Iterator[Block]:
        """The rows piece by piece, to be written elsewhere."""
        words, matrix, counts = self.words(limit, errors), self.matrix(), self.counts()
        step = max(1, (1 << 23) // (4 * self.dimensions))
        for start in range(0, len(words), step):
            end = min(start + step, len(words))
            block = Block(words[start:end], np.asarray(matrix[start:end], np.float32), _cut(counts, start, end))
            check_finite(self.path, start + 1, block)
            yield block

    def _mapped(self, name: str, dtype: str) -> np.ndarray:
        _, shape, start, end = self._parts[name]
        if start == end:
            return np.zeros(shape, dtype)
        return np.asarray(np.memmap(self.path, dtype, "r", self._start + start, shape))


def _cut(counts: np.ndarray | None, start: int, end: int) -> np.ndarray | None:
    return None if counts is None else np.asarray(counts[start:end])


def _part(entry: Mapping[str, Any]) -> tuple[str, tuple[int, ...], int, int]:
    """(type, shape, first byte, end) of a tensor; ValueError where they do not agree."""
    kind, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
    if not all(type(each) is int and 0 <= each < 1 << 48 for each in (*shape, start, end)):
        raise ValueError("sizes that are no numbers")
    count = _SIZES[kind]
    for each in shape:
        count *= each
    if end - start != count:
        raise ValueError(f"{end - start} bytes for a part of shape {list(shape)}")
    return kind, shape, start, end


def is_mapped(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is a safetensors file."""
    return len(head) >= 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= _LONGEST_HEADER


def write_mapped(path: Path, blocks: Iterable[Block], about: Mapping[str, str]) -> None:
    """Streams the rows to a new file; the header, which needs their number, is put in place last."""
    rows, dimensions = 0, 0
    words = bytearray()
    counts: list[np.ndarray] = []
    with path.open("wb") as file:
        file.write(b" " * _HEADER)
        for block in blocks:
            file.write(np.ascontiguousarray(block.matrix, "<f4").data.cast("B"))
            for word in block.words:
                words += word.encode() + b"\n"
            if block.counts is not None:
                counts.append(np.asarray(block.counts, "<i8"))
            rows, dimensions = rows + len(block.words), block.matrix.shape[1]
        parts: dict[str, Any] = {"vectors": ("F32", [rows, dimensions], 4 * rows * dimensions)}
        if counts:
            file.write(np.concatenate(counts).tobytes())
            parts["counts"] = ("I64", [rows], 8 * rows)
        file.write(words[:-1])
        parts["words"] = ("U8", [len(words) - 1], len(words) - 1)
        file.seek(0)
        file.write(_header(parts, about))
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def _header(parts: Mapping[str, Any], about: Mapping[str, str]) -> bytes:
    content: dict[str, Any] = {"__metadata__": {"format": "pt", **about}}
    offset = 0
    for name, (kind, shape, size) in parts.items():
        content[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(content, separators=(",", ":")).encode()
    if len(text) > _HEADER - 8:
        raise DataError(f"{len(text)} bytes about these vectors do not fit the header of their file: shorten them")
    return (_HEADER - 8).to_bytes(8, "little") + text.ljust(_HEADER - 8)
