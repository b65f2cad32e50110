"""When each step ended and how many real tokens had been trained on by then."""

import resource
import time
from dataclasses import dataclass, field


@dataclass
class Clock:
    """Marks at the end of steps; tokens are counted as batches enter the model."""

    marks: list[tuple[float, int]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    tokens: int = 0

    def mark(self, loss: float | None = None) -> None:
        self.marks.append((time.perf_counter(), self.tokens))
        if loss is not None:
            self.losses.append(loss)

    def rates(self, warm_up: int, window: int) -> list[float]:
        """Tokens per second of each whole window of steps after the warm-up."""
        kept = self.marks[warm_up:]
        ends = range(0, len(kept), window)
        return [
            (kept[b][1] - kept[a][1]) / (kept[b][0] - kept[a][0]) for a, b in zip(ends, list(ends)[1:], strict=False)
        ]


def peak_megabytes() -> float:
    """The largest resident size that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
