"""What stands before the numbers of a GGUF file, version 2 or 3: metadata and the list of tensors (ggml, gguf.md).

Nothing in the file is believed. Every count, length and offset is held against the bytes that are there before memory
is taken for it, so that a damaged or hostile file costs no more than an honest one of its size. No torch.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import NoReturn

import numpy as np

from trivium.errors import DataError
from trivium.families.gguf_blocks import KINDS, Kind

MAGIC = b"GGUF"
ALIGNMENT = 32
MOST_KEYS = MOST_TENSORS = 1 << 16
LONGEST_STRING = 1 << 20  # bytes
LONGEST_NAME = 64  # bytes of a tensor's name
MOST_NUMBERS = 1 << 24  # in one array
MOST_STRINGS = 1 << 21  # in all arrays: more than the largest vocabulary with its merges
DEEPEST = 4  # arrays within arrays
LARGEST_ALIGNMENT = 1 << 20

Value = bool | int | float | str | np.ndarray | list["Value"]  # numbers of an array are numpy's, all else is Python's

STRING, ARRAY, BOOL = 8, 9, 7
NUMBERS: Mapping[int, str] = {
    0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 10: "<u8", 11: "<i8", 12: "<f8",
}  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies. ``shape`` is numpy's and torch's: the last dimension is the one that runs fastest."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    start: int  # byte of the file
    nbytes: int


@dataclass(frozen=True)
class Header:
    """A file's metadata and list of tensors, each by name."""

    path: Path
    version: int
    metadata: Mapping[str, Value]
    tensors: Mapping[str, Stored]
    alignment: int


class Reader:
    """A place in the bytes of a file, which never goes beyond their end."""

    def __init__(self, data: mmap, path: Path) -> None:
        self.data = data
        self.path = path
        self.size = len(data)
        self.at = 0
        self.strings_left = MOST_STRINGS

    def refuse(self, what: str) -> NoReturn:
        raise DataError(f"{self.path} is no usable GGUF file: {what}: copy or download it again")

    def need(self, count: int, what: str) -> None:
        """Refuses what would reach beyond the end."""
        if count > self.size - self.at:
            self.refuse(f"{what} at byte {self.at} needs {count} bytes and only {self.size - self.at} follow")

    def number(self, code: str, what: str) -> int:
        self.need(struct.calcsize(code), what)
        (value,) = struct.unpack_from(code, self.data, self.at)
        self.at += struct.calcsize(code)
        return value

    def string(self, what: str, longest: int = LONGEST_STRING) -> str:
        length = self.number("<Q", f"the length of {what}")
        if length > longest:
            self.refuse(f"{what} at byte {self.at} claims {length} bytes, of at most {longest}")
        self.need(length, what)
        try:
            text = self.data[self.at : self.at + length].decode("utf-8")
        except UnicodeDecodeError:
            self.refuse(f"{what} at byte {self.at} is not UTF-8")
        self.at += length
        return text

    def value(self, kind: int, what: str, depth: int = 0) -> Value:
        if kind == STRING:
            return self.string(what)
        if kind == BOOL:
            value = self.number("<B", what)
            if value > 1:
                self.refuse(f"{what} at byte {self.at - 1} is {value}, not true (1) or false (0)")
            return bool(value)
        if kind in NUMBERS:
            dtype = np.dtype(NUMBERS[kind])
            self.need(dtype.itemsize, what)
            found: int | float = np.frombuffer(self.data, dtype, 1, self.at)[0].item()
            self.at += dtype.itemsize
            return found
        if kind == ARRAY:
            return self._array(what, depth + 1)
        self.refuse(f"{what} is of type {kind}, known are 0 to 12")

    def _array(self, what: str, depth: int) -> Value:
        if depth > DEEPEST:
            self.refuse(f"{what} is an array in an array, more than {DEEPEST} deep")
        kind = self.number("<I", f"the type of {what}")
        count = self.number("<Q", f"the length of {what}")
        if count > MOST_NUMBERS:
            self.refuse(f"{what} claims {count} entries, of at most {MOST_NUMBERS}")
        if kind in NUMBERS or kind == BOOL:
            return self._numbers(kind, count, what)
        if kind not in (STRING, ARRAY):
            self.refuse(f"the entries of {what} are of type {kind}, known are 0 to 12")
        self.need(count * (8 if kind == STRING else 12), what)  # each has at least its length, or type and length
        self.strings_left -= count
        if self.strings_left < 0:
            self.refuse(f"up to {what} it holds more than {MOST_STRINGS} strings")
        if kind == STRING:
            return self._strings(count, what)
        if count > MOST_KEYS:
            self.refuse(f"{what} claims {count} arrays, of at most {MOST_KEYS}")
        return [self.value(ARRAY, what, depth) for _ in range(count)]

    def _numbers(self, kind: int, count: int, what: str) -> np.ndarray:
        dtype = np.dtype(NUMBERS.get(kind, "<u1"))
        self.need(count * dtype.itemsize, what)
        values = np.frombuffer(self.data, dtype, count, self.at).copy()
        self.at += values.nbytes
        if kind != BOOL:
            return values
        if (values > 1).any():
            self.refuse(f"{what} has entries that are neither true (1) nor false (0)")
        return values.astype(bool)

    def _strings(self, count: int, what: str) -> list[Value]:
        """A vocabulary has 100,000 of them: ``string`` without its calls."""
        length_at, data, at, size = struct.Struct("<Q").unpack_from, self.data, self.at, self.size
        found: list[Value] = []
        try:
            for _ in range(count):
                (length,) = length_at(data, at)
                at += 8
                if length > LONGEST_STRING or length > size - at:
                    self.refuse(f"entry {len(found)} of {what} claims {length} bytes and {size - at} follow")
                found.append(data[at : at + length].decode("utf-8"))
                at += length
        except UnicodeDecodeError:
            self.refuse(f"entry {len(found)} of {what} is not UTF-8")
        except struct.error:
            self.refuse(f"it ends within entry {len(found)} of {what}")
        self.at = at
        return found


def read_header(path: Path) -> Header:
    """The metadata and tensors of a file, all checked."""
    with open_map(path) as data:
        return parse_header(data, path)


def open_map(path: Path) -> mmap:
    """The file's bytes, mapped."""
    try:
        with open(path, "rb") as file:
            return mmap(file.fileno(), 0, access=ACCESS_READ)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist: give a .gguf file") from None
    except (OSError, ValueError) as problem:  # ValueError: an empty file cannot be mapped
        raise DataError(f"{path} cannot be read as a GGUF file: {problem}") from None


def parse_header(data: mmap, path: Path) -> Header:
    """What the bytes of a file say."""
    reader = Reader(data, path)
    reader.need(24, "the header")
    if data[:4] != MAGIC:
        reader.refuse(f"it begins with {data[:4]!r} instead of {MAGIC!r}")
    reader.at = 4
    version = reader.number("<I", "the version")
    if version not in (2, 3):
        swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
        big = " (it is big-endian: convert it for this machine)" if swapped in (2, 3) else ""
        reader.refuse(f"its version is {version}{big}, known are 2 and 3")
    tensors, keys = reader.number("<Q", "the number of tensors"), reader.number("<Q", "the number of keys")
    if tensors > MOST_TENSORS or keys > MOST_KEYS:
        reader.refuse(f"it claims {tensors} tensors and {keys} keys, of at most {MOST_TENSORS} each")
    metadata = _metadata(reader, keys)
    alignment = metadata.get("general.alignment", ALIGNMENT)
    if type(alignment) is not int or not 0 < alignment <= LARGEST_ALIGNMENT or alignment & (alignment - 1):
        reader.refuse(f"general.alignment is {str(alignment)[:40]}, not a power of two up to {LARGEST_ALIGNMENT}")
    return Header(path, version, metadata, _tensors(reader, tensors, alignment), alignment)


def _metadata(reader: Reader, count: int) -> dict[str, Value]:
    reader.need(count * 13, "the metadata")  # a key's length, its type and a byte
    found: dict[str, Value] = {}
    for number in range(count):
        key = reader.string(f"key {number}", longest=1 << 16)
        if key in found:
            reader.refuse(f"the key {key[:60]!r} is there twice")
        found[key] = reader.value(reader.number("<I", f"the type of {key[:60]!r}"), repr(key[:60]))
    return found


def _tensors(reader: Reader, count: int, alignment: int) -> dict[str, Stored]:
    reader.need(count * 32, "the list of tensors")  # a name's length, dimensions, one of them, kind, offset
    found: dict[str, Stored] = {}
    for number in range(count):
        stored = _tensor(reader, number, alignment)
        if stored.name in found:
            reader.refuse(f"the tensor {stored.name!r} is there twice")
        found[stored.name] = stored
    begin = -(-reader.at // alignment) * alignment
    end, before = begin, "the header"
    placed: dict[str, Stored] = {}
    for stored in sorted(found.values(), key=lambda each: each.start):
        start = begin + stored.start
        if start < end:
            reader.refuse(f"the tensor {stored.name!r} overlaps {before}")
        if start + stored.nbytes > reader.size:
            reader.refuse(
                f"the tensor {stored.name!r} is said to lie at bytes {start} to {start + stored.nbytes} of a file of "
                f"{reader.size}"
            )
        placed[stored.name] = Stored(stored.name, stored.shape, stored.kind, start, stored.nbytes)
        end, before = start + stored.nbytes, repr(stored.name)
    return {name: placed[name] for name in found}


def _tensor(reader: Reader, number: int, alignment: int) -> Stored:
    name = reader.string(f"the name of tensor {number}", LONGEST_NAME)
    dimensions = reader.number("<I", f"the number of dimensions of {name!r}")
    if not 1 <= dimensions <= 4:
        reader.refuse(f"the tensor {name!r} has {dimensions} dimensions, of 1 to 4")
    sizes = [reader.number("<Q", f"a dimension of {name!r}") for _ in range(dimensions)]
    number_of_kind = reader.number("<I", f"the kind of {name!r}")
    start = reader.number("<Q", f"the offset of {name!r}")
    kind = KINDS.get(number_of_kind)
    if kind is None:
        reader.refuse(f"the tensor {name!r} is of the unknown kind {number_of_kind}")
    if sizes[0] % kind.size:
        reader.refuse(f"the rows of {name!r} have {sizes[0]} numbers, which {kind.name} keeps by {kind.size}")
    count = 1
    for size in sizes:  # Python's integers do not overflow
        count *= size
    nbytes = count // kind.size * kind.nbytes
    if not 0 < nbytes <= reader.size:
        reader.refuse(f"the tensor {name!r} of shape {sizes} needs {nbytes} bytes, and the file has {reader.size}")
    if start % alignment:
        reader.refuse(f"the tensor {name!r} is at {start}, which is no multiple of {alignment}")
    return Stored(name, tuple(reversed(sizes)), kind, start, nbytes)
