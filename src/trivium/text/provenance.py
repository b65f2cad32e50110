"""Strings that remember which of their characters the template's author wrote, and which came from elsewhere.

A chat template joins its own control tokens with the words of a user, who may spell a control token too. In what is
rendered the two look alike; so inside the sandbox the template's own strings are ``Scaffold``, and every operation
that templates use on strings keeps the knowledge character by character. An operation that does not keep it gives a
plain string, which counts as written by the user: forgetting is safe.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, SupportsIndex

OURS, THEIRS = "1", "0"
_RUN = re.compile("0+|1+")


class Scaffold(str):
    """A string some of whose characters are the template's own. ``Scaffold(text)`` alone claims none, for the sandbox
    makes strings of the type of others."""

    _marks: str

    def __new__(cls, text: object = "", marks: str | None = None) -> "Scaffold":
        self = super().__new__(cls, text)
        self._marks = THEIRS * len(self) if marks is None else marks
        return self

    def __str__(self) -> str:
        return self  # str(x) is what a template's output goes through

    def __add__(self, other: str) -> str:
        return joined((self, other)) if isinstance(other, str) else NotImplemented

    def __radd__(self, other: str) -> str:
        return joined((other, self)) if isinstance(other, str) else NotImplemented

    def __mul__(self, count: SupportsIndex) -> str:
        return Scaffold(super().__mul__(count), self._marks * count.__index__())

    __rmul__ = __mul__

    def __getitem__(self, key: Any) -> str:
        return Scaffold(super().__getitem__(key), self._marks[key])

    def strip(self, chars: str | None = None, /) -> str:
        return self._between(len(self) - len(super().lstrip(chars)), len(super().rstrip(chars)))

    def lstrip(self, chars: str | None = None, /) -> str:
        return self._between(len(self) - len(super().lstrip(chars)), len(self))

    def rstrip(self, chars: str | None = None, /) -> str:
        return self._between(0, len(super().rstrip(chars)))

    def _between(self, start: int, stop: int) -> str:
        return self[min(start, stop) : stop]

    def join(self, parts: Iterable[str], /) -> str:
        found: list[str] = []
        for part in parts:
            if not isinstance(part, str):
                raise TypeError(f"a {type(part).__name__} cannot be joined to a string")
            found += [self, part] if found else [part]
        return joined(found)

    def replace(self, old: str, new: str, count: SupportsIndex = -1, /) -> str:
        if not old:
            return super().replace(old, new, count)
        parts: list[str] = []
        at, left = 0, count.__index__()
        while left != 0 and (found := self.find(old, at)) >= 0:
            parts += [self[at:found], new]
            at, left = found + len(old), left - 1
        return joined([*parts, self[at:]])


def scaffold(text: str) -> Scaffold:
    """A string that the template's author wrote."""
    return Scaffold(text, OURS * len(text))


def joined(parts: Iterable[str]) -> str:
    """One string of several, each character with its mark."""
    pieces = list(parts)
    return Scaffold("".join(pieces), "".join(_marks(piece) for piece in pieces))


def runs(text: str) -> Iterator[tuple[str, bool]]:
    """A string as runs of characters, each with whether the template's author wrote it."""
    plain = str.__getitem__
    for run in _RUN.finditer(_marks(text)):
        yield plain(text, slice(*run.span())), run[0][0] == OURS


def _marks(text: str) -> str:
    return text._marks if isinstance(text, Scaffold) else THEIRS * len(text)
