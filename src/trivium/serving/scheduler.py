"""The one thread in which models compute: steps of texts that are being written, and short jobs between two steps."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from trivium.generation.completion import Piece
    from trivium.generation.prompts import Prompt
    from trivium.generation.sampling import Sampling
    from trivium.serving.house import Served

T = TypeVar("T")


class Scheduler:
    """``run`` and ``write`` are called from the event loop; what they give is computed in the thread."""

    def __init__(self) -> None:
        self._jobs: deque[Callable[[], None]] = deque()
        self._wake = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name="models", daemon=True)

    def start(self) -> None:
        """Begins to compute."""
        self._thread.start()

    def stop(self) -> None:
        """Ends after the job at hand."""
        with self._wake:
            self._stopping = True
            self._wake.notify()

    async def run(self, key: str, job: Callable[[], T]) -> T:
        """What ``job`` returns, called in the thread between two steps; ``key`` says whose turn it is."""
        loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()

        def settle(set_it: Callable[..., None], value: object) -> None:
            if not done.done():
                set_it(value)

        def work() -> None:
            try:
                found = job()
            except BaseException as problem:  # noqa: BLE001 (raised again where it was asked for)
                loop.call_soon_threadsafe(settle, done.set_exception, problem)
            else:
                loop.call_soon_threadsafe(settle, done.set_result, found)

        with self._wake:
            self._jobs.append(work)
            self._wake.notify()
        return await done

    def write(
        self, key: str, served: "Served", prompt: "str | Prompt", sampling: "Sampling", samples: int = 1
    ) -> "AsyncIterator[list[Piece]]":
        """The pieces of a text as they come; closing the iterator cancels it."""
        raise NotImplementedError

    def _work(self) -> None:
        while True:
            with self._wake:
                while not self._jobs and not self._stopping:
                    self._wake.wait()
                if self._stopping:
                    return
                job = self._jobs.popleft()
            job()
