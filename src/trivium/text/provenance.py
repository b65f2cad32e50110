"""Strings that remember which of their characters the template's author wrote, and which came from elsewhere.

A chat template joins its own control tokens with the words of a user, who may spell a control token too. In what is
rendered the two look alike; so inside the sandbox the template's own strings are ``Scaffold``, and every operation
that templates use on strings keeps the knowledge character by character. An operation that does not keep it gives a
plain string, which counts as written by the user: forgetting is safe.

What an assistant said in the conversation is marked with the number of its message, and so is what stands inside the
template's ``{% generation %}``: by that a model is taught its own turns alone.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple, SupportsIndex

OURS, THEIRS = "1", "0"
_REPLIES = 0x100  # the first of the marks of replies: four a message, by whose the character is and whether generated


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

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        if not sep:
            return super().split(sep, maxsplit)
        found, at, left = [], 0, maxsplit.__index__()
        while left != 0 and (end := self.find(sep, at)) >= 0:
            found.append(self[at:end])
            at, left = end + len(sep), left - 1
        return [*found, self[at:]]

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


def said(text: str, message: int) -> Scaffold:
    """What an assistant says in the message of this number."""
    return Scaffold(text, chr(_REPLIES + 4 * message) * len(text))


def generated(text: str) -> str:
    """What stands inside ``{% generation %}``: all of it belongs to the reply that is in it."""
    marks = _marks(text)
    message = next((_read(mark).reply for mark in marks if ord(mark) >= _REPLIES), None)
    if message is None:  # no words of an assistant, such as a call of a tool
        return text
    letters = [chr(_REPLIES + 4 * message + 2 + scaffold) for scaffold in (False, True)]
    return Scaffold(text, "".join(letters[_read(mark).scaffold] for mark in marks))


class Mark(NamedTuple):
    """Of a character: ``scaffold``: the template's author wrote it; ``reply``: the number of the message in which an
    assistant says it; ``generated``: the template says so itself."""

    scaffold: bool
    reply: int | None
    generated: bool


def runs(text: str) -> Iterator[tuple[str, Mark]]:
    """A string as runs of characters of one mark."""
    plain, at = str.__getitem__, 0
    for mark, run in groupby(_marks(text)):
        end = at + sum(1 for _ in run)
        yield plain(text, slice(at, end)), _read(mark)
        at = end


def _read(mark: str) -> Mark:
    number = ord(mark) - _REPLIES
    return Mark(mark == OURS, None, False) if number < 0 else Mark(bool(number & 1), number // 4, bool(number & 2))


def _marks(text: str) -> str:
    return text._marks if isinstance(text, Scaffold) else THEIRS * len(text)
