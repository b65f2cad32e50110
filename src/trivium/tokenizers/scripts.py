"""The writing system of a character, by its Unicode name: what a tokenizer's coverage is reported by."""

import unicodedata
from functools import lru_cache

_GROUPS = {"M": "marks", "N": "numbers", "P": "punctuation", "S": "symbols", "Z": "spaces", "C": "controls"}
_NAMES = {
    "CJK": "Han",
    "KANGXI": "Han",
    "IDEOGRAPHIC": "Han",
    "HENTAIGANA": "Hiragana",
    "MODIFIER": "other letters",
    "SUPERSCRIPT": "Latin",
}
_STYLED = ("FULLWIDTH", "HALFWIDTH", "MATHEMATICAL", "DOUBLE-STRUCK", "SCRIPT", "BLACK-LETTER")


@lru_cache(maxsize=1 << 16)
def script_of(character: str) -> str:
    """ "Latin", "Han", "Cyrillic" ... for letters; "marks", "numbers", "punctuation", "symbols", "spaces" and
    "controls" for what all scripts share."""
    category = unicodedata.category(character)
    if character in "\t\n\r":
        return "spaces"
    if category[0] != "L":
        return _GROUPS[category[0]]
    words = [word for word in unicodedata.name(character, "OTHER").split() if word not in _STYLED]
    first = words[0] if words else "OTHER"
    if category == "Lm" and first not in ("ARABIC", "KATAKANA", "HIRAGANA", "THAI", "LAO"):
        return "other letters"
    if first in ("BOLD", "ITALIC", "SANS-SERIF", "MONOSPACE", "FRAKTUR", "SMALL", "CAPITAL", "LETTER"):
        return "other letters"  # of mathematics
    return _NAMES.get(first, first.capitalize())
