"""glibc's malloc thresholds: freed tensors stay with the process instead of going back to the kernel each step.

Page faults of returned memory took up to a third of a training step (measured); Python's own allocator is untouched.
Called when a run starts, never on import, since it changes the whole process. A server does the opposite after large
requests: it gives back what they took.
"""

import ctypes
import sys
from functools import cache

_PARAMETERS = {  # mallopt(3): number of the parameter in malloc.h, and what it is set to
    "M_MMAP_THRESHOLD": (-3, 2**31 - 1),  # large blocks come from the heap, which is kept
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),  # the heap's top is not given back
    "M_TOP_PAD": (-2, 256 * 2**20),  # and grows by 256 MiB at a time
}


@cache
def keep_freed_memory() -> dict[str, int]:
    """Sets the thresholds, once; returns those that were accepted (none where the C library is not glibc)."""
    library = _glibc()
    if library is None:
        return {}
    library.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    return {name: value for name, (number, value) in _PARAMETERS.items() if library.mallopt(number, value) == 1}


def give_back_freed_memory() -> bool:
    """Returns to the kernel the pages that nothing uses, of all threads; whether there were any. Takes milliseconds."""
    library = _glibc()
    return library is not None and library.malloc_trim(0) == 1


@cache
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018 - only glibc has it
    except (OSError, AttributeError):
        return None
    library.malloc_trim.argtypes = [ctypes.c_size_t]
    return library
