"""Byte-pair encoding of SentencePiece's units (Kudo & Richardson 2018): merges of characters, never across spaces,
scripts or digits, with the control tokens and bytes of ``unigram``.

SentencePiece keeps no list of merges: a piece's score is minus the number of the merge that made it, and encoding
joins whichever neighbours make the best piece. Differs from it in ties (the pair that occurs first; there, the shorter
piece) and in that pieces have no greatest length.
"""

from collections.abc import Iterable

from trivium.tokenizers.charsmap import nmt_nfkc
from trivium.tokenizers.counting import MEMORY, Counts
from trivium.tokenizers.layouts import LayoutName
from trivium.tokenizers.merging import (
    check_memory,
    check_supported,
    letters,
    merges_by_frequency,
    strings_of,
    symbols_of,
)
from trivium.tokenizers.sentencepiece import Piece
from trivium.tokenizers.sentencepiece_training import check_coverage, check_size, finished, first_pieces
from trivium.tokenizers.specials import TRIVIUM, SpecialTokens
from trivium.tokenizers.tokenizer import Tokenizer
from trivium.tokenizers.units import count_units


def train_sentencepiece_bpe(
    documents: Iterable[str],
    vocab_size: int,
    specials: SpecialTokens = TRIVIUM,
    layout: LayoutName = "plain",
    *,
    memory: int = MEMORY,
    min_frequency: int = 2,
    coverage: float = 0.9995,
    byte_fallback: bool = True,
    split_digits: bool = False,
) -> Tokenizer:
    """A byte-pair tokenizer of exactly ``vocab_size`` tokens: control tokens, bytes, alphabet, merges in order.

    A pair seen less than ``min_frequency`` times is not merged; the rest is as in ``train_unigram``.
    """
    first = first_pieces(specials, byte_fallback)
    units = count_units(documents, nmt_nfkc(), check_coverage(coverage), split_digits, memory)
    wanted = check_size(vocab_size, first, len(units.alphabet)) - len(units.alphabet)
    check_memory(Counts(units.units, units.counts), memory)
    codes, ends = letters(units.units)
    symbols = symbols_of(codes, ends, units.counts)
    merges = merges_by_frequency(symbols, wanted, least=min_frequency, memory=memory)
    check_supported(vocab_size, len(first) + len(units.alphabet) + len(merges), "the words of this text")
    texts = strings_of([chr(code) for code in symbols.codes.tolist()], merges)[len(symbols.codes) :]
    alphabet = [Piece(text, -float(len(merges) + number)) for number, text in enumerate(units.alphabet)]
    learnt = [Piece(text, -float(number)) for number, text in enumerate(texts)]
    return finished((*first, *alphabet, *learnt), "bpe", specials, layout, byte_fallback)
