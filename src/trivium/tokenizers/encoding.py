"""A text or pair as ids. All else that is known of the tokens is worked out when it is first asked for.

Most callers want ids alone. The library finds the spans of a long text in more than linear time, and hands them over as
millions of Python tuples, which the garbage collector then walks again and again.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

from trivium.tokenizers.alignment import Span, word_spans, words_of_tokens
from trivium.tokenizers.exact import original_offset
from trivium.tokenizers.validation import guarded


class Source(NamedTuple):
    """A text, its ids, and how to have the library's encoding of it, which knows the spans. ``origin``: where the
    characters come from of a text that was mapped before the library got it."""

    text: str
    ids: list[int]
    find: Callable[[], Any]
    origin: Callable[[], list[Span]] | None


class Encoding:
    """One text or pair as ids; all lists have one entry a token. Control tokens have offsets (0, 0), word and text -1.

    ``ids`` is a list of the reader's own; the others are made once, and are equal however often they are read.
    """

    def __init__(self, ids: list[int], sources: tuple[Source, ...], join: Callable[[], Any]) -> None:
        self.ids = ids
        self._sources = sources
        self._join = join

    @cached_property
    def _joined(self) -> Any:
        """The library's encoding of all texts with the layout around them."""
        return self._join()

    @cached_property
    def segments(self) -> list[int]:
        """0 for the first text, 1 for the second where the layout tells them apart."""
        segments: list[int] = self._joined.type_ids
        return segments

    @cached_property
    def text_of_token(self) -> list[int]:
        """0 or 1: in which text a token lies."""
        return [-1 if number is None else number for number in self._joined.sequence_ids]

    @cached_property
    def offsets(self) -> list[Span]:
        """The characters of its text that a token stands for."""
        with guarded("this text cannot be encoded"):
            offsets: list[Span] = self._joined.offsets
            for number, source in enumerate(self._sources):
                if source.origin is not None:
                    spans = source.origin()
                    for place, of in enumerate(self.text_of_token):
                        if of == number:
                            offsets[place] = original_offset(offsets[place], spans)
            return offsets

    @cached_property
    def word_of_token(self) -> list[int]:
        """The number of a token's word in its text (``alignment.word_spans``), -1 for spaces alone."""
        with guarded("this text cannot be encoded"):
            words = [-1] * len(self.ids)
            for number, source in enumerate(self._sources):
                places = [place for place, of in enumerate(self.text_of_token) if of == number]
                found = words_of_tokens([self.offsets[place] for place in places], word_spans(source.text))
                for place, word in zip(places, found, strict=True):
                    words[place] = word
            return words

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Encoding):
            return NotImplemented
        return self.ids == other.ids and self._details() == other._details()

    __hash__ = None  # type: ignore[assignment]  # ids is a list

    def __repr__(self) -> str:
        return f"Encoding(ids={self.ids}, offsets={self.offsets}, word_of_token={self.word_of_token})"

    def _details(self) -> tuple[list[int], list[Span], list[int], list[int]]:
        return self.segments, self.offsets, self.word_of_token, self.text_of_token
