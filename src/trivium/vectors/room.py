"""Whether matrices of a training fit in the machine's memory: asked before any work, since the system would not say."""

import os

from trivium.errors import RefusedError


def physical_memory() -> int | None:
    """Bytes of memory that this machine has; None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def check_room(words: int, dimensions: int, bytes_each: int, matrices: int) -> None:
    """Refuses ``matrices`` of one number for each word and dimension that memory cannot hold."""
    needed, present = words * dimensions * bytes_each * matrices, physical_memory()
    if present is not None and needed > present:
        raise RefusedError(
            f"training {words:,} words of {dimensions:,} dimensions takes {needed / 1e9:,.1f} GB and this machine has "
            f"{present / 1e9:,.1f} GB: raise min_count, set max_words or lower dimensions"
        )
