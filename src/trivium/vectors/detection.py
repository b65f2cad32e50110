"""What a file of vectors is, told by its first bytes, and for a header whether the file can hold what it promises."""

import re
from pathlib import Path

from trivium.errors import DataError
from trivium.text.decoding import Errors, chunks
from trivium.vectors.binary_file import read_binary
from trivium.vectors.blocks import Format, Source
from trivium.vectors.mapped_file import MappedFile, is_mapped
from trivium.vectors.text_file import read_text

_HEADER = re.compile(rb"[ \t]*(\d{1,12})[ \t]+(\d{1,9})[ \t\r]*\n")
_READABLE = frozenset(b"0123456789+-.eEnaifNAIFty \t\r")
_OTHERS = {b"PK\x03\x04": "a zip archive", b"\x28\xb5\x2f\xfd": "zstd-compressed", b"BZh": "bzip2-compressed"}


def look(path: Path, format: Format | None = None, errors: Errors = "strict") -> Source:
    """What a file is, from its first bytes; ``format`` where they leave a doubt."""
    if not path.is_file():
        raise DataError(f"{path} is not a file: name a file of vectors")
    head = _head(path)
    if is_mapped(head) and format in (None, "trivium"):
        mapped = MappedFile(path)
        return Source(path, "trivium", mapped.rows, mapped.dimensions, lambda limit: mapped.blocks(limit, errors))
    if format == "trivium":
        raise DataError(f"{path} is not a safetensors file: it may be of the format text, binary or glove")
    for mark, name in _OTHERS.items():
        if head.startswith(mark):
            raise DataError(f"{path} is {name}: unpack it first; .gz is read as it is")
    if head.startswith(b"\x1f\x8b"):
        raise DataError(f"{path} is gzip data: give it a name that ends in .gz")
    header = _HEADER.match(head) if format != "glove" else None
    if header is None:
        if format not in (None, "glove"):
            raise DataError(
                f"{path}, line 1: no header with the numbers of words and of dimensions, as in `400000 100`"
            )
        dimensions = _dimensions_of_line(path, head)
        return Source(path, "glove", None, dimensions, lambda limit: read_text(path, None, dimensions, limit, errors))
    rows, width = int(header[1]), int(header[2])
    if not rows or not width:
        raise DataError(f"{path}, line 1: the header promises {rows} words of {width} dimensions: the file is empty")
    kind = format or ("text" if _is_text(path, head, header.end(), width) else "binary")
    _check_size(path, rows, width, kind)
    if kind == "text":
        return Source(path, "text", rows, width, lambda limit: read_text(path, rows, width, limit, errors))
    start = header.end()
    return Source(path, "binary", rows, width, lambda limit: read_binary(path, start, rows, width, limit, errors))


def _head(path: Path) -> bytes:
    """The first bytes: the header and the whole first row."""
    head = b""
    for chunk in chunks(path):
        head += chunk
        if head.count(b"\n") > 1 or len(head) > 1 << 24:
            break
    if not head.strip(b" \t\r\n"):
        raise DataError(f"{path} is empty: name a file of vectors")
    return head


def _is_text(path: Path, head: bytes, start: int, dimensions: int) -> bool:
    """Whether the first row is text: by its bytes, and where these leave a doubt by the file's name."""
    line = head[start:].partition(b"\n")[0]
    _, _, numbers = line.partition(b" ")
    if not all(each in _READABLE for each in numbers):
        # Letters in place of a number leave a text a text; bytes of numbers are not all printable.
        return path.suffix != ".bin" and all(each in b"\t\r" or 32 <= each < 127 for each in numbers)
    return path.suffix != ".bin" or len(numbers.split()) == dimensions


def _dimensions_of_line(path: Path, head: bytes) -> int:
    fields = re.split(rb"[ \t\r]+", head.partition(b"\n")[0].strip(b" \t\r"))
    try:
        [float(each) for each in fields[1:]]
    except ValueError:
        fields = []
    if len(fields) < 2:
        raise DataError(
            f"{path}, line 1: neither a header with the numbers of words and of dimensions nor a word with its "
            "numbers: is it a file of vectors?"
        )
    return len(fields) - 1


def _check_size(path: Path, rows: int, dimensions: int, kind: Format) -> None:
    """A header that promises more than the file can hold must not cost the memory for it."""
    least = rows * (4 * dimensions + 2 if kind == "binary" else 2 * dimensions + 1)
    size = path.stat().st_size
    if path.suffix != ".gz" and least > size:
        raise DataError(
            f"{path} is truncated, or its first line is wrong: {rows:,} rows of {dimensions} numbers need "
            f"{least:,} bytes at least, and it has {size:,}"
        )
