"""Vectors as text: a word and its numbers on a line, with the word2vec tool's header line or, as GloVe's, without.

Lines are taken apart in the mass, by where their separators stand, and numbers are read by Arrow: some 15 million a
second on one core. A line that does not fit is then looked at by itself to say what is wrong with it.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from trivium.errors import DataError
from trivium.text.decoding import LONGEST_LINE, Errors, chunks
from trivium.vectors.blocks import Block, check_finite, decoded

_PIECE = 1 << 23  # bytes of lines that are taken apart at a time
_BLANK = b" \t\r\n"
_NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)


def read_text(path: Path, rows: int | None, dimensions: int, limit: int | None, errors: Errors) -> Iterator[Block]:
    """The rows of a file; ``rows``: those that its header line promises, None where there is no header."""
    line = 1 if rows is None else 2
    wanted = limit if rows is None else rows if limit is None else min(rows, limit)
    done = 0
    for lines in _whole_lines(path, skip=rows is not None):
        if wanted is not None and done + lines.count(b"\n") > wanted:
            lines, rest = _split(lines, wanted - done)
            if limit is None and rest.strip(_BLANK):
                raise DataError(
                    f"{path}, line {line + wanted - done:,}: the file goes on after the {rows:,} rows that its first "
                    "line promises: correct the number there"
                )
        if lines.strip(_BLANK):  # else empty lines at the end
            block = _block(path, lines, line, dimensions, done, errors)
            yield block
            done += len(block.words)
        line += lines.count(b"\n")
        if done == wanted and limit is not None:
            return
    if rows is not None and done < (wanted or 0):
        raise DataError(
            f"{path} is truncated: it ends after {done:,} of the {rows:,} rows that its first line promises: fetch or "
            "write it again"
        )


def _whole_lines(path: Path, skip: bool) -> Iterator[bytes]:
    """Pieces of the file that end with a line end; ``skip``: the first line left out."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks(path):
        held.append(chunk)
        size += len(chunk)
        if size >= _PIECE and b"\n" in chunk:
            whole, _, rest = b"".join(held).rpartition(b"\n")
            held, size = [rest], len(rest)
            yield (whole.partition(b"\n")[2] if skip else whole) + b"\n"
            skip = False
        elif size > LONGEST_LINE:
            raise DataError(f"{path}: a line of more than {LONGEST_LINE >> 20} MB: is it a file of vectors?")
    whole = b"".join(held)
    whole = whole.partition(b"\n")[2] if skip else whole
    if whole.strip(_BLANK):
        yield whole.rstrip(_BLANK) + b"\n"


def _split(lines: bytes, count: int) -> tuple[bytes, bytes]:
    """The first ``count`` lines, and what follows."""
    ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == 10)
    at = int(ends[count - 1]) + 1 if count else 0
    return lines[:at], lines[at:]


def _block(path: Path, lines: bytes, line: int, dimensions: int, done: int, errors: Errors) -> Block:
    import pyarrow

    data = np.frombuffer(lines, np.uint8)
    blank = (data == 32) | (data == 10) | (data == 9) | (data == 13)
    ends = np.flatnonzero(blank)  # where fields end; two in a row enclose an empty one, which does not count
    starts = np.concatenate([[0], ends[:-1] + 1])
    full = ends > starts
    closing = np.flatnonzero(data[ends] == 10)
    fields = np.diff(np.concatenate([[0], np.cumsum(full)[closing]]))  # of each line
    if (fields != dimensions + 1).any():
        return _line_by_line(path, lines, line, dimensions, done, errors)
    starts, ends = starts[full], ends[full]
    # Arrow reads fields that lie side by side, so the separators go; a word is overwritten with zeros, a number too.
    word_starts, word_ends = starts[:: dimensions + 1], ends[:: dimensions + 1]
    sizes = word_ends - word_starts
    inside = np.repeat(word_starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
    digits = data.copy()
    digits[inside] = ord("0")
    offsets = np.zeros(len(starts) + 1, np.int32)
    np.cumsum(ends - starts, out=offsets[1:])
    strings = pyarrow.StringArray.from_buffers(
        len(starts), pyarrow.py_buffer(offsets), pyarrow.py_buffer(np.ascontiguousarray(digits[~blank]))
    )
    try:
        numbers = strings.cast(pyarrow.float32()).to_numpy().reshape(-1, dimensions + 1)
    except pyarrow.ArrowInvalid:
        return _line_by_line(path, lines, line, dimensions, done, errors)
    places = zip(word_starts.tolist(), word_ends.tolist(), strict=True)
    words = [
        decoded(path, done + row + 1, f"line {line + row:,}", lines[start:end], errors)
        for row, (start, end) in enumerate(places)
    ]
    block = Block(words, np.ascontiguousarray(numbers[:, 1:]))
    check_finite(path, done + 1, block)
    return block


def _line_by_line(path: Path, lines: bytes, line: int, dimensions: int, done: int, errors: Errors) -> Block:
    """Lines among which one does not fit: it is named, unless it only has spaces in its word, as a few of GloVe's."""
    words: list[str] = []
    rows: list[list[float]] = []
    texts = lines.split(b"\n")[:-1]
    while texts and not texts[-1].strip(_BLANK):  # empty lines at the end of the file
        texts.pop()
    for number, text in enumerate(texts, line):
        fields = re.split(rb"[ \t\r]+", text.strip(_BLANK))
        count = max(len(fields) - dimensions, 0)
        word, values = fields[:count], fields[count:]
        wrong = next((each for each in values if not _NUMBER.fullmatch(each)), None)
        if count > 1 and any(_NUMBER.fullmatch(each) for each in word[1:]) or count < 1:
            raise DataError(
                f"{path}, line {number:,}: {len(fields) - 1} numbers after the word where other rows have "
                f"{dimensions}: correct or remove this line"
            )
        if wrong is not None:
            shown = wrong[:40].decode("utf-8", "replace")
            raise DataError(f"{path}, line {number:,}: {shown!r} is not a number: correct or remove this line")
        words.append(decoded(path, done + len(words) + 1, f"line {number:,}", b" ".join(word), errors))
        rows.append([float(value) for value in values])
    with np.errstate(over="ignore"):
        block = Block(words, np.array(rows, np.float64).reshape(len(words), dimensions).astype(np.float32))
    check_finite(path, done + 1, block)
    return block


def text_pieces(
    blocks: Iterable[Block], header: tuple[int, int] | None, *, trailing: bool, decimals: int | None = None
) -> Iterator[bytes]:
    """The file's bytes. ``trailing``: a space after the last number of a line, which word2vec writes, GloVe does not.

    ``decimals=None``: the fewest digits that give back the same float32; 6 is what both C tools write.
    """
    if header is not None:
        yield "{} {}\n".format(*header).encode()
    end = " \n" if trailing else "\n"
    for block in blocks:
        numbers = _shortest(block.matrix) if decimals is None else _rounded(block.matrix, decimals)
        yield "".join(f"{word} {row}{end}" for word, row in zip(block.words, numbers, strict=True)).encode()


def _shortest(matrix: np.ndarray) -> list[str]:
    import pyarrow
    from pyarrow import compute

    count, dimensions = matrix.shape
    values = pyarrow.array(np.ascontiguousarray(matrix, np.float32).reshape(-1)).cast(pyarrow.string())
    offsets = np.arange(count + 1, dtype=np.int32) * dimensions
    joined: list[str] = compute.binary_join(pyarrow.ListArray.from_arrays(offsets, values), " ").to_pylist()
    return joined


def _rounded(matrix: np.ndarray, decimals: int) -> list[str]:
    layout = " ".join([f"%.{decimals}f"] * matrix.shape[1])
    return [layout % tuple(row) for row in matrix.tolist()]
