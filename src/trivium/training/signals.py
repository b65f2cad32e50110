"""Ctrl-C and SIGTERM: the first asks for a save at the current step, the second ends the process at once.

An immediate end does no damage, because saves are atomic. A second one within a moment is the first again: a terminal
and a supervisor may both pass it on, and Linux tells of a parent's death once for each of its threads.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from trivium.errors import TriviumError

_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
_MOMENT = 0.3  # seconds


class Interrupted(TriviumError):
    """A run that a signal stopped, after it saved. Exit code 128 plus the signal's number: 130 or 143."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


class Stop:
    """Whether a stop was asked for. Until ``gentle`` is set there is nothing to save, and a signal stops at once."""

    def __init__(self) -> None:
        self.number: int | None = None
        self.gentle = False
        self._since = 0.0

    @property
    def name(self) -> str:
        return _NAMES.get(signal.Signals(self.number), "a signal") if self.number else ""

    def receive(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None and time.monotonic() - self._since < _MOMENT:
            return
        if self.number is not None:
            if sys.stderr.isatty():
                os.write(2, b"\x1b[?25h\n")  # a progress bar hid the cursor
            os._exit(128 + number)
        self.number, self._since = number, time.monotonic()
        if not self.gentle:
            raise Interrupted(f"stopped by {self.name} before the first step: nothing was lost", number)


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Listens in the block. In a thread other than the main one signals are left to the main one."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.receive) for number in _NAMES}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
