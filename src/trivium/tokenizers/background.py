"""Learning in the Rust library, which can neither be interrupted nor told how much memory it may take.

It runs in a thread of its own while this one waits, answers signals, and watches how much memory the process has
gained. When waiting ends early the text runs dry, so the thread ends at the next document; if it was merging already it
goes on until it is done or the program ends.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator

from trivium.errors import RefusedError

PAUSE = 0.1  # seconds between two looks at the memory
MERGING = 5  # merging takes up to so many times the memory that counting has taken (measured: 4)
_SLACK = 16 << 20  # what a process gains for other reasons


class Watch:
    """How much memory this process has gained since the watch began, and how much it may gain."""

    def __init__(self, memory: int) -> None:
        self.memory = memory
        self.begun = resident_bytes()
        self.stopped = threading.Event()

    def over(self, documents: Iterable[str]) -> Iterator[str]:
        """The documents, while they are wanted; refuses when the counts leave no room for merging."""
        for number, text in enumerate(documents):
            if self.stopped.is_set():
                return
            if number % 256 == 0:
                self.check()
            yield text
        self.check(MERGING)

    def check(self, times: int = 1) -> None:
        gained = resident_bytes() - self.begun - _SLACK
        if gained * times > self.memory:
            raise RefusedError(
                f"learning from this text takes more than {gained * times:,} bytes of memory and may take "
                f"{self.memory:,}: raise --memory, or learn from a part of the text with --sample"
            )


def in_background(learn: Callable[[], object], watch: Watch) -> None:
    """Runs ``learn`` in a thread and waits for it; its error is raised here."""
    done = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            learn()
        except BaseException as error:  # a panic of the library is no Exception
            errors.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name="trivium-learn", daemon=True).start()
    try:
        while not done.wait(PAUSE):
            watch.check()
    finally:
        watch.stopped.set()
    if errors:
        raise errors[0]


def resident_bytes() -> int:
    """The memory this process has now; where the system does not say, the most it has had."""
    try:
        with open("/proc/self/statm", "rb") as file:
            pages = int(file.read().split()[1])
        import resource

        return pages * resource.getpagesize()
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows: no limit is kept there
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
