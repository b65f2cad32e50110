"""How GGUF stores numbers: plain, or in blocks of 32 or 256 that share a scale (ggml's ``ggml-quants.c``).

A row of a tensor is a whole number of blocks. All kinds of the format are listed, so that a file's sizes can be
checked; those with a ``widen`` are read, those with a ``pack`` written. No torch.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Floats = np.ndarray[Any, np.dtype[np.float32]]

AT_ONCE = 1 << 17  # elements widened at a time: the steps in between stay in the processor's cache


@dataclass(frozen=True)
class Kind:
    """One way of storing numbers. ``widen`` fills ``(blocks, size)`` float32 from ``(blocks, nbytes)``; ``pack`` is
    the reverse."""

    name: str
    number: int
    size: int = 1  # numbers in a block
    nbytes: int = 1  # bytes of a block
    widen: Callable[[Bytes, Floats], None] | None = None
    pack: Callable[[Floats], Bytes] | None = None


def widened(kind: Kind, data: Bytes) -> Floats:
    """All numbers of whole blocks, as float32."""
    data = data.reshape(-1)
    out = np.empty(len(data) // kind.nbytes * kind.size, np.float32)
    step = max(1, AT_ONCE // kind.size)
    for start in range(0, len(out), step * kind.size):
        first = start // kind.size * kind.nbytes
        widen_into(kind, data[first : first + step * kind.nbytes], out[start : start + step * kind.size])
    return out


def chunks(kind: Kind, data: Bytes) -> Iterator[Floats]:
    """The same a piece at a time, in one piece of memory that is used again."""
    step = max(1, AT_ONCE // kind.size)
    out = np.empty(step * kind.size, np.float32)
    for first in range(0, len(data), step * kind.nbytes):
        some = data[first : first + step * kind.nbytes]
        count = len(some) // kind.nbytes * kind.size
        widen_into(kind, some, out[:count])
        yield out[:count]


def widen_into(kind: Kind, data: Bytes, out: Floats) -> None:
    """Fills ``out``, which has room for exactly these blocks."""
    assert kind.widen is not None
    with np.errstate(invalid="ignore", over="ignore"):  # an infinite scale is the file's, and shows in the model
        kind.widen(data.reshape(-1, kind.nbytes), out.reshape(-1, kind.size))


def _half(blocks: Bytes, start: int) -> Floats:
    """The float16 at a byte of each block, as a column."""
    return blocks[:, start : start + 2].copy().view("<f2").astype(np.float32)


def _float32(blocks: Bytes, out: Floats) -> None:
    out[:] = blocks.view("<f4")


def _float16(blocks: Bytes, out: Floats) -> None:
    out[:] = blocks.view("<f2")


def _bfloat16(blocks: Bytes, out: Floats) -> None:
    np.left_shift(blocks.view("<u2"), 16, out=out.view(np.uint32), dtype=np.uint32)


def _q8_0(blocks: Bytes, out: Floats) -> None:
    np.multiply(blocks[:, 2:].view(np.int8), _half(blocks, 0), out=out)


def _nibbles(packed: Bytes) -> Bytes:
    """``(n, 16)`` bytes to ``(n, 32)`` numbers of 4 bits: all low halves, then all high ones."""
    return np.concatenate([packed & 15, packed >> 4], axis=1)


def _fifth_bits(blocks: Bytes, start: int) -> Bytes:
    """``(n, 32)``: 16 where the bit of that number is set in the 32 bits at ``start``."""
    bits = np.unpackbits(blocks[:, start : start + 4], axis=1, bitorder="little")
    return np.left_shift(bits, 4, out=bits)


def _q4_0(blocks: Bytes, out: Floats) -> None:
    numbers = _nibbles(blocks[:, 2:]).view(np.int8)
    numbers -= 8
    np.multiply(numbers, _half(blocks, 0), out=out)


def _q4_1(blocks: Bytes, out: Floats) -> None:
    np.multiply(_nibbles(blocks[:, 4:]), _half(blocks, 0), out=out)
    out += _half(blocks, 2)


def _q5_0(blocks: Bytes, out: Floats) -> None:
    numbers = (_nibbles(blocks[:, 6:]) | _fifth_bits(blocks, 2)).view(np.int8)
    numbers -= 16
    np.multiply(numbers, _half(blocks, 0), out=out)


def _q5_1(blocks: Bytes, out: Floats) -> None:
    np.multiply(_nibbles(blocks[:, 8:]) | _fifth_bits(blocks, 4), _half(blocks, 0), out=out)
    out += _half(blocks, 2)


def _scales_and_minima(blocks: Bytes) -> tuple[Floats, Floats]:
    """Q4_K's and Q5_K's eight scales and minima, ``(n, 8)`` each: 6 bits apiece packed in 12 bytes, times the two
    float16 at the front. The last four scales and minima have their upper two bits above the first four."""
    packed = blocks[:, 4:16]
    low, middle, high = packed[:, :4], packed[:, 4:8], packed[:, 8:]
    scales = np.concatenate([low & 63, (high & 15) | ((low >> 2) & 48)], axis=1)
    minima = np.concatenate([middle & 63, (high >> 4) | ((middle >> 2) & 48)], axis=1)
    return _half(blocks, 0) * scales, _half(blocks, 2) * minima


def _by_eights(numbers: Bytes, blocks: Bytes, out: Floats) -> None:
    """``(n, 8, 32)`` numbers by their group's scale, less its minimum."""
    scales, minima = _scales_and_minima(blocks)
    groups = out.reshape(-1, 8, 32)
    np.multiply(numbers, scales[:, :, None], out=groups)
    groups -= minima[:, :, None]


def _pairs_of_halves(packed: Bytes) -> Bytes:
    """``(n, 128)`` bytes to ``(n, 8, 32)``: of each 32 bytes the low halves, then the high."""
    parts = packed.reshape(-1, 4, 1, 32)
    return np.concatenate([parts & 15, parts >> 4], axis=2).reshape(-1, 8, 32)


def _q4_k(blocks: Bytes, out: Floats) -> None:
    _by_eights(_pairs_of_halves(blocks[:, 16:]), blocks, out)


def _q5_k(blocks: Bytes, out: Floats) -> None:
    shifts = np.arange(8, dtype=np.uint8)[:, None]
    # (n, 8, 32): bit g of byte i is number i of group g
    bits = np.right_shift(blocks[:, None, 16:48], shifts) & np.uint8(1)
    fifth = np.left_shift(bits, 4, out=bits)
    _by_eights(_pairs_of_halves(blocks[:, 48:]) | fifth, blocks, out)


def _q6_k(blocks: Bytes, out: Floats) -> None:
    low = blocks[:, :128].reshape(-1, 2, 1, 64)
    four = np.concatenate([low & 15, low >> 4], axis=2).reshape(-1, 8, 32)
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32)
    two = ((high >> np.array([0, 2, 4, 6], np.uint8)[:, None]) & 3).reshape(-1, 8, 32)
    numbers = (four | (two << 4)).view(np.int8)
    numbers -= 32
    scales = _half(blocks, 208) * blocks[:, 192:208].view(np.int8)  # (n, 16), one for 16 numbers
    np.multiply(numbers.reshape(-1, 16, 16), scales[:, :, None], out=out.reshape(-1, 16, 16))


def _pack_float32(values: Floats) -> Bytes:
    return np.ascontiguousarray(values, "<f4").view(np.uint8)


def _pack_float16(values: Floats) -> Bytes:
    return values.astype("<f2").view(np.uint8)


def _pack_bfloat16(values: Floats) -> Bytes:
    """The upper half of a float32, rounded to the nearest, ties to even."""
    bits = np.ascontiguousarray(values, "<f4").view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2").view(np.uint8)


def _pack_q8_0(values: Floats) -> Bytes:
    """Largest magnitude 127; halves away from zero, by the unrounded scale, as the C code does."""
    scale = np.abs(values).max(axis=1, keepdims=True) / np.float32(127)
    with np.errstate(divide="ignore", over="ignore"):
        inverse = np.where(scale == 0, np.float32(0), 1 / scale)
    scaled = np.abs(values * inverse)
    whole = np.floor(scaled)
    rounded = np.sign(values) * (whole + np.floor(2 * (scaled - whole)))
    return np.concatenate([scale.astype("<f2").view(np.uint8), rounded.astype(np.int8).view(np.uint8)], axis=1)


F32 = Kind("F32", 0, 1, 4, _float32, _pack_float32)
F16 = Kind("F16", 1, 1, 2, _float16, _pack_float16)
Q8_0 = Kind("Q8_0", 8, 32, 34, _q8_0, _pack_q8_0)

KINDS: Mapping[int, Kind] = {
    kind.number: kind
    for kind in (
        F32,
        F16,
        Kind("Q4_0", 2, 32, 18, _q4_0),
        Kind("Q4_1", 3, 32, 20, _q4_1),
        Kind("Q5_0", 6, 32, 22, _q5_0),
        Kind("Q5_1", 7, 32, 24, _q5_1),
        Q8_0,
        Kind("Q8_1", 9, 32, 40),
        Kind("Q2_K", 10, 256, 84),
        Kind("Q3_K", 11, 256, 110),
        Kind("Q4_K", 12, 256, 144, _q4_k),
        Kind("Q5_K", 13, 256, 176, _q5_k),
        Kind("Q6_K", 14, 256, 210, _q6_k),
        Kind("Q8_K", 15, 256, 292),
        Kind("IQ2_XXS", 16, 256, 66),
        Kind("IQ2_XS", 17, 256, 74),
        Kind("IQ3_XXS", 18, 256, 98),
        Kind("IQ1_S", 19, 256, 50),
        Kind("IQ4_NL", 20, 32, 18),
        Kind("IQ3_S", 21, 256, 110),
        Kind("IQ2_S", 22, 256, 82),
        Kind("IQ4_XS", 23, 256, 136),
        Kind("I8", 24, 1, 1),
        Kind("I16", 25, 1, 2),
        Kind("I32", 26, 1, 4),
        Kind("I64", 27, 1, 8),
        Kind("F64", 28, 1, 8),
        Kind("IQ1_M", 29, 256, 56),
        Kind("BF16", 30, 1, 2, _bfloat16, _pack_bfloat16),
        Kind("TQ1_0", 34, 256, 54),
        Kind("TQ2_0", 35, 256, 66),
        Kind("MXFP4", 39, 32, 17),
        Kind("NVFP4", 40, 64, 36),
        Kind("Q1_0", 41, 128, 18),
    )
}
READ = tuple(kind.name for kind in KINDS.values() if kind.widen)
WRITTEN: Mapping[str, Kind] = {kind.name: kind for kind in KINDS.values() if kind.pack}
