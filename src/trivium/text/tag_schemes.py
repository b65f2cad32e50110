"""Schemes by which tags of words mark stretches of them: BIO (IOB2), IOB1, and BIOES (also spelt BILOU).

| | first word | inside | last | a word alone |
|---|---|---|---|---|
| BIO | B-X | I-X | I-X | B-X |
| BIOES | B-X | I-X | E-X or L-X | S-X or U-X |
| IOB1 (Ramshaw and Marcus 1995) | I-X; B-X right after another X | I-X | I-X | as the first |

O is a word of no stretch. Tags that are not all of this kind, as parts of speech are not, mark none.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from trivium.errors import DataError

Scheme = Literal["bio", "bioes"]

MARKS = "BIELSU"
_OPEN, _INSIDE, _CLOSED = "BI", "IEL", "ELSU"


def scheme_of(tags: Iterable[str]) -> Scheme | None:
    """What a set of tags is made for; None: they mark no stretches."""
    marks = {_mark(tag) for tag in tags}
    if None in marks or not marks - {"O"}:
        return None
    return "bioes" if marks & set(_CLOSED) else "bio"


def kind_of(tag: str) -> str:
    """``PER`` of ``B-PER``."""
    return tag.partition("-")[2]


def may_follow(before: str | None, after: str | None, scheme: Scheme) -> bool:
    """Whether ``after`` may stand right behind ``before``; None: the sentence's begin, or its end."""
    goes_on = after is not None and after[0] in _INSIDE
    begun = before is not None and before[0] in _OPEN and (not goes_on or kind_of(before) == kind_of(after or ""))
    if scheme == "bio":
        return begun or not goes_on
    return begun == goes_on


def misplaced(tags: Sequence[str], scheme: Scheme) -> int | None:
    """The first tag that may not follow the one before it; the number of tags: the last one may not end a sentence."""
    framed = (None, *tags, None)
    pairs = zip(framed, framed[1:], strict=False)
    return next((place for place, pair in enumerate(pairs) if not may_follow(*pair, scheme)), None)


def is_iob1(sentences: Iterable[Sequence[str]]) -> bool:
    """Whether tags with the marks of BIO are IOB1: an I-X begins an X somewhere, and no B-X begins one anywhere but
    behind another X."""
    begun_by_i = False
    for tags in sentences:
        before = "O"
        for tag in tags:
            same = before != "O" and kind_of(before) == kind_of(tag)
            if tag.startswith("B") and not same:
                return False
            begun_by_i |= tag.startswith("I") and not same
            before = tag
    return begun_by_i


def from_iob1(tags: Sequence[str]) -> tuple[str, ...]:
    """As BIO."""
    found, before = [], "O"
    for tag in tags:
        begins = tag.startswith("I") and (before == "O" or kind_of(before) != kind_of(tag))
        found.append("B" + tag[1:] if begins else tag)
        before = tag
    return tuple(found)


def to_bio(spans: Iterable[tuple[str, int, int]], words: int) -> tuple[str, ...]:
    """A tag for each of so many words from (label, first, last), both inside; a ``DataError`` where two spans share a
    word, for which there is no tag, or one reaches beyond the words."""
    tags, owners = ["O"] * words, dict[int, tuple[str, int, int]]()
    for label, first, last in spans:
        if not 0 <= first <= last < words:
            raise DataError(f"the span {label!r} of words {first} to {last} does not lie in the {words} words")
        for place in range(first, last + 1):
            if place in owners:
                raise DataError(
                    f"the spans {owners[place]} and {(label, first, last)} share word {place}, and BIO has one tag a "
                    "word: keep one of the two, or label spans instead of words"
                )
            owners[place] = (label, first, last)
            tags[place] = f"{'I' if place > first else 'B'}-{label}"
    return tuple(tags)


def in_order(tags: Iterable[str]) -> tuple[str, ...]:
    """O first, then by what is marked: ``B-LOC I-LOC B-PER I-PER``; other tags by the alphabet."""
    known = set(tags)
    if scheme_of(known) is None:
        return tuple(sorted(known))
    return tuple(sorted(known, key=lambda tag: (tag != "O", kind_of(tag), MARKS.find(tag[:1]))))


def forbidden(tags: Sequence[str], scheme: Scheme | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which tag may not follow which, (K, K) from row to column, which may not begin and which not end a sentence,
    (K,) each."""
    if scheme is None:
        return np.zeros((len(tags), len(tags)), bool), np.zeros(len(tags), bool), np.zeros(len(tags), bool)
    return (
        np.array([[not may_follow(before, after, scheme) for after in tags] for before in tags]),
        np.array([not may_follow(None, tag, scheme) for tag in tags]),
        np.array([not may_follow(tag, None, scheme) for tag in tags]),
    )


def _mark(tag: str) -> str | None:
    mark, hyphen, _ = tag.partition("-")
    if mark == "O" and not hyphen:
        return "O"
    return mark if len(mark) == 1 and mark in MARKS else None
