"""Bytes of a file to text, a piece at a time: UTF-8, with the line and byte of what is not."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, cast

from trivium.errors import DataError

Errors = Literal["strict", "replace"]

CHUNK_BYTES = 1 << 20
LONGEST_LINE = 256 << 20  # of a table's file, where a line must be held as a whole
_MARKS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
_COMPRESSED = {b"PK\x03\x04": "a zip archive", b"\x28\xb5\x2f\xfd": "zstd-compressed", b"BZh": "bzip2-compressed"}


def chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, unzipped where its name ends in ``.gz``, at most 1 MiB at a time."""
    try:
        with _open(path) as file:
            while data := file.read(CHUNK_BYTES):
                yield data
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged gzip data ({error}): fetch or compress it again") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def texts(path: Path, errors: Errors) -> Iterator[str]:
    r"""The text of a file in pieces, every line end as ``\n``, a byte-order mark left out."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors)
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    offset, line = 0, 1
    for data in chunks(path):
        if offset == 0:
            _refuse_by_first_bytes(path, data)
        if (zero := data.find(b"\0")) >= 0:
            raise DataError(f"{path} is binary, not text (a zero at byte {offset + zero}): leave it out")
        pending = len(decoder.getstate()[0])
        text = _decoded(decoder, data, False, path, line, offset - pending)
        if offset == 0:
            text = text.removeprefix("\ufeff")
        offset += len(data)
        line += data.count(b"\n")
        if text:
            yield newlines.decode(text)
    pending = len(decoder.getstate()[0])
    yield newlines.decode(_decoded(decoder, b"", True, path, line, offset - pending), final=True)


def _decoded(decoder: codecs.IncrementalDecoder, data: bytes, final: bool, path: Path, line: int, start: int) -> str:
    held = decoder.getstate()[0]
    try:
        return decoder.decode(data, final)
    except UnicodeDecodeError as error:
        line += (held + data)[: error.start].count(b"\n")
        raise DataError(_not_utf8(path, line, start + error.start, error.object[error.start])) from error


def _not_utf8(path: Path, line: int, offset: int, value: int) -> str:
    return (
        f"{path}:{line}: byte {offset} (0x{value:02x}) is not UTF-8: convert the file (iconv -f latin1 -t utf-8), "
        'or read it with errors = "replace"'
    )


def _refuse_by_first_bytes(path: Path, data: bytes) -> None:
    for mark, name in _MARKS.items():
        if data.startswith(mark):
            raise DataError(f"{path} is {name}, not UTF-8: convert it (iconv -f {name} -t utf-8)")
    for mark, name in _COMPRESSED.items():
        if data.startswith(mark):
            raise DataError(f"{path} is {name}: unpack it first; .gz is read as it is")
    if data.startswith(b"\x1f\x8b") and path.suffix != ".gz":
        raise DataError(f"{path} is gzip data: give it a name that ends in .gz")


def lines(path: Path, errors: Errors) -> Iterator[tuple[int, str]]:
    """(number from 1, text without its end) of every line."""
    number, size = 1, 0
    held: list[str] = []
    for text in texts(path, errors):
        first, *others = text.split("\n")
        held.append(first)
        size += len(first)
        for part in others:
            yield number, "".join(held)
            number, held, size = number + 1, [part], len(part)
        if size > LONGEST_LINE:
            raise DataError(f"{path}:{number}: a line of more than {LONGEST_LINE >> 20} MB: is it one row a line?")
    if last := "".join(held):
        yield number, last
