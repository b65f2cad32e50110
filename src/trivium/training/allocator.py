"""glibc's malloc thresholds: freed tensors stay with the process instead of going back to the kernel each step.

Page faults of returned memory took up to a third of a training step (measured); Python's own allocator is untouched.
Called when a run starts, never on import, since it changes the whole process. A server does the opposite: all its
threads share one heap, and after large requests it gives back what they took.
"""

import ctypes
import sys
from functools import cache

_PARAMETERS = {  # mallopt(3): number of the parameter in malloc.h, and what it is set to
    "M_MMAP_THRESHOLD": (-3, 2**31 - 1),  # large blocks come from the heap, which is kept
    "M_TRIM_THRESHOLD": (-1, 2**31 - 1),  # the heap's top is not given back
    "M_TOP_PAD": (-2, 256 * 2**20),  # and grows by 256 MiB at a time
}
_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h


@cache
def keep_freed_memory() -> dict[str, int]:
    """Sets the thresholds, once; returns those that were accepted (none where the C library is not glibc)."""
    library = _glibc()
    if library is None:
        return {}
    return {name: value for name, (number, value) in _PARAMETERS.items() if library.mallopt(number, value) == 1}


@cache
def share_one_heap() -> bool:
    """Has threads that start from now on allocate from the process's own heap; whether the C library took it. Of the
    heaps that glibc else makes for threads, ``malloc_trim`` does not return the top, where a large request has left
    tens of MiB (measured: 80 MiB in three of them, of which 0.1 were in use). Python's threads seldom allocate at
    once, so they do not wait for each other."""
    library = _glibc()
    return library is not None and library.mallopt(_ARENA_MAX, 1) == 1


def give_back_freed_memory() -> bool:
    """Returns to the kernel the pages that nothing uses; whether there were any. Takes milliseconds. Of threads' heaps
    see ``share_one_heap``."""
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
    library.mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    return library
