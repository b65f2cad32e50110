"""The algorithms that learn a vocabulary, each with its settings: a recipe's ``[tokenizer.algorithm]``, the command's
``--set``, and the keyword arguments of the function that ``ALGORITHMS`` names are one and the same.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bpe:
    """Byte-level byte-pair encoding (GPT-2)."""

    min_frequency: int = 2  # a pair seen less often is not merged


@dataclass(frozen=True)
class Unigram:
    """A Unigram language model by SentencePiece's conventions (Kudo 2018)."""

    prune: float = 0.25  # share of the pieces dropped in a round
    sparse: bool = True  # digamma in the M step, as SentencePiece has it; false: plain EM
    coverage: float = 0.9995  # share of the characters' occurrences that the alphabet holds
    byte_fallback: bool = True  # other characters become bytes; false: the unknown token
    split_digits: bool = False  # each digit is a piece of its own
    seed_pieces: int = 1_000_000  # candidates to begin with
    threads: int = 2  # the result does not depend on them


@dataclass(frozen=True)
class SentencePieceBpe:
    """Byte-pair encoding by SentencePiece's conventions."""

    min_frequency: int = 2
    coverage: float = 0.9995
    byte_fallback: bool = True
    split_digits: bool = False


# Algorithm -> its settings.
OPTIONS: dict[str, type] = {
    "bpe": Bpe,
    "unigram": Unigram,
    "sentencepiece-bpe": SentencePieceBpe,
}

Options = Bpe | Unigram | SentencePieceBpe
