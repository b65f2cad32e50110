"""What a training of vectors says while it runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a training has come. ``unit`` says what is counted: "words" or "pairs" (of GloVe's co-occurrences)."""

    unit: str
    done: int
    total: int
    rate: float  # units a second
    learning_rate: float
    loss: float | None = None  # GloVe: the mean cost of the last whole iteration


Report = Callable[[Progress], None]


class Reporter:
    """Calls ``report`` at most every ``every`` seconds, and once at the end."""

    def __init__(self, report: Report | None, unit: str, total: int, every: float = 0.5) -> None:
        self.report, self.unit, self.total, self.every = report, unit, total, every
        self.begun = self.last = time.monotonic()

    def __call__(self, done: int, learning_rate: float, loss: float | None = None, *, final: bool = False) -> None:
        now = time.monotonic()
        if self.report is None or (now - self.last < self.every and not final):
            return
        self.last = now
        rate = done / max(now - self.begun, 1e-9)
        self.report(Progress(self.unit, done, self.total, rate, learning_rate, loss))
