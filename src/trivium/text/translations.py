"""Translations that occur by themselves in ordinary text, such as: "the word is better in French: 'parfum'" (Radford et
al. 2019, table 1). What a model learns to translate from without having been told to.

Found by patterns of English sentences that name another language next to a quotation. Left out: pairs of sentences that
stand side by side without a word about it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from trivium.errors import SettingsError

LANGUAGES = tuple(
    "French German Spanish Italian Portuguese Dutch Latin Greek Russian Polish Japanese Chinese Arabic Hebrew Turkish "
    "Swedish Norwegian Danish Finnish Hungarian Czech Korean Hindi".split()
)
LONGEST = 500  # characters of a sentence; what is longer is none
_QUOTED = r"[\"'“‘«]\s*([^\"“”«»\n]{2,120}?)\s*[\"'”’»]"
_SENTENCE = re.compile(r"[^.!?\n]*(?:[.!?](?![\s\"'”’»]*(?:[A-Z“\"‘]|$))[^.!?\n]*)*(?:[.!?]+[\"'”’»)]*|$)")


@dataclass(frozen=True)
class NaturalTranslation:
    """``sentence``: where it stands; ``quoted``: the words in quotation marks."""

    document: int
    language: str
    sentence: str
    quoted: tuple[str, ...]


def natural_translations(
    documents: Iterable[str], languages: Iterable[str] = LANGUAGES
) -> Iterator[NaturalTranslation]:
    """Every sentence that says what something is called in one of the ``languages``, in order."""
    names = list(languages)
    if not names or not all(name.strip() for name in names):
        raise SettingsError("a language has no name: give one, such as French")
    patterns = _patterns(names)
    for number, text in enumerate(documents):
        for found in _SENTENCE.finditer(text):
            sentence = found[0].strip()
            if not 0 < len(sentence) <= LONGEST:
                continue
            match = next((m for m in (pattern.search(sentence) for pattern in patterns) if m), None)
            if match is not None:
                quoted = tuple(each.strip() for each in re.findall(_QUOTED, sentence))
                yield NaturalTranslation(number, match["language"], sentence, quoted)


def _patterns(names: list[str]) -> list[re.Pattern[str]]:
    language = f"(?P<language>{'|'.join(map(re.escape, names))})"
    aside = r"(?:\([^)]*\))?\s*"
    says = r"\b(?:as they say|as one says|they say|called|known as|means?)\b"
    return [
        re.compile(rf"\b(?:in|into|from the) {language}\b\s*{aside}[,:—–-]?\s*(?:it is|is|as|by)?\s*{_QUOTED}"),
        re.compile(rf"{_QUOTED}\s*,?\s*(?:\(|is |which is |meaning )?(?:the )?{language} (?:word |term )?for\b"),
        re.compile(rf"{says}[^.]*\bin {language}\b[^.]*{_QUOTED}"),
        re.compile(rf"{says}\s*{_QUOTED}\s*,?\s*in {language}\b"),
        re.compile(rf"{_QUOTED}[^.]*\b(?:means?|translates? (?:as|to)|says?|called)\b[^.]*\bin {language}\b"),
    ]
