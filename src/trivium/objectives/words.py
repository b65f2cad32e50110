"""Where words begin in rows of token ids, for whole-word masking, read from the spelling of the vocabulary's pieces.

A piece opens a word if it carries its tokenizer's mark of a preceding space (``Ġ`` byte-level, ``▁`` SentencePiece), if
it lacks WordPiece's ``##`` in a vocabulary that has it, if it is no letter or digit, or if what comes before it is
none; a bare mark of a space belongs to what follows it.
"""

from functools import lru_cache

import numpy as np

from trivium.tokenizers import Tokenizer

_SPACES = ("Ġ", "Ċ", "ĉ", "č", "▁")  # space, newline, tab and return in byte-level spelling; SentencePiece's space


@lru_cache(maxsize=8)
def _spelling(tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(V,) bool each: pieces that open a word by themselves; that end in a letter or digit; that are a bare space."""
    pieces = [tokenizer.piece(i) for i in range(tokenizer.vocab_size)]
    byte_level = any(piece.startswith("Ġ") for piece in pieces)  # there, characters beyond ASCII are parts of letters

    def lettered(character: str) -> bool:
        return character.isalnum() or (byte_level and not character.isascii())

    if any(piece.startswith("##") for piece in pieces):
        opens = [not piece.startswith("##") for piece in pieces]
    else:
        opens = [piece.startswith(_SPACES) or not lettered(piece[:1]) for piece in pieces]
    return np.array(opens), np.array([lettered(piece[-1:]) for piece in pieces]), np.isin(pieces, ("Ġ", "▁"))


def word_numbers(tokens: np.ndarray, special: np.ndarray, tokenizer: Tokenizer) -> np.ndarray:
    """(B, T) ids to (B, T) word numbers, from 0 upwards in each row; every special token is a word of its own."""
    opens, lettered, bare = _spelling(tokenizer)
    starts = opens[tokens]
    starts[:, 1:] = (starts[:, 1:] | ~lettered[tokens[:, :-1]]) & ~bare[tokens[:, :-1]]
    starts |= special
    starts[:, 1:] |= special[:, :-1]
    starts[:, 0] = True
    return np.cumsum(starts, axis=1) - 1
