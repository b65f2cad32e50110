"""Which of the labelled spans of a text may stand side by side: nested ones, no two that cross, no two that overlap."""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from trivium.text.examples import Span

Decoding = Literal["nested", "flat", "crossing"]


def chosen(spans: Sequence[Span], chances: np.ndarray, decode: Decoding) -> list[int]:
    """Which of the spans stay: all, or from the most probable to the least those that share no word with one that
    stays (``flat``), or that do not cross one (``crossing``)."""
    if decode == "nested":
        return list(range(len(spans)))
    kept: list[int] = []
    for number in np.argsort(-chances, kind="stable"):
        if not any(clash(spans[number], spans[other], decode) for other in kept):
            kept.append(int(number))
    return sorted(kept)


def clash(one: Span, other: Span, decode: Decoding) -> bool:
    """Whether a way of decoding does not allow both."""
    (_, first, last), (_, begin, end) = one, other
    if decode == "nested" or last < begin or end < first:
        return False
    return decode == "flat" or first < begin <= last < end or begin < first <= end < last


def decoding_of(texts: Iterable[Sequence[Span]]) -> Decoding:
    """The strictest way of decoding by which the spans of these texts could all be found."""
    found: Decoding = "flat"
    for spans in texts:
        ordered = sorted(spans, key=lambda span: (span.first, -span.last))
        open_ends: list[int] = []
        for _, first, last in ordered:
            while open_ends and open_ends[-1] < first:
                open_ends.pop()
            if open_ends:
                if open_ends[-1] < last:
                    return "nested"
                found = "crossing"
            open_ends.append(last)
    return found
