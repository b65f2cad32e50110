"""What a server counts while it runs: requests, tokens, seconds. ``metrics_page.py`` shows it."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
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


class Figures:
    """Counted from the event loop and from the thread that computes. ``gauges``: what is asked for when it is shown."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.open = 0
        self.requests: Counter[tuple[str, str, int]] = Counter()  # route, method, status
        self.seconds: dict[str, Histogram] = {}  # by route
        self.tokens: Counter[tuple[str, str]] = Counter()  # model, "prompt" or "completion"
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}  # name: help, value

    def begin(self) -> None:
        """A request came."""
        with self.lock:
            self.open += 1

    def end(self, route: str, method: str, status: int, seconds: float) -> None:
        """It was answered to its end."""
        with self.lock:
            self.open -= 1
            self.requests[route, method, status] += 1
            self.seconds.setdefault(route, Histogram()).add(seconds)

    def read_and_wrote(self, model: str, prompt: int, completion: int) -> None:
        """Tokens that a model read of a prompt and wrote after it."""
        with self.lock:
            self.tokens[model, "prompt"] += prompt
            self.tokens[model, "completion"] += completion
