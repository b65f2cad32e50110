"""Counts of the words that a normaliser and a pre-tokeniser make of a text: what pieces are learnt from.

A text of a hundred million words has some hundred thousand different stretches between spaces, so those are counted
first and only the different ones go through the Rust library. Exact for every normaliser and pre-tokeniser that treats
a stretch the same wherever it stands and never joins two: BERT's, and those of this package.
"""

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np
from tokenizers.normalizers import Normalizer
from tokenizers.pre_tokenizers import PreTokenizer

from tokenizers import NormalizedString, PreTokenizedString
from trivium.errors import DataError
from trivium.tokenizers.counting import MEMORY, PART, Counts, WordTable, check_text, parts
from trivium.tokenizers.validation import guarded

BATCH = 1 << 16  # characters that go through the library at once
_ALIGNED = 200  # bytes that the library takes for a character while it works, and its answer for a word


def count_pretokens(
    documents: Iterable[str],
    normalizer: Normalizer | None,
    pre_tokenizer: PreTokenizer,
    *,
    memory: int = MEMORY,
    least: int = 1,
) -> Counts:
    """The words of the documents in the order of first appearance; a DataError where there is none."""
    stretches: Counter[str] = Counter()
    size, room = 0, memory // 8
    batch = max(1024, min(BATCH, room // _ALIGNED))
    with guarded("this text cannot be learnt from"), WordTable(memory - room) as table:
        for part in parts(documents, min(PART, max(1024, memory // 256))):
            before = len(stretches)
            stretches.update(_stretches(part))
            new = len(stretches) - before
            size += sum(map(sys.getsizeof, islice(reversed(stretches), new)))
            if size + 3 * sys.getsizeof(stretches) + 40 * len(stretches) > room:
                _empty(stretches, normalizer, pre_tokenizer, table, batch)
                size = 0
        _empty(stretches, normalizer, pre_tokenizer, table, batch)
        counts = table.result(least=least)
    if not len(counts):
        raise DataError("there is no text to learn a tokenizer from: every file is empty or has no word in it")
    return counts


def _stretches(text: str) -> list[str]:
    """Between spaces, tabs and line ends; other white space is left to the normaliser, whose ideas of it differ."""
    return text.replace("\n", " ").replace("\t", " ").replace("\r", " ").split(" ")


def _empty(
    stretches: Counter[str],
    normalizer: Normalizer | None,
    pre_tokenizer: PreTokenizer,
    table: WordTable,
    batch: int,
) -> None:
    stretches.pop("", None)
    check_text(stretches)
    normalise = None if normalizer is None else _normaliser(normalizer)
    for texts, counts in _batches(stretches, batch):
        joined = PreTokenizedString(" ".join(texts))
        if normalise is not None:
            joined.normalize(normalise)
        pre_tokenizer.pre_tokenize(joined)
        starts = np.cumsum([0] + [len(text) + 1 for text in texts[:-1]])
        words, places = [], []
        for word, (place, _), _ in joined.get_splits("original", "char"):
            if word and not word.isspace():
                words.append(word)
                places.append(place)
        owners = np.searchsorted(starts, places, side="right") - 1
        table.add_counts(words, np.asarray(counts, dtype=np.int64)[owners].tolist())
    stretches.clear()


def _normaliser(normalizer: Normalizer) -> Callable[[NormalizedString], None]:
    def normalise(text: NormalizedString) -> None:
        normalizer.normalize(text)

    return normalise


def _batches(stretches: Counter[str], size: int) -> Iterator[tuple[list[str], list[int]]]:
    texts: list[str] = []
    counts: list[int] = []
    length = 0
    for text, count in stretches.items():
        texts.append(text)
        counts.append(count)
        length += len(text) + 1
        if length >= size:
            yield texts, counts
            texts, counts, length = [], [], 0
    if texts:
        yield texts, counts
