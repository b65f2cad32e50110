"""Byte-pair encoding of words (Sennrich, Haddow and Birch 2016, section 3.2): the original, with ends of words.

A word is its characters and ``</w>``; the most frequent pair of neighbours is merged everywhere, again and again, never
across words. Vocabulary = control tokens + symbols of the alphabet + merges. Two things were done differently where the
method was published, so both are settings:

``end``: "symbol", the end is a symbol of its own from the start (the paper); "glued", it is a part of the last
character's symbol (subword-nmt since version 0.2). ``ties``, among the most frequent pairs: "first", the one that is
met first in the text (the paper's dictionary); "largest", the last by code points (subword-nmt); "smallest-ids" (the
``tokenizers`` library).

Encoding applies the merges in the order they were learnt, in the ``tokenizers`` library. That glues the end; where it
is a symbol of its own it is spelt by one character, which the normaliser puts behind every word. Decoding writes a
space behind every word, so a text comes back up to its spacing, if it is cut at "whitespace" alone (the paper took text
whose punctuation was set off already); an unseen character is the unknown token.
"""

from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
from tokenizers.normalizers import Normalizer
from tokenizers.pre_tokenizers import PreTokenizer

import tokenizers
from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers
from trivium.errors import SettingsError
from trivium.tokenizers.assembly import assembled, check_at_least, check_controls, numbered, unknown_of
from trivium.tokenizers.counting import MEMORY, Counts
from trivium.tokenizers.layouts import LayoutName
from trivium.tokenizers.merging import (
    LETTER,
    Symbols,
    Ties,
    check_memory,
    check_size,
    check_supported,
    learnable,
    letters,
    merges_by_frequency,
    strings_of,
    symbols_of,
)
from trivium.tokenizers.pretokens import count_pretokens
from trivium.tokenizers.specials import TRIVIUM, SpecialTokens
from trivium.tokenizers.tokenizer import Tokenizer

End = Literal["glued", "symbol"]
Split = Literal["punctuation", "whitespace"]
SUFFIX = "</w>"
MARK = "\u2404"  # spells the end of a word where it is a symbol of its own
_FINAL = LETTER + 1
_SIGN = r"[\p{P}\p{S}]"
_ENDS = {
    "whitespace": r"(?<=\S)(?=\s|\z)",
    "punctuation": rf"(?<={_SIGN})|(?<=[^\s\p{{P}}\p{{S}}])(?=\s|{_SIGN}|\z)",
}


def train_bpe_words(
    documents: Iterable[str],
    vocab_size: int,
    specials: SpecialTokens = TRIVIUM,
    layout: LayoutName = "plain",
    *,
    memory: int = MEMORY,
    end: End = "glued",
    ties: Ties = "largest",
    min_frequency: int = 2,
    split: Split = "punctuation",
    lowercase: bool = False,
    alphabet: int | None = None,
) -> Tokenizer:
    """A tokenizer of exactly ``vocab_size`` tokens; a pair seen less than ``min_frequency`` times is not merged.

    ``split``: words end at white space, and around every "punctuation" mark and symbol or not. ``alphabet``: at most so
    many characters, the most frequent ones; words with others are not learnt from.
    """
    _check("end", end, get_args(End))
    _check("ties", ties, get_args(Ties))
    _check("split", split, get_args(Split))
    unknown = unknown_of(specials, "bpe-words")
    check_at_least("min_frequency", min_frequency, 1)
    check_at_least("alphabet", alphabet, 1)
    normalizer, pre_tokenizer = _rules(end, split, lowercase)
    if split == "punctuation":
        check_controls(specials, _rules("glued", split, False)[1])
    found = count_pretokens(documents, normalizer, pre_tokenizer, memory=memory)
    controls = len(specials.strings())
    marks = 1 if end == "symbol" else 0
    counts = learnable(found, (*specials.strings(), SUFFIX), None if alphabet is None else alphabet + marks)
    check_memory(counts, memory)
    symbols, spelt = word_symbols(counts, end)
    del found, counts
    wanted = check_size(vocab_size, controls, len(spelt), "symbols (characters, inside and at the end of words)")
    merges = learn_merges(symbols, wanted, end, ties, min_frequency, memory)
    pieces = strings_of(spelt, merges)
    check_supported(
        vocab_size,
        controls + len(pieces),
        f"{len(spelt)} symbols, {len(merges)} merges of pairs seen {min_frequency} times or more and {controls} "
        "special tokens",
    )
    model = models.BPE(
        vocab=numbered(specials, pieces),
        merges=[(pieces[left], pieces[right]) for left, right in merges.tolist()],
        unk_token=unknown,
    )
    if end == "glued":
        model.end_of_word_suffix = SUFFIX
    whole = tokenizers.Tokenizer(model)
    whole.normalizer = normalizer
    whole.pre_tokenizer = pre_tokenizer
    whole.decoder = decoders.BPEDecoder(SUFFIX if end == "glued" else MARK)
    return assembled(whole, specials, layout)


def word_symbols(counts: Counts, end: End) -> tuple[Symbols, list[str]]:
    """Words as characters, and how the symbols are spelt. Glued, a word's last character is distinct from the others;
    where the end is a symbol, words bring it with them, as the normaliser writes it."""
    codes, ends = letters(counts.words)
    if end == "glued":
        codes[ends - 1] += _FINAL
    symbols = symbols_of(codes, ends, counts.counts)
    spelt = [chr(code & LETTER) + SUFFIX * (code > LETTER) for code in symbols.codes.tolist()]
    return symbols, spelt


def learn_merges(
    symbols: Symbols, wanted: int, end: End, ties: Ties, min_frequency: int = 2, memory: int = MEMORY
) -> np.ndarray:
    """(merges, 2) ids of the pairs to merge, in order."""
    marks = symbols.codes == ord(MARK) if end == "symbol" else np.zeros(len(symbols.codes), np.bool_)
    return merges_by_frequency(
        symbols,
        wanted,
        ties,
        min_frequency,
        lengths=np.where(marks, 0, 1),
        ended=marks | (symbols.codes > LETTER),
        suffix=SUFFIX,
        memory=memory,
    )


def _rules(end: End, split: Split, lowercase: bool) -> tuple[Normalizer | None, PreTokenizer]:
    """What makes words of a text, with their ends spelt out where those are symbols."""
    steps: list[Normalizer] = [normalizers.Lowercase()] if lowercase else []
    if end == "symbol":
        steps += [normalizers.Replace(MARK, "\ufffd"), normalizers.Replace(Regex(_ENDS[split]), MARK)]
        cut = pre_tokenizers.Split(MARK, "merged_with_previous")
    else:
        cut = pre_tokenizers.Split(Regex(_SIGN), "isolated")
    parts = [pre_tokenizers.Split(Regex(r"\s+"), "removed")]
    if end == "symbol" or split == "punctuation":
        parts.append(cut)
    return normalizers.Sequence(steps) if steps else None, pre_tokenizers.Sequence(parts)


def _check(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise SettingsError(f"{name} is {value!r}: choose one of {', '.join(known)}")
