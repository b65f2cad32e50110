"""One token a character: the smallest vocabulary and the longest sequences.

A character is a Unicode code point, white space among them, so decoding gives the text back exactly as long as all its
characters are in the vocabulary; any other is the unknown token. The vocabulary holds the most frequent characters of
the text, most frequent first, ties by code point.
"""

from collections.abc import Iterable

import numpy as np

import tokenizers
from tokenizers import Regex, decoders, models, pre_tokenizers
from trivium.errors import DataError, SettingsError
from trivium.tokenizers.assembly import assembled, numbered, unknown_of
from trivium.tokenizers.counting import MEMORY
from trivium.tokenizers.layouts import LayoutName
from trivium.tokenizers.merging import check_supported
from trivium.tokenizers.specials import TRIVIUM, SpecialTokens
from trivium.tokenizers.tokenizer import Tokenizer

_CODES = 0x110000


def train_characters(
    documents: Iterable[str],
    vocab_size: int,
    specials: SpecialTokens = TRIVIUM,
    layout: LayoutName = "plain",
    *,
    memory: int = MEMORY,
) -> Tokenizer:
    """A tokenizer of exactly ``vocab_size`` tokens. Counting takes 9 MB at most, whatever ``memory`` allows."""
    del memory
    controls = specials.strings()
    unknown = unknown_of(specials, "characters")
    for content in controls:
        if len(content) < 2:
            raise SettingsError(f"special token {content!r} is a character of the text: write it like <{content}>")
    if vocab_size <= len(controls):
        raise SettingsError(
            f"vocabulary size {vocab_size} is too small: {len(controls)} special tokens and a character need "
            f"{len(controls) + 1}"
        )
    found = count_characters(documents)
    distinct = int(np.count_nonzero(found))
    if not distinct:
        raise DataError("there is no text to learn a tokenizer from: every file is empty")
    check_supported(vocab_size, len(controls) + distinct, f"{distinct} characters and {len(controls)} special tokens")
    kept = np.argsort(-found, kind="stable")[: vocab_size - len(controls)]
    vocabulary = numbered(specials, map(chr, kept.tolist()))
    # The library's model of byte-pair encoding without a merge: characters, and its cache of words.
    whole = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token=unknown))
    whole.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s"), "isolated")
    whole.decoder = decoders.Fuse()
    return assembled(whole, specials, layout)


def count_characters(documents: Iterable[str]) -> np.ndarray:
    """(0x110000,) int64: how often each code point occurs."""
    found = np.zeros(_CODES, np.int64)
    for document in documents:
        for start in range(0, len(document), 1 << 20):
            part = document[start : start + (1 << 20)]
            codes = np.frombuffer(part.encode("utf-32-le", "surrogatepass"), np.uint32)
            counted = np.bincount(codes)
            found[: len(counted)] += counted
    halves = np.flatnonzero(found[0xD800:0xE000])
    if len(halves):
        code = 0xD800 + int(halves[0])
        raise DataError(f"this text cannot be learnt from: it holds U+{code:04X}, half a surrogate pair")
    return found
