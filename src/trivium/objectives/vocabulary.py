"""Which entries of a vocabulary are text: what a random token may be."""

from functools import lru_cache

import numpy as np

from trivium.tokenizers import Tokenizer


@lru_cache(maxsize=8)
def text_tokens(tokenizer: Tokenizer) -> np.ndarray:
    """(V',) int64: all ids but those of control tokens, rising."""
    return np.setdiff1d(np.arange(tokenizer.vocab_size), sorted(tokenizer.controls))
