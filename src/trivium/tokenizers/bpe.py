"""Byte-level byte-pair encoding (Radford et al. 2019, GPT-2; code openai/gpt-2 ``encoder.py``).

Text is cut by GPT-2's pattern into words with their leading space, each word is its UTF-8 bytes, and the most frequent
neighbours are merged, never across words; ties go to the pair of lower ids. The 256 bytes are always in the vocabulary,
so nothing is unknown and decoding gives the text back exactly. Vocabulary = control tokens + 256 + merges. Counting
and merging are the ``tokenizers`` library's, under a watch on the memory they take.
"""

import json
import re
from collections.abc import Iterable, Iterator
from itertools import chain

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
from trivium.errors import DataError, SettingsError
from trivium.tokenizers.background import Watch, in_background
from trivium.tokenizers.counting import MEMORY
from trivium.tokenizers.layouts import LayoutName, post_processor
from trivium.tokenizers.specials import TRIVIUM, SpecialTokens
from trivium.tokenizers.tokenizer import Tokenizer
from trivium.tokenizers.validation import guarded

PIECE_CHARACTERS = 200_000  # a longer text is counted in pieces, cut where no word is
_CUT = re.compile(r"(?<=\S) (?=\S)")


def train_bpe(
    documents: Iterable[str],
    vocab_size: int,
    specials: SpecialTokens = TRIVIUM,
    layout: LayoutName = "plain",
    *,
    memory: int = MEMORY,
    min_frequency: int = 2,
) -> Tokenizer:
    """A tokenizer of exactly ``vocab_size`` tokens; a pair seen less than ``min_frequency`` times is not merged.

    Learning that would take more than ``memory`` bytes ends with a RefusedError.
    """
    controls = specials.strings()
    smallest = 256 + len(controls)
    if vocab_size < smallest:
        raise SettingsError(
            f"vocabulary size {vocab_size} is too small: 256 bytes and {len(controls)} special tokens need {smallest}"
        )
    whole = tokenizers.Tokenizer(models.BPE())
    whole.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    whole.decoder = decoders.ByteLevel()
    for content in controls:
        if len(whole.pre_tokenizer.pre_tokenize_str(content)) < 2:
            raise SettingsError(f"special token {content!r} could be a word of the text: write it like <{content}>")
    # A mask or blank stands for a word with its leading space, so it swallows the space before it.
    swallowing = {specials.mask, *specials.sentinels}
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[AddedToken(c, lstrip=c in swallowing, normalized=False, special=True) for c in controls],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    characters = 0

    def counted() -> Iterator[str]:
        nonlocal characters
        for piece in chain.from_iterable(map(_pieces, documents)):
            characters += len(piece)
            yield piece
        if not characters:
            raise DataError("there is no text to learn a tokenizer from: every file is empty")

    watch = Watch(memory)
    with guarded("this text cannot be learnt from"):
        in_background(lambda: whole.train_from_iterator(watch.over(counted()), trainer), watch)
    found = whole.get_vocab_size()
    if found < vocab_size:
        raise DataError(
            f"a vocabulary of {vocab_size} was asked for, but {characters} characters of text support only {found} "
            f"tokens: ask for {found} or less, or give more text"
        )
    document = json.loads(whole.to_str())
    document["post_processor"] = post_processor(layout, specials, whole)
    return Tokenizer(document, specials)


def _pieces(text: str) -> Iterator[str]:
    """A long text in parts that are counted as the whole is: cut before single spaces; where there is none within a
    part's length, anywhere."""
    start = 0
    while len(text) - start > PIECE_CHARACTERS:
        end = start + PIECE_CHARACTERS
        for width in (1_000, PIECE_CHARACTERS):
            cuts = [match.start() for match in _CUT.finditer(text, max(end - width, start + 1), end)]
            if cuts:
                end = cuts[-1]
                break
        yield text[start:end]
        start = end
    yield text[start:] if start else text
