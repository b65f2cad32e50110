"""Texts with blanks: ``The capital of France is ___.``

A blank is written ``___`` (three or more underscores), ``<mask>``, ``[MASK]`` or ``<extra_id_0>``, whatever the
tokenizer calls its own mask. The space before a blank belongs to the blank: byte-level tokens begin with theirs.
"""

import re
from collections.abc import Callable, Sequence

from trivium.errors import SettingsError

BLANK = re.compile(r"_{3,}|<mask>|\[MASK\]|<extra_id_\d+>")


def split(text: str) -> list[str]:
    """The texts before, between and after the blanks; refuses a text without any."""
    parts = BLANK.split(text)
    if len(parts) == 1:
        raise SettingsError(
            "the text has no blank to fill: write ___ or <mask> where something is missing, as in "
            '"The capital of France is ___."'
        )
    return [part.removesuffix(" ") for part in parts[:-1]] + parts[-1:]


def with_blanks(parts: Sequence[str], encode: Callable[[str], Sequence[int]], blanks: Sequence[int]) -> list[int]:
    """The parts' tokens with one id of ``blanks`` between each two."""
    ids: list[int] = []
    for index, part in enumerate(parts):
        ids += encode(part) if part else []
        ids += blanks[index : index + 1]
    return ids
