"""Words as rows of character ids: the bytes of their UTF-8, framed, padded to one length (Peters et al. 2018; bilm-tf).

| id | means |
|---|---|
| 0 | no word: a row of zeros is a place without a token, or one that nobody spelt |
| 1 to 256 | byte + 1 |
| 257, 258 | the one character of the begin-of-sentence and end-of-sentence words |
| 259, 260 | begin and end of a word |
| 261 | padding after the word |

Every word has a spelling, so none is unknown. A longer word keeps its first ``length - 2`` bytes. The reference counts
from 0 in training (261 ids) and adds 1 in use (262 ids, 0 being masked); here there is one numbering, the latter.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from trivium.tokenizers import Tokenizer

CHARACTERS = 262
LENGTH = 50

BEGIN_SENTENCE, END_SENTENCE, BEGIN_WORD, END_WORD, PADDING = 257, 258, 259, 260, 261


def spell(words: Sequence[str], length: int = LENGTH) -> np.ndarray:
    """(N, length) int16 character ids of words, without a loop over characters."""
    spelt = [word.encode("utf-8", "surrogatepass")[: length - 2] for word in words]
    return _framed([np.frombuffer(word, np.uint8).astype(np.int16) + 1 for word in spelt], length)


def spell_vocabulary(tokenizer: Tokenizer, length: int = LENGTH) -> np.ndarray:
    """(V, length) int16: the spelling of every word of a vocabulary.

    A token that begins or ends a text is one character of its own, whatever its string; padding is a row of zeros.
    Other control tokens (``<unk>``) are spelt like words.
    """
    table = spell([tokenizer.piece(number) for number in range(tokenizer.vocab_size)], length)
    for number, character in boundaries(tokenizer).items():
        table[number] = _framed([np.array([character], np.int16)], length)[0]
    if tokenizer.pad is not None:
        table[tokenizer.pad] = 0
    return table


def boundaries(tokenizer: Tokenizer) -> Mapping[int, int]:
    """Which ids stand at the bounds of texts, and the character that each is."""
    ends = dict.fromkeys((tokenizer.end, tokenizer.separator), END_SENTENCE)
    begins = dict.fromkeys((tokenizer.begin, tokenizer.classify), BEGIN_SENTENCE)
    return {number: character for number, character in {**ends, **begins}.items() if number is not None}


def _framed(spelt: Sequence[np.ndarray], length: int) -> np.ndarray:
    """(N, length) int16 from arrays of at most ``length - 2`` character ids."""
    sizes = np.array([len(word) for word in spelt], np.int64)
    table = np.full((len(spelt), length), PADDING, np.int16)
    table[:, 0] = BEGIN_WORD
    places = np.arange(length)
    inside = (places >= 1) & (places <= sizes[:, None])
    if len(spelt):
        table[inside] = np.concatenate(spelt)
    table[np.arange(len(spelt)), sizes + 1] = END_WORD
    return table
