"""Byte-level byte-pair encoding (Radford et al. 2019, GPT-2; code openai/gpt-2 ``encoder.py``).

Text is cut by GPT-2's pattern into words with their leading space, each word is its UTF-8 bytes, and the most frequent
neighbours are merged, never across words; ties go to the pair of lower ids. The 256 bytes are always in the vocabulary,
so nothing is unknown and decoding gives the text back exactly. Vocabulary = control tokens + 256 + merges. Counting
and merging are the ``tokenizers`` library's.
"""

import json
from collections.abc import Iterable
from itertools import chain

import tokenizers
from tokenizers import AddedToken, decoders, models, pre_tokenizers, trainers
from trivium.errors import DataError, SettingsError
from trivium.tokenizers.layouts import LayoutName, post_processor
from trivium.tokenizers.sampling import even_sample
from trivium.tokenizers.specials import TRIVIUM, SpecialTokens
from trivium.tokenizers.tokenizer import Tokenizer, pieces
from trivium.tokenizers.validation import guarded


def train_bpe(
    documents: Iterable[str],
    vocab_size: int,
    specials: SpecialTokens = TRIVIUM,
    layout: LayoutName = "plain",
    min_frequency: int = 2,
    sample_bytes: int = 32 << 20,
) -> Tokenizer:
    """A tokenizer of exactly ``vocab_size`` tokens; a pair seen less than ``min_frequency`` times is not merged.

    All documents are read; of more than ``sample_bytes`` of text an even sample is learnt from (``sampling.py``).
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
    sample = even_sample(chain.from_iterable(map(pieces, documents)), sample_bytes)
    characters = sum(map(len, sample))
    if not characters:
        raise DataError("there is no text to learn a tokenizer from: every file is empty")
    with guarded("this text cannot be learnt from"):
        whole.train_from_iterator(sample, trainer)
    found = whole.get_vocab_size()
    if found < vocab_size:
        raise DataError(
            f"a vocabulary of {vocab_size} was asked for, but {characters} characters of text support only {found} "
            f"tokens: ask for {found} or less, or give more text"
        )
    document = json.loads(whole.to_str())
    document["post_processor"] = post_processor(layout, specials, whole)
    return Tokenizer(document, specials)
