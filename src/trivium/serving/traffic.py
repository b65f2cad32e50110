"""What the guard counts of all requests: how many, how they ended, how long they took. ``/metrics`` shows it."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)


@dataclass
class Histogram:
    """How many seconds fell below each of ``BOUNDS``, and all of them together."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


class Traffic:
    """Counted in the event loop alone."""

    def __init__(self) -> None:
        self.open = 0
        self.requests: Counter[tuple[str, str, int]] = Counter()  # route, method, status
        self.seconds: dict[str, Histogram] = {}  # by route

    def begin(self) -> None:
        """A request came."""
        self.open += 1

    def end(self, route: str, method: str, status: int, seconds: float) -> None:
        """It was answered to its end, or its client left."""
        self.open -= 1
        self.requests[route, method, status] += 1
        self.seconds.setdefault(route, Histogram()).add(seconds)
