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

from trivium.tokenizers import Encoding, Tokenizer

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


def unknown_words(tokenizer: Tokenizer, text: str, encoding: Encoding) -> dict[int, str]:
    """The words of a text that its tokenizer does not know, by their places among the tokens."""
    if tokenizer.unknown is None or tokenizer.unknown not in encoding.ids:
        return {}
    normalizer = tokenizer.plain.normalizer
    found = {}
    for place, (number, (start, end)) in enumerate(zip(encoding.ids, encoding.offsets, strict=True)):
        if number == tokenizer.unknown and end > start:
            word = text[start:end]
            found[place] = normalizer.normalize_str(word) if normalizer is not None else word
    return found


def place_spellings(words: Sequence[Mapping[int, str]], width: int, length: int) -> np.ndarray | None:
    """(B, width, length) int16: how each row's ``words`` are spelt, at their places, zeros elsewhere; None for none."""
    if not any(words):
        return None
    table = np.zeros((len(words), width, length), np.int16)
    rows = [row for row, found in enumerate(words) for _ in found]
    table[rows, [place for found in words for place in found]] = spell(
        [word for found in words for word in found.values()], length
    )
    return table


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
