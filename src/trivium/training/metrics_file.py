"""``metrics.jsonl``: one JSON object a line, appended and fsynced, cut back to the checkpoint's length on resume."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trivium.durable import sync_folder
from trivium.errors import DataError


class MetricsFile:
    """The lines of a run so far, on disk and in ``lines``."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes = 0
        self.lines: list[dict[str, Any]] = []

    def append(self, line: Mapping[str, Any]) -> None:
        """Adds a line; a short write (full disk) is undone before its error is passed on."""
        content = (json.dumps(line, ensure_ascii=False) + "\n").encode()
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            written = 0
            while written < len(content):
                written += os.write(handle, content[written:])
        except OSError:
            os.ftruncate(handle, self.bytes)
            raise
        finally:
            os.close(handle)
        self.bytes += len(content)
        self.lines.append(dict(line))

    def sync(self) -> int:
        """Makes all lines durable; returns the file's length, for the checkpoint."""
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        sync_folder(self.path.parent)
        return self.bytes

    def cut(self, length: int) -> None:
        """Back to the first ``length`` bytes, which a checkpoint has recorded."""
        present = self.path.stat().st_size if self.path.exists() else 0
        if present < length:
            raise DataError(
                f"{self.path} has {present} bytes, and the checkpoint was written after {length}: "
                "restore the file, or start again with another --out"
            )
        if present > length:
            os.truncate(self.path, length)
        self.bytes = length
        content = self.path.read_bytes() if length else b""
        try:
            self.lines = [json.loads(line) for line in content.splitlines()]
        except ValueError as error:
            raise DataError(f"{self.path} is damaged: {error}; start again with another --out") from error
