"""A word in its contexts, as concordances list it: every occurrence with what stands around it.

Text is streamed line by line, each line a context; words are those of Unicode's word boundaries, so a word is never
found inside another. A word of several parts ("New York", "can't stop") is found where its parts follow each other.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from trivium.errors import DataError, SettingsError
from trivium.tokenizers.alignment import Span, word_spans

_NOTED = 200_000  # words of the text kept to suggest a spelling from


@dataclass(frozen=True)
class Hit:
    """One occurrence: the line it is in, and where in it; of which text that line is, from 0, and where it begins."""

    text: str
    span: Span
    document: int = 0
    offset: int = 0

    def around(self, letters: int = 60) -> tuple[str, str, str]:
        """What stands before, the word, what stands after; each side cut between words to about so many letters."""
        start, end = self.span
        before, after = self.text[:start], self.text[end:]
        if len(before) > letters:
            before = "\N{HORIZONTAL ELLIPSIS}" + before[-letters:].partition(" ")[2]
        if len(after) > letters:
            after = after[:letters].rpartition(" ")[0] + "\N{HORIZONTAL ELLIPSIS}"
        return before, self.text[start:end], after


@dataclass(frozen=True)
class Concordance:
    """The first occurrences of a word. ``more``: reading stopped because there were enough."""

    word: str
    hits: tuple[Hit, ...]
    lines: int  # that were read
    more: bool


def concordance(documents: Iterable[str], word: str, most: int, ignore_case: bool = False) -> Concordance:
    """At most ``most`` occurrences, in the order of the text."""
    parts = [word[start:end] for start, end in word_spans(word)]
    if not parts:
        raise SettingsError(f"the word to look for is {word!r}: give one with a letter or a sign in it")
    if most < 1:
        raise SettingsError(f"most = {most}: it must be at least 1")
    hits: list[Hit] = []
    noted: dict[str, None] = {}
    lines = 0
    for line, document, offset in _lines(documents):
        if not line.strip():
            continue
        if len(hits) >= most:
            return Concordance(word, tuple(hits), lines, more=True)
        lines += 1
        hits += [Hit(line, span, document, offset) for span in _in_line(line, parts, ignore_case)]
        if not hits and len(noted) < _NOTED:
            noted |= dict.fromkeys(line.split())
    if not hits:
        where = f"{lines:,} lines" if lines != 1 else "line"
        raise DataError(f"{word!r} does not occur in the {where} read{_advice(word, noted)}")
    return Concordance(word, tuple(hits[:most]), lines, more=len(hits) > most)


def _lines(documents: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    """Each line, of which text it is and where it begins there."""
    for number, document in enumerate(documents):
        offset = 0
        for whole in document.splitlines(keepends=True):
            yield whole.splitlines()[0], number, offset
            offset += len(whole)


def _in_line(line: str, parts: list[str], ignore_case: bool) -> Iterator[Span]:
    wanted = [part.casefold() for part in parts] if ignore_case else parts
    if wanted[0] not in (line.casefold() if ignore_case else line):
        return  # most lines end here, without being cut into words
    spans = word_spans(line)
    words = [line[start:end] for start, end in spans]
    if ignore_case:
        words = [each.casefold() for each in words]
    for first in range(len(words) - len(wanted) + 1):
        if words[first : first + len(wanted)] == wanted:
            yield spans[first][0], spans[first + len(wanted) - 1][1]


def _advice(word: str, noted: Iterable[str]) -> str:
    known = list(dict.fromkeys(each.strip(".,;:!?()[]\"'") for each in noted))
    same = [each for each in known if each.casefold() == word.casefold()]
    near = (same or get_close_matches(word, known, 3, cutoff=0.7))[:3]
    if same:
        return f": did you mean {' or '.join(near)}? (--ignore-case finds both)"
    return f": did you mean {' or '.join(near)}?" if near else ": check its spelling, or give other text"
