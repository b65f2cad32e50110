"""A few rows through a matrix of int8 or bfloat16 numbers, at the speed at which memory gives the matrix.

torch's own kernels read one row of the matrix after the other and wait for each. These are compiled by numba, read in
four places at a time, widen each weight to float32 in a register, and run in the very pool of threads that torch uses,
since a pool of their own would fight with it for the cores. A module that uses this is imported only where numba is
installed. R rows, K inputs, N outputs.
"""

import ctypes
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trivium.extras import compiled_sums, extra_module

_NEED = "these loops are compiled by numba"
_numba = extra_module("numba", "vectors", _NEED)
_extending = extra_module("numba.extending", "vectors", _NEED)
_types, _carray = _numba.types, _numba.carray
_STRETCH = 1 << 13  # bytes that a thread takes at a time of each of the four


@_extending.intrinsic
def _pointer(context, address, kind):  # type: ignore[no-untyped-def]
    """The address (an integer) as a pointer to numbers of one kind."""
    pointer = _types.CPointer(kind.dtype)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], context.get_value_type(pointer))

    return pointer(address, kind), generate


@_extending.intrinsic
def _ticket(context, counter):  # type: ignore[no-untyped-def]
    """The number at ``counter``, which is one more for whoever asks next, in whatever thread."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.atomic_rmw("add", values[0], context.get_constant(_types.int64, 1), "monotonic")

    return _types.int64(counter), generate


def _wide(number: Any) -> Any:
    """An int8, or a bfloat16 given by its bits, as float32: ``_widening`` says how."""
    raise NotImplementedError


@_extending.overload(_wide, inline="always")
def _widening(number):  # type: ignore[no-untyped-def]
    if number.bitwidth == 16:
        return lambda number: np.uint32(np.uint32(number) << np.uint32(16)).view(np.float32)
    return lambda number: np.float32(number)


@compiled_sums
def _half(number):  # type: ignore[no-untyped-def]
    """A float32 as the bits of the nearest bfloat16, ties to even."""
    if number != number:
        return np.uint16(0x7FC0)
    bits = np.uint32(np.float32(number).view(np.uint32))
    return np.uint16(np.uint32(bits + np.uint32(0x7FFF) + np.uint32((bits >> np.uint32(16)) & np.uint32(1))) >> 16)


@compiled_sums
def _written(given, n, total):  # type: ignore[no-untyped-def]
    """An output: scaled, with the bias added, and rounded once."""
    if given[5]:
        total *= _carray(_pointer(given[5], np.float32), (given[2],))[n]
    if given[6]:
        total += _wide(_carray(_pointer(given[6], np.uint16), (given[2],))[n])
    return _half(total)


@compiled_sums
def _share(given, weight):  # type: ignore[no-untyped-def]
    """What each thread does: stretches of the outputs, as long as there are any."""
    rows, inputs, outputs = given[0], given[1], given[2]
    x = _carray(_pointer(given[3], np.uint16), (rows, inputs))
    out = _carray(_pointer(given[7], np.uint16), (rows, outputs))
    wide = np.empty((rows, inputs), np.float32)
    for r in range(rows):
        for k in range(inputs):
            wide[r, k] = _wide(x[r, k])
    quarter = outputs // 4
    some = max(1, _STRETCH // (inputs * weight.itemsize))
    begin = _ticket(_pointer(given[8], np.int64)) * some
    while begin < quarter:
        for n in range(begin, min(begin + some, quarter)):
            e, f, g = n + quarter, n + 2 * quarter, n + 3 * quarter
            a, b, c, d = weight[n], weight[e], weight[f], weight[g]
            for r in range(rows):
                y = wide[r]
                p = q = s = t = np.float32(0)
                for k in range(inputs):
                    p += y[k] * _wide(a[k])
                    q += y[k] * _wide(b[k])
                    s += y[k] * _wide(c[k])
                    t += y[k] * _wide(d[k])
                out[r, n], out[r, e] = _written(given, n, p), _written(given, e, q)
                out[r, f], out[r, g] = _written(given, f, s), _written(given, g, t)
        begin = _ticket(_pointer(given[8], np.int64)) * some
    if begin < quarter + some:  # the one thread that comes first after the last stretch
        for n in range(4 * quarter, outputs):
            a = weight[n]
            for r in range(rows):
                y, p = wide[r], np.float32(0)
                for k in range(inputs):
                    p += y[k] * _wide(a[k])
                out[r, n] = _written(given, n, p)


def _int8(given):  # type: ignore[no-untyped-def]
    _share(given, _carray(_pointer(given[4], np.int8), (given[2], given[1])))


def _bfloat16(given):  # type: ignore[no-untyped-def]
    _share(given, _carray(_pointer(given[4], np.uint16), (given[2], given[1])))


_callback = _numba.cfunc(_types.void(_types.CPointer(_types.int64)), cache=True)
_SHARES = {torch.int8: _callback(_int8), torch.bfloat16: _callback(_bfloat16)}
_ADDRESSES = {kind: made.address for kind, made in _SHARES.items()}
_run = ctypes.CDLL(None).GOMP_parallel  # what a compiler makes of "#pragma omp parallel": torch has loaded it
_run.restype = None
_run.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
_Given = ctypes.c_int64 * 10


def product(x: Tensor, weight: Tensor, scale: Tensor | None, bias: Tensor | None) -> Tensor:
    """(R, K) bfloat16 times (N, K) bfloat16 or int8 with a float32 scale (N,), plus a bfloat16 bias -> (R, N)."""
    (rows, inputs), outputs = x.shape, len(weight)
    out = x.new_empty(rows, outputs)
    given = _Given(
        rows, inputs, outputs, x.data_ptr(), weight.data_ptr(), 0 if scale is None else scale.data_ptr(),
        0 if bias is None else bias.data_ptr(), out.data_ptr(),
    )  # fmt: skip
    given[8] = ctypes.addressof(given) + 9 * 8
    _run(_ADDRESSES[weight.dtype], given, torch.get_num_threads(), 0)
    return out
