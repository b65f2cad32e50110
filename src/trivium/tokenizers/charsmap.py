"""SentencePiece's normaliser (Kudo & Richardson 2018, section 3.1): a map from strings to strings, of which the longest
key that fits is replaced, from the left; ``nmt_nfkc``, the usual map, built from Python's Unicode tables.

A file holds the map compiled: a double array over UTF-8 whose values point into a text of replacements.
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache, cached_property, lru_cache
from itertools import product

import numpy as np

from trivium.errors import DataError
from trivium.tokenizers.doublearray import LONGEST_KEY, read_array, values_within, write_array

LARGEST_CHARSMAP = 64 << 20
_DELETED = [*range(1, 9), 0x0B, *range(0x0E, 0x20), 0x7F, 0x8F, 0x9F]
_SPACES = [9, 10, 12, 13, 0x61C, 0x1680, 0x200B, 0x200C, 0x200E, 0x200F, 0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD]
_HANGUL = range(0xAC00, 0xD7A4)
_LETTERS = re.compile("[\u1100-\u11ff]")  # that Hangul syllables are made of


class Charsmap:
    """A map of at most some hundred thousand rules, applied to texts."""

    def __init__(self, rules: Mapping[str, str]) -> None:
        self.rules = rules
        lengths: dict[str, set[int]] = {}
        for key in rules:
            lengths.setdefault(key[0], set()).add(len(key))
        self._lengths = {first: sorted(found, reverse=True) for first, found in lengths.items()}

    @cached_property
    def _start(self) -> re.Pattern[str]:
        return re.compile("[" + "".join(map(re.escape, sorted(self._lengths))) + "]" if self.rules else r"(?!)")

    def matches(self, text: str) -> Iterator[tuple[int, int, str]]:
        """(start, end, replacement) of each rule that applies, from the left."""
        at, search = 0, self._start.search
        while found := search(text, at):
            start = at = found.start()
            for length in self._lengths[text[start]]:
                key = text[start : start + length]
                if (value := self.rules.get(key)) is not None:
                    at = start + len(key)
                    yield start, at, value
                    break
            else:
                at += 1

    def apply(self, text: str) -> str:
        """The text with every rule applied."""
        parts, done = [], 0
        for start, end, value in self.matches(text):
            parts += [text[done:start], value]
            done = end
        return "".join(parts) + text[done:] if done else text

    @cached_property
    def compiled(self) -> bytes:
        """As a ``.model`` or a ``tokenizer.json`` holds it: the trie's size, the trie, the replacements."""
        places: dict[str, int] = {}
        targets = bytearray()
        for value in sorted(set(self.rules.values())):
            places[value] = len(targets)
            targets += value.encode() + b"\0"
        units = write_array({key.encode(): places[value] for key, value in self.rules.items()})
        blob = units.astype("<u4").tobytes()
        return len(blob).to_bytes(4, "little") + blob + bytes(targets)


def read_charsmap(blob: bytes, where: str) -> Charsmap:
    """A compiled map; one that is damaged, or that would lead a reader outside of it, is a DataError."""
    try:
        return _read(blob)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error


@lru_cache(maxsize=4)  # most models have the same map
def _read(blob: bytes) -> Charsmap:
    if len(blob) > LARGEST_CHARSMAP:
        raise DataError(f"its character map has {len(blob)} bytes, more than {LARGEST_CHARSMAP}")
    units, targets = charsmap_parts(blob)
    rules: dict[str, str] = {}
    texts: dict[int, str] = {}
    try:
        targets.decode()  # as a whole: readers take it for one text
        for keys, values in read_array(units):
            for key, value in zip(keys, values, strict=True):
                if value not in texts:
                    texts[value] = targets[value : targets.index(b"\0", value)].decode()
                rules[key.decode()] = texts[value]
    except ValueError as error:
        raise DataError(f"its character map holds a rule that is no text ({error})") from error
    return Charsmap(rules)


def check_charsmap(blob: bytes) -> None:
    """Proves that no lookup of whatever text leaves the map, or its replacements between two characters: the Rust
    library looks up without checks, and would panic. Much faster than reading the rules."""
    units, targets = charsmap_parts(blob)
    try:
        targets.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"its character map's replacements are no text ({error.reason})") from error
    values = values_within(units)
    if len(values) and (values[-1] >= len(targets) or (np.frombuffer(targets, np.uint8)[values] & 0xC0 == 0x80).any()):
        raise DataError("its character map has a replacement that begins nowhere in its text")


def charsmap_parts(blob: bytes) -> tuple[np.ndarray, bytes]:
    """The trie's units and the replacements of a compiled map."""
    size = int.from_bytes(blob[:4], "little")
    if len(blob) < 8 or size < 4 or size % 4 or size > len(blob) - 4:
        raise DataError(f"its character map of {len(blob)} bytes says that its trie has {size}")
    return np.frombuffer(blob, "<u4", size // 4, 4).astype(np.uint32), blob[4 + size :]


def _simplified(rules: dict[str, str]) -> dict[str, str]:
    """Without the rules whose key the shorter rules turn into the same."""
    kept = {key: value for key, value in rules.items() if len(key) == 1}
    for length in range(2, max(map(len, rules)) + 1):
        longer = {}
        for key, value in rules.items():
            if len(key) == length:
                rest, found = key, []
                while rest:
                    part = next((rest[:n] for n in range(min(len(rest), length - 1), 0, -1) if rest[:n] in kept), "")
                    found.append(kept[part] if part else rest[0])
                    rest = rest[len(part) or 1 :]
                if "".join(found) != value:
                    longer[key] = value
        kept |= longer
    return kept


@cache
def nfkc() -> dict[str, str]:
    """Every character that NFKC changes, and every sequence of characters that it composes to what one character's
    decomposition composes to. Differs from SentencePiece's map in that a Hangul syllable is composed of the letters
    made for it only, not of compatibility letters, and in the version of Unicode, which is Python's."""
    rules: dict[str, str] = {}
    spellings: dict[str, list[str]] = {}  # of one character: those that decompose to it
    sequences: set[str] = set()
    for number in (*range(0x80, 0x20000), *range(0x2F800, 0x2FA20)):
        character = chr(number)
        if number in _HANGUL or not unicodedata.decomposition(character):
            continue
        composed, decomposed = unicodedata.normalize("NFKC", character), unicodedata.normalize("NFKD", character)
        if composed != character:
            rules[character] = composed
        if len(decomposed) == 1:
            spellings.setdefault(decomposed, []).append(character)
        else:
            sequences.add(decomposed)
    for sequence in sorted(sequences):
        composed = unicodedata.normalize("NFC", sequence)
        if composed != sequence and not _LETTERS.search(sequence):
            spelt = map("".join, product(*([character, *spellings.get(character, [])] for character in sequence)))
            rules.update({each: composed for each in spelt if each != composed and each not in rules})
    rules = _simplified(rules)
    rules |= {unicodedata.normalize("NFD", chr(number)): chr(number) for number in _HANGUL}
    return rules


@cache
def nmt_nfkc() -> Charsmap:
    """SentencePiece's default: NFKC, white space of every kind to spaces, control characters away; the full-width
    tilde stays, which Japanese tells from the narrow one."""
    rules = dict(nfkc())
    rules |= {chr(number): " " for number in _SPACES} | {chr(number): "" for number in _DELETED}
    rules.pop("\uff5e", None)
    assert max(len(key.encode()) for key in rules) <= LONGEST_KEY
    return Charsmap(rules)
