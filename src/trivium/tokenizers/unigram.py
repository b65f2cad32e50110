"""Unigram language model pieces (Kudo 2018, section 3.2; code google/sentencepiece ``unigram_model_trainer.cc``).

The probability of a segmentation is the product of its pieces'. Training starts from all characters and the most
frequent substrings (``seeds.py``), improves the probabilities by EM over all segmentations, and drops the pieces whose
loss costs the likelihood least, round by round (``expectation.py``). As SentencePiece: two EM steps a round, digamma in
the M step (a sparse prior) and a quarter dropped a round. ``prune=0.1`` to ``0.2`` drops the lecture's 10 to 20 per
cent, ``sparse=False`` is plain EM.

Differs from SentencePiece: units (``units.py``) in place of words, which gives the same sums for less work; single
characters are kept throughout and not put back at the end; scores are multiples of 1/1024, so that sums of them are
exact in 32 bits and two programs never part over rounding.
"""

from collections.abc import Iterable

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.tokenizers.accents import stripped, stripping
from trivium.tokenizers.charsmap import nmt_nfkc
from trivium.tokenizers.counting import MEMORY
from trivium.tokenizers.expectation import fit
from trivium.tokenizers.layouts import LayoutName
from trivium.tokenizers.seeds import SEEDS, check_memory, seeds
from trivium.tokenizers.sentencepiece import Piece
from trivium.tokenizers.sentencepiece_training import check_coverage, check_size, finished, first_pieces
from trivium.tokenizers.specials import TRIVIUM, SpecialTokens
from trivium.tokenizers.tokenizer import Tokenizer
from trivium.tokenizers.units import count_units

_GRID = 1024.0


def train_unigram(
    documents: Iterable[str],
    vocab_size: int,
    specials: SpecialTokens = TRIVIUM,
    layout: LayoutName = "plain",
    *,
    memory: int = MEMORY,
    prune: float = 0.25,
    sparse: bool = True,
    coverage: float = 0.9995,
    byte_fallback: bool = True,
    split_digits: bool = False,
    strip_accents: bool = False,
    seed_pieces: int = SEEDS,
    threads: int = 2,
) -> Tokenizer:
    """A Unigram tokenizer of exactly ``vocab_size`` tokens that follows SentencePiece's conventions.

    ``prune``: share of the pieces dropped a round. ``sparse``: digamma in the M step. ``coverage``: share of the
    characters' occurrences in the alphabet; others become bytes, or the unknown token without ``byte_fallback``.
    ``split_digits``: each digit is a piece of its own. ``strip_accents``: as XLNet, no piece has an accent. The result
    does not depend on ``threads``.
    """
    if not 0 < prune < 1:
        raise SettingsError(f"prune={prune} is no share of the pieces: between 0 and 1, usually 0.1 to 0.25")
    for name, value in (("seed_pieces", seed_pieces), ("threads", threads)):
        if value < 1:
            raise SettingsError(f"{name} is {value}: it is at least 1")
    first = first_pieces(specials, byte_fallback)
    documents = stripped(documents) if strip_accents else documents
    units = count_units(documents, nmt_nfkc(), check_coverage(coverage), split_digits, memory)
    size = check_size(vocab_size, first, len(units.alphabet))
    check_memory(units, memory)
    lattices = seeds(units, seed_pieces)
    if len(lattices.texts) < size:
        supported = len(lattices.texts) + len(first)
        raise DataError(
            f"a vocabulary of {vocab_size} was asked for, but the text supports only {supported} tokens: ask for "
            f"{supported} or less, or give more text"
        )
    fit(lattices, size, prune, sparse, threads=threads)
    order = np.argsort(-lattices.scores, kind="stable")
    characters = order < lattices.characters
    spare = size - lattices.characters
    order = order[characters | (np.cumsum(~characters) <= spare)]
    grid = np.round(lattices.scores * _GRID) / _GRID
    learnt = [Piece(lattices.texts[number], float(grid[number])) for number in order]
    made = finished((*first, *learnt), "unigram", specials, layout, byte_fallback)
    return stripping(made) if strip_accents else made
