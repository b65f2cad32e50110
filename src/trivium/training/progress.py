"""What the user sees while a run trains, on stderr: a bar on a terminal, otherwise a line each log interval."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class TrainingProgress:
    """A bar with loss, rate and time left, or lines. ``quiet``: only what :meth:`say` is told. NO_COLOR is honoured."""

    def __init__(self, steps: int, done: int, *, quiet: bool = False) -> None:
        self.steps = steps
        self._console = Console(file=sys.stderr, highlight=False, soft_wrap=True)
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._first = done
        self._started = time.monotonic()
        if not quiet and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("step {task.completed:.0f}/{task.total:.0f}"),
                BarColumn(),
                TextColumn("{task.fields[facts]}"),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=self._console,
            )
            self._task = self._bar.add_task("train", total=steps, completed=done, facts="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def step(self, done: int, loss: float, rate: float) -> None:
        """After every step, for the bar."""
        if self._bar:
            self._bar.update(self._task, completed=done, facts=f"loss {loss:.3f}  {rate:,.0f} tokens/s")

    def interval(self, done: int, loss: float, rate: float) -> None:
        """After every log interval, for the lines."""
        if self._bar or self._quiet:
            return
        taken = max(1, done - self._first)
        left = (time.monotonic() - self._started) / taken * (self.steps - done)
        self._print(f"step {done}/{self.steps}  loss {loss:.3f}  {rate:,.0f} tokens/s  {left:,.0f} s left")

    def say(self, text: str) -> None:
        """A sentence, above the bar."""
        self._print(text)

    def tell(self, text: str) -> None:
        """A sentence that a quiet run keeps to itself."""
        if not self._quiet:
            self._print(text)

    def _print(self, text: str) -> None:
        self._console.print(text, markup=False)
