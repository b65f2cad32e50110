"""An even sample of a text of unknown length, in bounded memory: what a vocabulary is learnt from.

Two gigabytes teach a vocabulary of some ten thousand pieces nothing that thirty megabytes spread over them do not, and
the learner's tables would grow with every new word.
"""

import hashlib
from collections.abc import Iterable


def even_sample(texts: Iterable[str], limit: int) -> list[str]:
    """All ``texts`` if they have at most ``limit`` bytes in UTF-8, else a share of them, in order, below the limit.

    A text is kept while the hash of its number is under a threshold; when the kept ones grow above the limit the
    threshold is halved. So every text has the same chance, and the same texts give the same sample.
    """
    kept: list[tuple[int, int, str]] = []  # hash, bytes, text
    size, threshold = 0, 1 << 64
    for number, text in enumerate(texts):
        mark = int.from_bytes(hashlib.blake2b(b"%d" % number, digest_size=8).digest(), "little")
        if mark >= threshold:
            continue
        length = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        kept.append((mark, length, text))
        size += length
        while size > limit and len(kept) > 1:
            threshold //= 2
            kept = [entry for entry in kept if entry[0] < threshold] or kept[:1]
            size = sum(length for _, length, _ in kept)
    return [text for _, _, text in kept]
