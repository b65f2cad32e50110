"""The wire format of protocol buffers, read with every length checked and written: as much as ``.model`` files need.

A message is a sequence of fields, each a key (number * 8 + wire type) and a value: 0 a variable-length integer, 1 eight
bytes, 2 a length and that many bytes, 5 four bytes. Groups (3, 4) went out of use before SentencePiece was written.
"""

import struct
from collections.abc import Iterator

from trivium.errors import DataError

Value = int | bytes
VARINT, EIGHT, BYTES, FOUR = 0, 1, 2, 5
_LONGEST_VARINT = 10


def fields(message: bytes, where: str) -> Iterator[tuple[int, int, Value]]:
    """(number, wire type, value) of each field; ``where`` begins the sentence about a damaged one."""
    at = 0
    while at < len(message):
        key, start = _varint(message, at, where)
        number, wire = key >> 3, key & 7
        if not 0 < number < 1 << 29:
            raise DataError(f"{where}: byte {at} begins a field of number {number}, which no message has")
        if wire == VARINT:
            value, at = _varint(message, start, where)
            yield number, wire, value
            continue
        if wire == BYTES:
            length, start = _varint(message, start, where)
        elif wire in (EIGHT, FOUR):
            length = 8 if wire == EIGHT else 4
        else:
            raise DataError(f"{where}: byte {at} begins a field of type {wire}, which no message has")
        if length > len(message) - start:
            left = len(message) - start
            raise DataError(f"{where}: field {number} at byte {at} has {length} bytes, and {left} follow")
        at = start + length
        yield number, wire, message[start:at]


def _varint(message: bytes, at: int, where: str) -> tuple[int, int]:
    """The number that begins at ``at``, and where it ends."""
    value = 0
    for count, byte in enumerate(message[at : at + _LONGEST_VARINT]):
        value |= (byte & 127) << 7 * count
        if byte < 128:
            return value & (1 << 64) - 1, at + count + 1
    raise DataError(f"{where}: the number that begins at byte {at} of {len(message)} has no end")


class Message:
    """The last value of each field, as protocol buffers want it, asked for by number and kind."""

    def __init__(self, message: bytes, where: str) -> None:
        self.where = where
        self.values = {number: (wire, value) for number, wire, value in fields(message, where)}

    def _value(self, number: int, wire: int) -> Value | None:
        found, value = self.values.get(number, (wire, None))
        if found != wire:
            raise DataError(f"{self.where}: field {number} is of type {found} and not {wire}")
        return value

    def integer(self, number: int, default: int) -> int:
        """A signed number of 64 bits."""
        value = self._value(number, VARINT)
        if value is None:
            return default
        assert isinstance(value, int)
        return value - (1 << 64) if value >> 63 else value

    def flag(self, number: int, default: bool) -> bool:
        """A truth value."""
        return bool(self.integer(number, int(default)))

    def real(self, number: int, default: float) -> float:
        """A number of 32 bits, perhaps not finite."""
        value = self._value(number, FOUR)
        return default if value is None else float(struct.unpack("<f", value)[0])  # type: ignore[arg-type]

    def data(self, number: int) -> bytes:
        """Bytes, none where there is no such field."""
        value = self._value(number, BYTES)
        return b"" if value is None else value  # type: ignore[return-value]

    def text(self, number: int, default: str) -> str:
        """Text in UTF-8."""
        value = self._value(number, BYTES)
        try:
            return default if value is None else value.decode()  # type: ignore[union-attr]
        except UnicodeDecodeError as error:
            raise DataError(f"{self.where}: field {number} is no text in UTF-8 ({error.reason})") from error


def integer(number: int, value: int) -> bytes:
    """A field that holds a whole number or a truth value."""
    return _written(number << 3 | VARINT) + _written(value & (1 << 64) - 1)


def real(number: int, value: float) -> bytes:
    """A field that holds a number of 32 bits."""
    return _written(number << 3 | FOUR) + struct.pack("<f", value)


def content(number: int, value: bytes | str) -> bytes:
    """A field that holds bytes, a text or another message."""
    data = value.encode() if isinstance(value, str) else value
    return _written(number << 3 | BYTES) + _written(len(data)) + data


def _written(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)
