"""GGUF, the file format of llama.cpp (ggml, gguf.md), read and written: one file with weights, settings and vocabulary.

Reading checks everything first (``gguf_header``) and then widens one tensor at a time from the mapped file. Writing is
durable: the file appears whole or not at all. No torch.
"""

import math
import mmap
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from trivium.durable import replace_file
from trivium.errors import DataError, SettingsError
from trivium.families.gguf_blocks import READ, WRITTEN, Bytes, Floats, Kind, chunks, widened
from trivium.families.gguf_header import (
    ALIGNMENT,
    ARRAY,
    BOOL,
    LONGEST_NAME,
    MAGIC,
    NUMBERS,
    STRING,
    Header,
    Stored,
    Value,
    open_map,
    parse_header,
)

Precision = Literal["F32", "F16", "BF16", "Q8_0"]


class GgufFile:
    """An open file: ``header`` at once, tensors when asked for."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._data = open_map(self.path)
        try:
            self.header: Header = parse_header(self._data, self.path)
        except BaseException:
            self._data.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def close(self) -> None:
        """Gives the file back; what was read stays."""
        with suppress(BufferError):  # a chunk still in use keeps the map until it goes
            self._data.close()

    def read(self, name: str) -> Floats:
        """One tensor in float32, in memory of its own."""
        stored = self._readable(name)
        try:
            return widened(stored.kind, self._bytes(stored)).reshape(stored.shape)
        finally:
            self._forget(stored)

    def chunks(self, name: str) -> Iterator[Floats]:
        """One tensor's numbers in float32, some at a time: each chunk is gone when the next is asked for."""
        stored = self._readable(name)
        yield from chunks(stored.kind, self._bytes(stored))
        self._forget(stored)

    def _forget(self, stored: Stored) -> None:
        """The pages of the file go from this process's memory, where they would lie beside the widened numbers."""
        if hasattr(mmap, "MADV_DONTNEED"):
            start = stored.start // mmap.PAGESIZE * mmap.PAGESIZE
            self._data.madvise(mmap.MADV_DONTNEED, start, stored.start + stored.nbytes - start)

    def _bytes(self, stored: Stored) -> Bytes:
        return np.frombuffer(self._data, np.uint8, stored.nbytes, stored.start)

    def _readable(self, name: str) -> Stored:
        stored = self.header.tensors.get(name)
        if stored is None:
            raise DataError(f"{self.path} has no tensor {name!r}")
        if stored.kind.widen is None:
            raise DataError(
                f"{self.path} keeps {name!r} as {stored.kind.name}, which is not read here: get the model as one of "
                f"{', '.join(READ)}"
            )
        return stored

    @property
    def numbers(self) -> int:
        """How many numbers all tensors have."""
        return sum(math.prod(stored.shape) for stored in self.header.tensors.values())


@dataclass(frozen=True)
class Outgoing:
    """A tensor to be written: ``values`` is called when its turn comes."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    values: Callable[[], np.ndarray]


def outgoing(name: str, shape: Sequence[int], precision: Precision, values: Callable[[], np.ndarray]) -> Outgoing:
    """Vectors are always F32; a matrix whose rows are no whole number of blocks is F16."""
    if precision not in WRITTEN:
        raise SettingsError(f"a GGUF file is written as {', '.join(WRITTEN)}, not as {precision!r}")
    kind = WRITTEN[precision]
    if len(shape) == 1:
        kind = WRITTEN["F32"]
    elif shape[-1] % kind.size:
        kind = WRITTEN["F16"]
    return Outgoing(name, tuple(shape), kind, values)


def write_gguf(path: str | Path, metadata: Mapping[str, object], tensors: Sequence[Outgoing]) -> None:
    """A whole file, version 3.

    A value's type is that of numpy (``np.uint8(3)``, an array) or, for Python's own: int UINT32 (INT32 below 0, 64
    bits where it must be), float FLOAT32, bool, str, and lists of them.
    """
    seen: set[str] = set()
    for tensor in tensors:
        if len(tensor.name.encode()) > LONGEST_NAME or tensor.name in seen:
            raise SettingsError(f"{tensor.name!r} cannot name a tensor in a GGUF file: it is too long or there twice")
        seen.add(tensor.name)
    replace_file(Path(path), _pieces(metadata, tensors))


def _pieces(metadata: Mapping[str, object], tensors: Sequence[Outgoing]) -> Iterator[bytes | memoryview]:
    alignment = int(metadata.get("general.alignment", ALIGNMENT))  # type: ignore[call-overload]
    head = [MAGIC, struct.pack("<IQQ", 3, len(tensors), len(metadata))]
    for key, value in metadata.items():
        kind, content = _encoded(value, key)
        head += [_string(key), struct.pack("<I", kind), content]
    offset = 0
    for tensor in tensors:
        dimensions = tensor.shape[::-1]
        head += [_string(tensor.name), struct.pack(f"<I{len(dimensions)}Q", len(dimensions), *dimensions)]
        head.append(struct.pack("<IQ", tensor.kind.number, offset))
        offset += -(-_nbytes(tensor) // alignment) * alignment
    whole = b"".join(head)
    yield whole + bytes(-len(whole) % alignment)
    for tensor in tensors:
        packed = _packed(tensor)
        yield packed.data
        yield bytes(-packed.nbytes % alignment)


def _nbytes(tensor: Outgoing) -> int:
    return math.prod(tensor.shape) // tensor.kind.size * tensor.kind.nbytes


def _packed(tensor: Outgoing) -> np.ndarray:
    values = np.ascontiguousarray(tensor.values(), np.float32)
    if values.shape != tensor.shape:
        raise SettingsError(f"{tensor.name} was announced as {tensor.shape} and is {values.shape}")
    if not np.isfinite(values).all():
        raise DataError(f"{tensor.name} holds infinite numbers or NaN: such a model cannot be written as GGUF")
    if tensor.kind.name == "F16" and values.size and np.abs(values).max() > np.finfo(np.float16).max:
        raise DataError(f"{tensor.name} holds numbers above 65504, which F16 cannot express: write F32")
    assert tensor.kind.pack is not None
    return tensor.kind.pack(values.reshape(-1, tensor.kind.size)).reshape(-1)


def _string(text: str) -> bytes:
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


_NUMBER_OF = {np.dtype(code): number for number, code in NUMBERS.items()}


def _encoded(value: Any, key: str) -> tuple[int, bytes]:
    """The type's number and the bytes of a value."""
    if isinstance(value, str):
        return STRING, _string(value)
    if isinstance(value, bool | np.bool_):
        return BOOL, bytes([bool(value)])
    if isinstance(value, int):
        code = ("<u4" if value < 1 << 32 else "<u8") if value >= 0 else ("<i4" if value >= -(1 << 31) else "<i8")
        return _NUMBER_OF[np.dtype(code)], np.array(value, code).tobytes()
    if isinstance(value, float):
        return 6, struct.pack("<f", value)
    if isinstance(value, np.generic):
        return _NUMBER_OF[value.dtype], value.tobytes()
    if isinstance(value, np.ndarray) and value.ndim == 1:
        if value.dtype == bool:
            return ARRAY, struct.pack("<IQ", BOOL, len(value)) + value.tobytes()
        return ARRAY, struct.pack("<IQ", _NUMBER_OF[value.dtype], len(value)) + value.tobytes()
    if isinstance(value, list | tuple):
        return ARRAY, _list(list(value), key)
    raise SettingsError(f"{key} is a {type(value).__name__}, which a GGUF file has no type for")


def _list(values: list[Any], key: str) -> bytes:
    if values and all(type(each) is int for each in values):
        return _encoded(
            np.array(values, np.int32 if -(1 << 31) <= min(values) and max(values) < 1 << 31 else np.int64), key
        )[1]
    if values and all(type(each) is float for each in values):
        return _encoded(np.array(values, np.float32), key)[1]
    entries = [_encoded(each, key) for each in values]
    kinds = {kind for kind, _ in entries} or {STRING}
    if len(kinds) > 1:
        raise SettingsError(f"{key} is a list of several types, which a GGUF file has no type for")
    return struct.pack("<IQ", kinds.pop(), len(values)) + b"".join(content for _, content in entries)


__all__ = ["GgufFile", "Header", "Outgoing", "Precision", "Value", "outgoing", "write_gguf"]
