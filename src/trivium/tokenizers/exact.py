"""A character map applied as SentencePiece applies it, where the ``tokenizers`` library does not.

The library looks up grapheme clusters: a short one that begins with a key loses what follows the key (U+00AA and an
accent becomes a bare "a"), and a key of several characters is found only as a cluster of at most five bytes. Most texts
have neither. Those that do are mapped here, and the library gets them without its own map.
"""

import base64
import json
import re
import unicodedata
from functools import cache, cached_property

import tokenizers
from trivium.tokenizers.charsmap import Charsmap, charsmap_parts, read_charsmap
from trivium.tokenizers.doublearray import has_ascii_pairs

Span = tuple[int, int]
# Clusters go on with marks, and with these: joiners, tags, skin colours, flags, Hangul letters and syllables, two
# vowels of Thai and Lao, half-width voice marks. Characters unknown to Python's tables may be marks of newer versions.
_CATEGORIES = ("Mn", "Mc", "Me", "Cn")
_CONTINUING = (0xE33, 0xEB3, 0x200C, 0x200D, 0xFF9E, 0xFF9F)
_RANGES = ((0x1F3FB, 0x1F3FF), (0x1F1E6, 0x1F1FF), (0xE0020, 0xE007F), (0x1100, 0x11FF), (0xA960, 0xD7FF))


class ExactCharsmap:
    """The character map of ``plain``, and ``rest``, the tokenizer for texts that are mapped already."""

    def __init__(self, plain: tokenizers.Tokenizer, compiled: bytes, document: str) -> None:
        self._compiled = compiled
        self._library = plain.normalizer
        self._document = document
        self._controls_hidden = plain.encode_special_tokens

    @cached_property
    def charsmap(self) -> Charsmap:
        return read_charsmap(self._compiled, "this tokenizer")

    @cached_property
    def rest(self) -> tokenizers.Tokenizer:
        made = tokenizers.Tokenizer.from_str(self._document)
        made.encode_special_tokens = self._controls_hidden
        return made

    @cached_property
    def _pairs(self) -> frozenset[str]:
        """How keys of several characters begin."""
        return frozenset(key[:2] for key in self.charsmap.rules if len(key) > 1)

    @cached_property
    def _second(self) -> re.Pattern[str]:
        return re.compile(f"[{_continuing()}{re.escape(''.join(sorted({pair[1] for pair in self._pairs})))}]")

    def wanted(self, text: str) -> bool:
        """Whether the library would map the text otherwise, or might."""
        if text.isascii() and not self._ascii_pairs:
            return "\r\n" in text and "\r" in self.charsmap.rules
        rules, pairs = self.charsmap.rules, self._pairs
        for found in self._second.finditer(text):
            at = found.start()
            if at and (text[at - 1] in rules or text[at - 1 : at + 1] in pairs):
                return True
        return "\r\n" in text and "\r" in rules

    @cached_property
    def _ascii_pairs(self) -> bool:
        return has_ascii_pairs(charsmap_parts(self._compiled)[0])

    @cached_property
    def keeps_ascii(self) -> bool:
        """Whether printable ASCII stays as it is."""
        if self._ascii_pairs or self._library is None:
            return False
        return all(self._library.normalize_str(f"a{sign}b") == f"a{sign}b" for sign in map(chr, range(32, 127)))

    def normalise(self, text: str) -> str:
        """The text mapped here, and through whatever other normalisers the tokenizer has."""
        mapped, normalizer = self.charsmap.apply(text), self.rest.normalizer
        return mapped if normalizer is None else normalizer.normalize_str(mapped)

    def origins(self, text: str) -> list[Span]:
        """Of each character of the mapped text the span of ``text`` that it comes from."""
        spans: list[Span] = []
        done = 0
        for start, end, value in self.charsmap.matches(text):
            spans.extend((at, at + 1) for at in range(done, start))
            spans.extend([(start, end)] * len(value))
            done = end
        spans.extend((at, at + 1) for at in range(done, len(text)))
        return spans


def exact_charsmap(plain: tokenizers.Tokenizer) -> ExactCharsmap | None:
    """Of a tokenizer whose first normaliser is a character map; None of any other."""
    if plain.normalizer is None:
        return None
    normalizer = json.loads(plain.normalizer.__getstate__())
    members = normalizer["normalizers"] if normalizer["type"] == "Sequence" else [normalizer]
    if not members or members[0]["type"] != "Precompiled" or not members[0]["precompiled_charsmap"]:
        return None
    document = json.loads(plain.to_str())
    others = members[1:]
    document["normalizer"] = {"type": "Sequence", "normalizers": others} if others else None
    compiled = base64.b64decode(members[0]["precompiled_charsmap"])
    return ExactCharsmap(plain, compiled, json.dumps(document))


def original_offset(offset: Span, spans: list[Span]) -> Span:
    """A span of a mapped text as the span of the text that it was mapped from."""
    start, end = offset
    if start < end:
        return spans[start][0], spans[end - 1][1]
    place = spans[start][0] if start < len(spans) else spans[-1][1] if spans else 0
    return place, place


@cache
def _continuing() -> str:
    """The characters that a grapheme cluster can go on with, as the inside of a class of regular expressions."""
    marks = [number for number in range(0x110000) if unicodedata.category(chr(number)) in _CATEGORIES]
    ranges: list[list[int]] = []
    for number in marks:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    spans = [*((low, high) for low, high in ranges), *((each, each) for each in _CONTINUING), *_RANGES]
    return "".join(f"\\U{low:08x}-\\U{high:08x}" for low, high in spans)
