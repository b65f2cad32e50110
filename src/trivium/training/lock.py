"""One process a run: a lock file that says who holds it and that dies with its holder.

The kernel's ``flock`` is the lock, so that a killed process leaves none behind. Where a file system has no ``flock``,
the process number and the machine's boot id in the file decide: both have to be those of a living process.
"""

import contextlib
import errno
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trivium.errors import SettingsError

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds ``path`` for the time of the block, or says which process does."""
    handle = _acquire(path)
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps({"pid": os.getpid(), "boot": _boot()}).encode(), 0)
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(handle)


def _acquire(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = False
        except OSError as error:
            held = error.errno in (errno.EWOULDBLOCK, errno.EACCES) or _lives(path)
        if held:
            pid = _holder(path).get("pid", "unknown")
            os.close(handle)
            raise SettingsError(
                f"{path.parent} is being written by process {pid}: wait for it, stop it, or choose another --out"
            )
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_ino == os.fstat(handle).st_ino:
                return handle
        os.close(handle)  # its last holder removed the file between our opening and locking it


def _lives(path: Path) -> bool:
    """Without flock: whether the process that wrote the file still runs since the same boot."""
    holder = _holder(path)
    pid = holder.get("pid")
    if not isinstance(pid, int) or holder.get("boot") != _boot():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return pid != os.getpid()


def _holder(path: Path) -> dict[str, object]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""
