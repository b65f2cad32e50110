"""Asking the processor for rows of a matrix before they are needed: word vectors are read anywhere in a large memory.

Waiting for such rows is a third of the time of a training that does not ask ahead.
"""

from typing import Any

import numpy as np

from trivium.extras import compiled, extra_module

intrinsic = extra_module("numba.extending", "vectors", "these loops are compiled by numba").intrinsic


@intrinsic
def prefetch(context, rows, row, column):  # type: ignore[no-untyped-def]
    """Asks the processor to bring the cache line of ``rows[row, column]``; nothing waits for it."""
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, values[0])
        address = cgutils.get_item_pointer(context, builder, signature.args[0], array, values[1:], wraparound=False)
        address = builder.bitcast(address, ir.IntType(8).as_pointer())
        flag = ir.IntType(32)
        name = "llvm.prefetch.p0" if getattr(address.type, "is_opaque", False) else "llvm.prefetch.p0i8"
        kind = ir.FunctionType(ir.VoidType(), [address.type, flag, flag, flag])
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        builder.call(function, [address, flag(1), flag(3), flag(1)])  # to be written, kept in all levels, data
        return context.get_dummy_value()

    return types.none(rows, row, column), generate


@compiled
def fetch(rows, row):  # type: ignore[no-untyped-def]
    """Every cache line of a row, taken to be of at least 16 numbers each."""
    for d in range(0, rows.shape[1], 16):
        prefetch(rows, np.int64(row), d)
