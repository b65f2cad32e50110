"""The algorithms that learn a vocabulary, each with its settings: a recipe's ``[tokenizer.algorithm]``, the command's
``--set``, and the keyword arguments of the function that ``ALGORITHMS`` names are one and the same.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Characters:
    """One token a character."""


@dataclass(frozen=True)
class Words:
    """One token a word, the others unknown."""

    lowercase: bool = False
    min_frequency: int = 1  # words seen less often are never taken


@dataclass(frozen=True)
class Bpe:
    """Byte-level byte-pair encoding (GPT-2)."""

    min_frequency: int = 2  # a pair seen less often is not merged


@dataclass(frozen=True)
class BpeWords:
    """Byte-pair encoding of words with their ends (Sennrich et al. 2016)."""

    end: Literal["glued", "symbol"] = "glued"  # a word's end is a part of its last character, or a symbol of its own
    ties: Literal["first", "largest", "smallest-ids"] = "largest"  # which of the most frequent pairs is merged
    min_frequency: int = 2
    split: Literal["punctuation", "whitespace"] = "punctuation"  # where words end
    lowercase: bool = False
    alphabet: int | None = None  # at most so many characters, the most frequent ones


@dataclass(frozen=True)
class WordPiece:
    """WordPiece learnt by its score, freq(ab) / (freq(a) freq(b))."""

    lowercase: bool = True  # BERT's uncased normaliser, which takes accents off too
    min_frequency: int = 1  # of a merged pair; 0: the highest number with which the vocabulary is still filled
    alphabet: int | None = None


@dataclass(frozen=True)
class WordPieceBpe:
    """WordPiece learnt by frequency, as the common trainers do it."""

    lowercase: bool = True
    min_frequency: int = 2
    alphabet: int | None = None


@dataclass(frozen=True)
class Unigram:
    """A Unigram language model by SentencePiece's conventions (Kudo 2018)."""

    prune: float = 0.25  # share of the pieces dropped in a round
    sparse: bool = True  # digamma in the M step, as SentencePiece has it; false: plain EM
    coverage: float = 0.9995  # share of the characters' occurrences that the alphabet holds
    byte_fallback: bool = True  # other characters become bytes; false: the unknown token
    split_digits: bool = False  # each digit is a piece of its own
    strip_accents: bool = False  # XLNet's: accents are taken off first, and quotes made straight
    seed_pieces: int = 1_000_000  # candidates to begin with
    threads: int = 2  # the result does not depend on them


@dataclass(frozen=True)
class SentencePieceBpe:
    """Byte-pair encoding by SentencePiece's conventions."""

    min_frequency: int = 2
    coverage: float = 0.9995
    byte_fallback: bool = True
    split_digits: bool = False


Options = Characters | Words | Bpe | BpeWords | WordPiece | WordPieceBpe | Unigram | SentencePieceBpe

# Algorithm -> its settings.
OPTIONS: dict[str, type[Options]] = {
    "characters": Characters,
    "words": Words,
    "bpe": Bpe,
    "bpe-words": BpeWords,
    "wordpiece": WordPiece,
    "wordpiece-bpe": WordPieceBpe,
    "unigram": Unigram,
    "sentencepiece-bpe": SentencePieceBpe,
}
