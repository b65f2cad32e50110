"""Which word a token belongs to, told from offsets alone, so for any algorithm and any script.

Words are those of Unicode's word boundaries (UAX #29): "can't" and "3.14" are one each, a Chinese character is one, a
letter keeps its combining marks, an emoji its joiners; punctuation is a word, spaces are none.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

from tokenizers import Regex, normalizers

Span = tuple[int, int]


@lru_cache(maxsize=4)
def _marker(mark: str) -> normalizers.Normalizer:
    return normalizers.Replace(Regex(r"(?y{w})\y"), mark)  # \y is a boundary, of the kind that y{w} names


def word_spans(text: str) -> list[Span]:
    """Where each word begins and ends, in characters of the text."""
    # A character that the text lacks is put at every boundary: one string, where a pre-tokeniser makes three Python
    # objects of every segment, through which the garbage collector goes over and over again if the text is long.
    mark = next(mark for mark in map(chr, range(0xE000, 0x110000)) if mark not in text)
    spans, end = [], 0
    for segment in _marker(mark).normalize_str(text).split(mark):
        start, end = end, end + len(segment)
        if segment and not segment.isspace():
            spans.append((start, end))
    return spans


def words_of_tokens(offsets: Sequence[Span], words: Sequence[Span]) -> list[int]:
    """The number of the word that each token lies in, of the first if it lies in several, -1 if in none.

    ``words`` in order and without overlap: those of ``word_spans``, or any others, such as a tagged corpus has.
    """
    ends = [end for _, end in words]
    found = []
    for start, end in offsets:
        number = bisect_right(ends, start)
        reached = number < len(words) and words[number][0] < max(end, start + 1)
        found.append(number if reached else -1)
    return found


def tokens_of_words(word_of_token: Sequence[int], count: int) -> list[list[int]]:
    """The places of the tokens of each of ``count`` words; a word that a tokenizer dropped has none."""
    places: list[list[int]] = [[] for _ in range(count)]
    for place, word in enumerate(word_of_token):
        if word >= 0:
            places[word].append(place)
    return places
