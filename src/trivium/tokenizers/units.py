"""What SentencePiece's pieces are learnt from: words with their ``▁``, cut where no piece may reach across.

Pieces hold characters of one script (Hiragana, Katakana and Han count as one), digits apart, and no character that is
too rare to be in the vocabulary. Cut there, a text falls into far fewer different units than it has words.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

import numpy as np

from tokenizers import pre_tokenizers
from trivium.errors import DataError
from trivium.tokenizers.charsmap import Charsmap
from trivium.tokenizers.counting import MEMORY, check_text, count_words
from trivium.tokenizers.sentencepiece import SPACE

_ASCII = re.compile("[A-Za-z]+|[0-9]+|[^A-Za-z0-9]+")
_ASCII_DIGITS = re.compile("[A-Za-z]+|[0-9]|[^A-Za-z0-9]+")
_DIGITS = re.compile("[0-9]+|[^0-9]+")
_SCRIPTS = pre_tokenizers.UnicodeScripts()
_EACH_DIGIT = re.compile("[0-9]|[^0-9]+")


@dataclass(frozen=True)
class Units:
    """``units``: each once, in the order of first appearance; ``counts``: (N,) int64. ``alphabet``: the characters
    covered, most frequent first (ties: by number), with ``character_counts``."""

    units: list[str]
    counts: np.ndarray
    alphabet: list[str]
    character_counts: np.ndarray


def count_units(
    documents: Iterable[str], charsmap: Charsmap, coverage: float, split_digits: bool, memory: int = MEMORY
) -> Units:
    """The units of the documents: ``coverage`` of all characters' occurrences are in the alphabet."""
    stretches = count_words(documents, memory=memory, split=_stretches)
    check_text(stretches.words)
    words: dict[str, int] = {}
    for stretch, count in zip(stretches.words, stretches.counts.tolist(), strict=True):
        if stretch.isascii() and stretch.isprintable():
            words[stretch] = words.get(stretch, 0) + count
        else:
            for word in charsmap.apply(stretch).split(" "):
                words[word] = words.get(word, 0) + count
    words.pop("", None)
    if not words:
        raise DataError("there is no text to learn a tokenizer from: every file is empty or has no word in it")
    counts = np.fromiter(words.values(), np.int64, len(words))
    alphabet, totals = _alphabet(words, counts, coverage)
    covered = set(alphabet)
    missing = ({*chain.from_iterable(words), SPACE}) - covered
    rare = re.compile("[" + re.escape("".join(sorted(missing))) + "]+") if missing else None
    covered_space = SPACE in covered
    found: dict[str, int] = {}
    for word, count in words.items():
        parts = word_parts(word, split_digits)
        parts[0] = SPACE + parts[0]
        if rare is not None and not (covered_space and covered.issuperset(word)):
            parts = [kept for part in parts for kept in rare.split(part) if kept]
        for part in parts:
            found[part] = found.get(part, 0) + count
    return Units(list(found), np.fromiter(found.values(), np.int64, len(found)), alphabet, totals)


def word_parts(word: str, split_digits: bool = False) -> list[str]:
    """A word where scripts change and digits begin or end."""
    if word.isascii():
        return (_ASCII_DIGITS if split_digits else _ASCII).findall(word)
    digits = (_EACH_DIGIT if split_digits else _DIGITS).findall
    scripts = [part for part, _ in _SCRIPTS.pre_tokenize_str(word)] or [word]  # none: no character's script is known
    return [part for script in scripts for part in digits(script)]


def _stretches(text: str) -> list[str]:
    """Between spaces, tabs and line ends: no rule of a character map reaches across those."""
    return text.replace("\n", " ").replace("\t", " ").replace("\r", " ").split(" ")


def _alphabet(words: Iterable[str], counts: np.ndarray, coverage: float) -> tuple[list[str], np.ndarray]:
    """The most frequent characters, until they cover enough; each word has one ``▁`` besides."""
    listed = list(words)
    characters = np.frombuffer("".join(listed).encode("utf-32-le"), "<u4")
    sizes = np.fromiter(map(len, listed), np.int64, len(listed))
    totals = np.zeros(0x110000, np.int64)
    np.add.at(totals, characters, np.repeat(counts, sizes))
    totals[ord(SPACE)] += counts.sum()
    present = np.flatnonzero(totals)
    order = present[np.argsort(-totals[present], kind="stable")]
    before = np.cumsum(totals[order]) - totals[order]
    order = order[before < coverage * totals.sum()]
    return [chr(number) for number in order], totals[order]
