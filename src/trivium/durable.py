"""Files that are whole or absent, even after a crash or power cut: temporary, write, fsync, rename, fsync folder.

And where a file cannot be: said before the work whose result it is to hold.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from trivium.errors import SettingsError

_PIECE = 1 << 22


def json_bytes(content: Mapping[str, Any]) -> bytes:
    """One rendering for one content: keys sorted, floats exact."""
    return (json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_file(path: Path, pieces: Iterable[bytes | memoryview]) -> tuple[int, str]:
    """Writes and fsyncs a new file; returns its size and SHA-256. Not atomic by itself."""
    digest = hashlib.sha256()
    size = 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        for piece in pieces:
            view = memoryview(piece)
            digest.update(view)
            while view:
                written = os.write(handle, view[:_PIECE])
                size += written
                view = view[written:]
        os.fsync(handle)
    finally:
        os.close(handle)
    return size, digest.hexdigest()


def replace_file(path: Path, content: bytes | Iterable[bytes | memoryview]) -> None:
    """The whole file at once, durably: readers see the old content or the new."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        write_file(partial, [content] if isinstance(content, bytes) else content)
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):  # of a file system that cannot be written, the first error says it
            partial.unlink()
        if isinstance(error, OSError):  # the name that the user gave, and one also where write() fails on a full disk
            error.filename, error.filename2 = str(path), None
        raise
    sync_folder(path.parent)


def check_writable(path: Path) -> None:
    """Refuses a file ``path`` that could not be made; folders above it need not exist yet."""
    above = path.absolute().parent
    while not above.exists():
        above = above.parent
    if path.is_dir():
        raise SettingsError(f"{path} is a folder: name a file")
    if not above.is_dir():
        raise SettingsError(f"{path} cannot be written: {above.name} is a file and no folder; choose another name")
    if not os.access(above, os.W_OK | os.X_OK):
        raise SettingsError(f"{path} cannot be written: nothing may be written in {above}; choose another place")


def check_file(path: Path) -> None:
    """Refuses a file ``path`` that could not be made in a folder that exists: before the work, not after it."""
    if not path.absolute().parent.exists():
        raise SettingsError(f"the folder of {path} does not exist: make it, or name a file in a folder that exists")
    check_writable(path)


def sync_folder(folder: Path) -> None:
    """Makes names created, renamed or removed in ``folder`` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pieces_digest(pieces: Iterable[bytes | memoryview]) -> str:
    """SHA-256 of what :func:`write_file` would write."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
