"""An even sample of a text of unknown length, in bounded memory: what a vocabulary is learnt from, when asked for.

Two gigabytes teach a vocabulary of some ten thousand pieces little that thirty megabytes spread over them do not, and
the learner's tables would grow with every new word. Which parts are taken is a pure function of the seed.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain

from trivium.errors import SettingsError
from trivium.randomness import key

PART_CHARACTERS = 200_000  # a longer document is drawn from in parts, cut at spaces
_SPACE = re.compile(r"(?<=\S) (?=\S)")


@dataclass(frozen=True)
class Sample:
    """Texts in their order, and how much of all text they are, in bytes of UTF-8."""

    texts: list[str]
    bytes: int
    of: int

    @property
    def share(self) -> float:
        return self.bytes / self.of if self.of else 1.0


def even_sample(texts: Iterable[str], limit: int, seed: int = 0) -> Sample:
    """All ``texts`` if they have at most ``limit`` bytes in UTF-8, else a share of them, in order, below the limit.

    A part of a text is kept while the hash of its number is under a threshold; when the kept ones grow above the limit
    the threshold is halved. So every part has the same chance, and the same texts give the same sample.
    """
    if limit < 1:
        raise SettingsError(f"a sample of {limit} bytes was asked for: take at least some thousands")
    kept: list[tuple[int, int, str]] = []  # hash, bytes, text
    size, total, threshold = 0, 0, 1 << 64
    for number, text in enumerate(chain.from_iterable(map(parts, texts))):
        length = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        total += length
        mark = key(seed, "tokenizer sample", number)
        if mark >= threshold:
            continue
        kept.append((mark, length, text))
        size += length
        while size > limit and len(kept) > 1:
            threshold //= 2
            kept = [entry for entry in kept if entry[0] < threshold] or kept[:1]
            size = sum(length for _, length, _ in kept)
    return Sample([text for _, _, text in kept], size, total)


def parts(text: str) -> Iterator[str]:
    """What ``even_sample`` keeps or leaves: a text, or where it is long its parts. A part is its own only part."""
    start = 0
    while len(text) - start > PART_CHARACTERS:
        space = _SPACE.search(text, start + PART_CHARACTERS)
        if space is None:
            break
        yield text[start : space.start()]
        start = space.start()
    yield text[start:] if start else text
