"""WordPiece (Schuster and Nakajima 2012; the vocabulary of BERT, Devlin et al. 2018), learnt in two ways.

A word is its characters, all but the first marked by ``##``. ``wordpiece`` merges the pair whose parts belong together
most, by freq(ab) / (freq(a) freq(b)), which raises the likelihood of a unigram model of the text most for each
occurrence; ``wordpiece-bpe`` merges the most frequent pair, which is what the trainers in use do under this name.
Google's own was never published. Ties of scores, compared as products of integers, go to the pair seen first.

The score alone prefers what occurs once and only together: its first thousands of pieces are the rarest words, and
frequent ones stay in parts. So a pair must occur ``min_frequency`` times: 1 is the bare definition, 0 stands for the
highest number with which the pairs still fill the vocabulary. Ten megabytes of novels and 16,384 tokens took, on other
novels, 2.87 tokens a word with 1, 2.17 with 5, 1.38 with 0; merged by frequency 1.32.

Encoding takes the longest piece that matches, from the left; a word with a rest that no piece matches is the unknown
token, as a whole, and so is one of more than 100 characters, which is not learnt from either.
"""

from collections.abc import Callable, Iterable

import numpy as np

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers
from trivium.tokenizers.assembly import assembled, check_at_least, check_controls, numbered, unknown_of
from trivium.tokenizers.counting import MEMORY, Counts
from trivium.tokenizers.layouts import LayoutName
from trivium.tokenizers.merging import (
    LETTER,
    Symbols,
    check_memory,
    check_size,
    check_supported,
    learnable,
    letters,
    merges_by_frequency,
    merges_by_score,
    strings_of,
    symbols_of,
)
from trivium.tokenizers.pretokens import count_pretokens
from trivium.tokenizers.specials import BERT, SpecialTokens
from trivium.tokenizers.tokenizer import Tokenizer

PREFIX = "##"
LONGEST = 100  # characters of a word that is not unknown
_INSIDE = LETTER + 1

Rule = Callable[[Symbols, int], np.ndarray]


def train_wordpiece(
    documents: Iterable[str],
    vocab_size: int,
    specials: SpecialTokens = BERT,
    layout: LayoutName = "plain",
    *,
    memory: int = MEMORY,
    lowercase: bool = True,
    min_frequency: int = 1,
    alphabet: int | None = None,
) -> Tokenizer:
    """By score; ``min_frequency`` as said above. ``lowercase``: BERT's uncased normaliser, which takes accents off too.
    ``alphabet``: at most so many characters, the most frequent ones; words with others are unknown."""

    def rule(symbols: Symbols, wanted: int) -> np.ndarray:
        if min_frequency:
            return merges_by_score(symbols, wanted, min_frequency, memory=memory)
        guess = max(1, int(symbols.weights.sum()) // (8 * max(1, wanted)))
        return _highest(lambda least: merges_by_score(symbols, wanted, least, memory=memory), wanted, guess)

    return _trained(documents, vocab_size, specials, layout, memory, lowercase, alphabet, rule, min_frequency)


def train_wordpiece_bpe(
    documents: Iterable[str],
    vocab_size: int,
    specials: SpecialTokens = BERT,
    layout: LayoutName = "plain",
    *,
    memory: int = MEMORY,
    lowercase: bool = True,
    min_frequency: int = 2,
    alphabet: int | None = None,
) -> Tokenizer:
    """By frequency, ties to the lower ids (those of the characters without ``##`` come first, by code point).

    The ``tokenizers`` library's trainer differs in two points: its alphabet also holds the unmarked form of every
    character, whether or not a word begins with it, and it numbers marked characters in the order it meets them.
    """

    check_at_least("min_frequency", min_frequency, 1)

    def rule(symbols: Symbols, wanted: int) -> np.ndarray:
        return merges_by_frequency(symbols, wanted, "smallest-ids", min_frequency, memory=memory)

    return _trained(documents, vocab_size, specials, layout, memory, lowercase, alphabet, rule, min_frequency)


def _highest(learn: Callable[[int], np.ndarray], wanted: int, guess: int) -> np.ndarray:
    """The merges with the highest least frequency that gives as many as ``wanted``, found by doubling or halving a
    guess and then bisection; those of 1 where none does."""
    least, failing, found = guess, 0, learn(guess)
    while len(found) < wanted and least > 1:
        least, failing = least // 2, least
        found = learn(least)
    if len(found) < wanted or not wanted:
        return found
    while failing - least != 1:
        middle = (least + failing) // 2 if failing else 2 * least
        more = learn(middle)
        if len(more) == wanted:
            least, found = middle, more
        else:
            failing = middle
    return found


def wordpiece_symbols(counts: Counts) -> tuple[Symbols, list[str]]:
    """Words as characters, those inside a word distinct from those that begin one; and how the symbols are spelt."""
    codes, ends = letters(counts.words)
    codes += _INSIDE
    codes[0] -= _INSIDE
    codes[ends[:-1]] -= _INSIDE
    symbols = symbols_of(codes, ends, counts.counts)
    spelt = [PREFIX * (code > LETTER) + chr(code & LETTER) for code in symbols.codes.tolist()]
    return symbols, spelt


def _trained(
    documents: Iterable[str],
    vocab_size: int,
    specials: SpecialTokens,
    layout: LayoutName,
    memory: int,
    lowercase: bool,
    alphabet: int | None,
    rule: Rule,
    min_frequency: int,
) -> Tokenizer:
    unknown = unknown_of(specials, "wordpiece")
    check_at_least("min_frequency", min_frequency, 0)
    check_at_least("alphabet", alphabet, 1)
    normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    check_controls(specials, pre_tokenizer)
    found = count_pretokens(documents, normalizer, pre_tokenizer, memory=memory)
    short = [number for number, word in enumerate(found.words) if len(word) <= LONGEST]
    if len(short) < len(found):
        found = Counts([found.words[number] for number in short], found.counts[short])
    counts = learnable(found, specials.strings(), alphabet)
    check_memory(counts, memory)
    symbols, spelt = wordpiece_symbols(counts)
    del found, counts
    controls = len(specials.strings())
    merges = rule(symbols, check_size(vocab_size, controls, len(spelt), "characters (with and without ##)"))
    pieces = strings_of(spelt, merges, PREFIX)
    check_supported(
        vocab_size,
        controls + len(pieces),
        f"{len(spelt)} characters, {len(merges)} merges of pairs seen {max(1, min_frequency)} times or more and "
        f"{controls} special tokens",
    )
    vocabulary = numbered(specials, pieces)
    whole = tokenizers.Tokenizer(
        models.WordPiece(
            vocabulary, unk_token=unknown, continuing_subword_prefix=PREFIX, max_input_chars_per_word=LONGEST
        )
    )
    whole.normalizer = normalizer
    whole.pre_tokenizer = pre_tokenizer
    whole.decoder = decoders.WordPiece(PREFIX)
    return assembled(whole, specials, layout)
