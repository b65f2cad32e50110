"""Where sentences end in rows of token ids, read from the spelling of the vocabulary's pieces.

The shards hold tokens and no lines. BART's code splits at full stops in the same way (fairseq, denoising_dataset.py).
A piece ends a sentence if it ends in ``.``, ``!`` or ``?``, also before closing quotes and brackets, or in a
line break.
"""

from functools import lru_cache

import numpy as np

from trivium.tokenizers import Tokenizer

_MARKS = (".", "!", "?", "…", "。", "！", "？")
_CLOSING = "\"'”’»)]"
_BREAKS = ("\n", "Ċ")  # Ċ: a line break in byte-level spelling


@lru_cache(maxsize=8)
def sentence_ends(tokenizer: Tokenizer) -> np.ndarray:
    """(V,) bool: the pieces that end a sentence; control tokens do not."""
    numbers = range(tokenizer.vocab_size)
    pieces = [(tokenizer.piece(i), tokenizer.decode([i])) for i in numbers]  # byte-level spelling hides 。 and …
    ends = [any(text.rstrip(_CLOSING).endswith(_MARKS) or text.endswith(_BREAKS) for text in both) for both in pieces]
    return np.array(ends) & ~np.isin(np.arange(len(pieces)), sorted(tokenizer.controls))
