"""One token a word: the shortest sequences, a huge vocabulary, and words that are not in it.

A word is a run of letters, marks and digits, with apostrophes inside ("don't"); an ideograph, since they are written
without spaces; or any other single character. (Thai, Lao, Khmer and Burmese have neither spaces nor ideographs: there a
phrase is a word.) Decoding puts one space between words, so a text comes back only up to its spacing, and only where no
word is unknown. How many are is what ``unknown_rate`` measures, for any tokenizer.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import tokenizers
from tokenizers import Regex, models, normalizers, pre_tokenizers
from trivium.errors import SettingsError
from trivium.tokenizers.assembly import assembled, check_at_least, check_controls, numbered, unknown_of
from trivium.tokenizers.counting import MEMORY
from trivium.tokenizers.layouts import LayoutName
from trivium.tokenizers.merging import check_supported, learnable
from trivium.tokenizers.pretokens import count_pretokens
from trivium.tokenizers.specials import TRIVIUM, SpecialTokens
from trivium.tokenizers.tokenizer import Tokenizer

_IN = r"[\p{L}\p{M}\p{N}_&&[^\p{Han}]]"
PATTERN = rf"\p{{Han}}|{_IN}+(?:['’]{_IN}+)*|[^\s\p{{L}}\p{{M}}\p{{N}}_]"


def train_words(
    documents: Iterable[str],
    vocab_size: int,
    specials: SpecialTokens = TRIVIUM,
    layout: LayoutName = "plain",
    *,
    memory: int = MEMORY,
    lowercase: bool = False,
    min_frequency: int = 1,
) -> Tokenizer:
    """A tokenizer of exactly ``vocab_size`` tokens: the most frequent words, ties to the first seen.

    Texts are composed (NFC) first, and put in lower case on demand; words seen less than ``min_frequency`` times are
    never taken.
    """
    controls = specials.strings()
    unknown = unknown_of(specials, "words")
    check_at_least("min_frequency", min_frequency, 1)
    if vocab_size <= len(controls):
        raise SettingsError(
            f"vocabulary size {vocab_size} is too small: {len(controls)} special tokens and a word need "
            f"{len(controls) + 1}"
        )
    normalizer = normalizers.Sequence([normalizers.NFC(), *([normalizers.Lowercase()] if lowercase else [])])
    pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), "removed", invert=True)
    check_controls(specials, pre_tokenizer)
    found = count_pretokens(documents, normalizer, pre_tokenizer, memory=memory, least=min_frequency)
    counts = learnable(found, controls, None)
    often = f" that occur {min_frequency} times" if min_frequency > 1 else ""
    check_supported(
        vocab_size, len(controls) + len(counts), f"{len(counts)} words{often} and {len(controls)} special tokens"
    )
    # A stable sort: of equally frequent words those seen first.
    order = (-counts.counts).argsort(kind="stable")[: vocab_size - len(controls)]
    vocabulary = numbered(specials, (counts.words[number] for number in order.tolist()))
    whole = tokenizers.Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    whole.normalizer = normalizer
    whole.pre_tokenizer = pre_tokenizer
    return assembled(whole, specials, layout)


@dataclass(frozen=True)
class UnknownRate:
    """Of how many tokens how many are unknown."""

    tokens: int
    unknown: int

    @property
    def rate(self) -> float:
        return self.unknown / self.tokens if self.tokens else 0.0


def unknown_rate(tokenizer: Tokenizer, documents: Iterable[str]) -> UnknownRate:
    """How much of a text a tokenizer does not know; of bytes it knows everything."""
    tokens = unknown = 0
    for batch in _batches(documents):
        for ids in tokenizer.encode_batch(batch):
            tokens += len(ids)
            unknown += ids.count(tokenizer.unknown) if tokenizer.unknown is not None else 0
    return UnknownRate(tokens, unknown)


def _batches(documents: Iterable[str], characters: int = 1 << 20) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document)
        if size >= characters:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
