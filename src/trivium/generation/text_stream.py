"""Tokens in, pieces of text out: never half a character, never a part of a stop string.

A token may end inside a UTF-8 character, and a stop string may begin in one token and end in another; both are held
back until it is settled what they are.
"""

from collections.abc import Callable, Sequence
from copy import copy
from typing import Self

from trivium.tokenizers import Tokenizer

_UNFINISHED = "\ufffd"  # what a decoder writes for bytes that are not (yet) a character
_WINDOW = 16  # tokens decoded again at each step: enough for every character and joining rule, constant cost


class TextStream:
    """The text of one sequence as its tokens arrive.

    ``decode`` turns ids into text; ``context`` are the last tokens of the prompt, which settle whether the first new
    token begins with a space. ``text`` is all that has been released.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = (), context: Sequence[int] = ()):
        self._decode = decode
        self._stop = tuple(stop)
        self._ids = list(context[-_WINDOW:])
        self._done = len(self._decode(self._ids)) if self._ids else 0  # characters of the window already taken
        self._held = ""
        self.text = ""
        self.stopped = False

    def fork(self) -> Self:
        """Another that goes on from here on its own."""
        other = copy(self)
        other._ids = list(self._ids)
        return other

    def push(self, token: int) -> str:
        """Adds a token and returns the text that is now certain; sets ``stopped`` when a stop string is complete."""
        self._ids.append(token)
        decoded = self._decode(self._ids)
        # replacement characters at the end can still become something else: there is one for each byte of a character,
        # and where a decoder looks at bytes together (SentencePiece) for each of those before, too
        certain = len(decoded.rstrip(_UNFINISHED))
        self._held += decoded[self._done : certain]
        self._done = max(certain, self._done)
        if len(self._ids) >= 2 * _WINDOW and certain == len(decoded):
            for size in range(_WINDOW, _WINDOW + 4):  # one of them does not begin inside a character
                shorter = self._decode(self._ids[-size:])
                if decoded.endswith(shorter):
                    self._ids, self._done = self._ids[-size:], len(shorter)
                    break
        return self._release()

    def flush(self) -> str:
        """At the end: what was held back, an unfinished character as U+FFFD."""
        if self.stopped:
            return ""
        piece = self._held + (self._decode(self._ids)[self._done :] if self._ids else "")
        self._held, self._ids, self._done = "", [], 0
        self.text += piece
        return piece

    def _release(self) -> str:
        found = [at for stop in self._stop if (at := self._held.find(stop)) >= 0]
        if found:
            piece, self._held, self.stopped = self._held[: min(found)], "", True
        else:
            cut = len(self._held) - max((_overlap(self._held, stop) for stop in self._stop), default=0)
            piece, self._held = self._held[:cut], self._held[cut:]
        self.text += piece
        return piece


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` with which ``stop`` could begin."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if stop.startswith(text[-length:]):
            return length
    return 0


def never_written(tokenizer: Tokenizer, stop: Sequence[str]) -> tuple[str, ...]:
    """The stop strings that no text of this tokenizer holds: those of whole words and WordPiece have no line breaks."""
    return tuple(
        each for each in stop
        if not any(each in tokenizer.decode(tokenizer.encode(text).ids) for text in (each, f"a{each}b", f"a {each} b"))
    )  # fmt: skip
