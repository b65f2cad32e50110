"""Whose turn it is: things that wait, each of a key, taken round robin over the keys."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """First come, first served within a key; between keys in turn, however much one of them has asked for."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[T]] = {}  # in the order in which their turns come

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def __iter__(self) -> Iterator[T]:
        for queue in self._queues.values():
            yield from queue

    def add(self, key: str, item: T) -> None:
        """Behind all others of its key."""
        self._queues.setdefault(key, deque()).append(item)

    def remove(self, key: str, item: T) -> None:
        """Wherever it stands; nothing happens where it is not."""
        queue = self._queues.get(key)
        if queue is not None and item in queue:
            queue.remove(item)
            if not queue:
                del self._queues[key]

    def take(self, able: Callable[[str, T], bool] = lambda key, item: True) -> T | None:
        """The next that can be begun, whose key's next turn is then behind all others'. It stays: ``remove`` it."""
        for key, queue in self._queues.items():
            for item in queue:
                if able(key, item):
                    self._queues[key] = self._queues.pop(key)
                    return item
        return None
