"""Pieces of work shared by threads that write to the same numbers without locks (Hogwild; Niu et al. 2011).

With one thread the pieces are done in order and the result is bit for bit the same each time. With more, updates of the
same row may cross, now and then one is lost, and no two runs give exactly the same numbers.
"""

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

Piece = TypeVar("Piece")


def share(
    pieces: Iterable[Piece],
    threads: int,
    work: Callable[[int, Piece], None],
    look: Callable[[], None] = lambda: None,
) -> None:
    """Calls ``work(thread, piece)`` for each piece and ``look()`` several times a second.

    The caller's thread only waits, so that Ctrl-C is answered as soon as the pieces in hand are done; work that fails
    ends the others as well.
    """
    lock, stop = threading.Lock(), threading.Event()
    waiting = iter(pieces)

    def loop(thread: int) -> None:
        try:
            while not stop.is_set():
                with lock:
                    piece = next(waiting, None)
                if piece is None:
                    return
                work(thread, piece)
        except BaseException:
            stop.set()
            raise

    with ThreadPoolExecutor(threads, "vectors") as pool:
        running = {pool.submit(loop, thread) for thread in range(threads)}
        try:
            while running:
                done, running = wait(running, timeout=0.2)
                for each in done:
                    each.result()
                look()
        finally:
            stop.set()
