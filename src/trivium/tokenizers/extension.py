"""More tokens for a tokenizer that a model knows already: control tokens that it lacks, and pieces of a new text.

New pieces are what byte-pair encoding finds when it goes on from the old tokenizer's pieces of the text's words
(``further_merging.py``). They become part of the algorithm itself, not of the list of added tokens, which cuts a text
wherever it meets one, in the middle of words too:

BPE        merges after all old ones: a word is merged as before, and then further
WordPiece  entries of the vocabulary, which the longest match finds
Unigram    pieces with the logarithm of their share of the text as score, or a little more than their parts' scores
words      the most frequent words that were unknown

Every old id stays what it was.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from trivium.errors import DataError
from trivium.tokenizers.counting import MEMORY, check_text, count_words
from trivium.tokenizers.further_merging import FurtherMerging, NewPiece, Word
from trivium.tokenizers.layouts import LayoutName
from trivium.tokenizers.sentencepiece import SPACE
from trivium.tokenizers.specials import BRACKETS, TRIVIUM, SpecialTokens
from trivium.tokenizers.tokenizer import Tokenizer
from trivium.tokenizers.validation import guarded

NEEDED: dict[LayoutName, tuple[str, ...]] = {
    "classify": ("classify", "separator", "end", "mask"),
    "end": ("end", "pad"),
    "plain": ("end",),
}
"""The roles without which a kind of model cannot be trained, by the layout that it reads; an encoder-decoder also
needs sentinels."""

STAND_INS = {"end": "separator", "begin": "classify", "separator": "end", "classify": "begin"}
"""A role -> the role whose token plays it as well, as in BERT and RoBERTa."""

START, DELIMITER, EXTRACT = "_start_", "_delimiter_", "_classify_"
"""As the code of GPT-1's paper calls them; the paper has <s>, $ and <e>."""

_WORD = re.compile(r" ?\S+")
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_BATCH = 10_000  # words encoded at once


@dataclass(frozen=True)
class Extension:
    """A tokenizer with new tokens: of each id from ``first`` on, the old ids that it stands for; of a control token
    none."""

    tokenizer: Tokenizer
    first: int
    parts: Sequence[Word]


def with_roles(tokenizer: Tokenizer, layout: LayoutName) -> Extension:
    """The tokenizer with all that a kind of model needs; the same one where nothing is missing."""
    specials = _filled(tokenizer.specials, layout)
    if specials == tokenizer.specials:
        return Extension(tokenizer, tokenizer.vocab_size, ())
    added = _with_strings(tokenizer, specials)
    around = tokenizer.layout()
    if around.before or around.after:
        return added
    return replace(added, tokenizer=added.tokenizer.with_layout(layout))


def with_extract(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer with the three tokens of GPT-1's fine-tuning, new ones at the end, and with the layout of them."""
    specials = replace(tokenizer.specials, begin=START, separator=DELIMITER, classify=EXTRACT)
    if specials != tokenizer.specials:
        tokenizer = _with_strings(tokenizer, specials).tokenizer
    return tokenizer.with_layout("extract")


def _with_strings(tokenizer: Tokenizer, specials: SpecialTokens) -> Extension:
    """Every string of ``specials`` as a control token, new ones at the end."""
    first = tokenizer.vocab_size
    new = [string for string in specials.strings() if tokenizer.whole.token_to_id(string) is None]
    document = json.loads(tokenizer.whole.to_str())
    _own_added_tokens(document, first)
    for place, string in enumerate(new, first):
        _append(document["model"], string, place)
    known = {token["content"]: token for token in document["added_tokens"]}
    swallowing = {specials.mask, *specials.sentinels}  # they stand for words, with the space before them
    for string in specials.strings():
        if string in known:
            known[string]["special"] = True
            continue
        number = first + new.index(string) if string in new else int(tokenizer.whole.token_to_id(string) or 0)
        flags = {"single_word": False, "lstrip": string in swallowing, "rstrip": False, "normalized": False}
        document["added_tokens"].append({"id": number, "content": string, **flags, "special": True})
    document["added_tokens"].sort(key=lambda token: token["id"])
    made = Tokenizer(document, specials)
    return Extension(made, first, [()] * len(new))


def _filled(specials: SpecialTokens, layout: LayoutName) -> SpecialTokens:
    """Every role that is needed, by a token that is there where one will do, else by a new one."""
    new = BRACKETS if any(string.startswith("[") for string in specials.strings()) else TRIVIUM
    for role in NEEDED[layout]:
        if getattr(specials, role) is None:
            stand_in = getattr(specials, STAND_INS[role]) if role in STAND_INS else None
            specials = replace(specials, **{role: stand_in or getattr(new, role)})
    if layout == "end" and len(specials.sentinels) < 2:
        specials = replace(specials, sentinels=TRIVIUM.sentinels)
    return specials


def extended(
    tokenizer: Tokenizer, documents: Iterable[str], count: int, least: int = 2, *, memory: int = MEMORY
) -> Extension:
    """The tokenizer with ``count`` more tokens from the words of the documents, each seen ``least`` times or more."""
    first = tokenizer.vocab_size
    document = json.loads(tokenizer.whole.to_str())
    model = document["model"]
    if model["type"] == "WordLevel":
        learnt = _unknown_words(tokenizer, documents, count, least, memory)
    else:
        scores = {n: score for n, (_, score) in enumerate(model["vocab"])} if model["type"] == "Unigram" else None
        spelt = {number: piece for piece, number in tokenizer.whole.get_vocab().items()}
        words = _pieces_of_words(tokenizer, documents, memory)
        continuing = model.get("continuing_subword_prefix") or ""
        learnt = FurtherMerging(words, spelt, first, continuing, scores).learn(count, least)
    if len(learnt) < count:
        raise DataError(
            f"{count} new tokens were asked for, but the text supports only {len(learnt)} that are seen {least} times: "
            f"set from.extend_vocabulary={len(learnt)} or less, or a lower from.min_frequency, or give more text"
        )
    _own_added_tokens(document, first)
    for number, piece in enumerate(learnt, first):
        _append(model, piece.text, number, piece.score)
    if model["type"] == "BPE":
        model["merges"] += [list(piece.merge) for piece in learnt if piece.merge is not None]
    return Extension(Tokenizer(document, tokenizer.specials), first, [piece.parts for piece in learnt])


def _own_added_tokens(document: dict[str, Any], size: int) -> None:
    """Added tokens become entries of the model's own vocabulary as well: the library gives new numbers to those that
    are none when that vocabulary grows."""
    model = document["model"]
    present = set(model["vocab"]) if isinstance(model["vocab"], dict) else {piece for piece, _ in model["vocab"]}
    for token in sorted(document["added_tokens"], key=lambda token: token["id"]):
        if token["content"] not in present:
            _append(model, token["content"], token["id"])
    if isinstance(model["vocab"], list) and len(model["vocab"]) != size:
        raise DataError(
            f"this tokenizer's vocabulary cannot grow: {size - len(model['vocab'])} of its {size} ids belong to no "
            "piece; leave out from.extend_vocabulary"
        )


def _append(model: dict[str, Any], text: str, number: int, score: float = 0.0) -> None:
    if isinstance(model["vocab"], dict):
        model["vocab"][text] = number
    elif len(model["vocab"]) == number:
        model["vocab"].append([text, score])


def _words(tokenizer: Tokenizer, documents: Iterable[str], memory: int) -> Iterator[tuple[list[str], list[int]]]:
    """The distinct words of the text in batches, and how often each occurs. The space before a word is a part of it
    where it changes how the word is cut."""
    inside, alone = tokenizer.encode("a b").ids, tokenizer.encode("b").ids
    spaced = inside[-len(alone) :] != alone
    counts = count_words(documents, memory=memory, split=_WORD.findall)
    check_text(counts.words)
    found = Counter[str]()
    for word, number in zip(counts.words, counts.counts.tolist(), strict=True):
        found[word if spaced else word.strip()] += number
    words = list(found)
    for start in range(0, len(words), _BATCH):
        batch = words[start : start + _BATCH]
        yield batch, [found[word] for word in batch]


def _pieces_of_words(tokenizer: Tokenizer, documents: Iterable[str], memory: int) -> Counter[Word]:
    """How often each sequence of old ids occurs within which pieces may be merged: words end where the tokenizer's own
    words do, and at the unknown token and single bytes of a fallback."""
    bounds = {number for piece, number in tokenizer.whole.get_vocab().items() if _BYTE.fullmatch(piece)}
    bounds |= {*tokenizer.controls, *([] if tokenizer.unknown is None else [tokenizer.unknown])}
    found = Counter[Word]()
    with guarded("this text cannot be learnt from"):
        for batch, counts in _words(tokenizer, documents, memory):
            encoded = tokenizer.plain.encode_batch(batch, add_special_tokens=False)
            for encoding, count in zip(encoded, counts, strict=True):
                for word in _cut(encoding, bounds):
                    found[word] += count
    return found


def _cut(encoding: Any, bounds: set[int]) -> Iterator[Word]:
    """Runs of two ids or more that lie in one word and are none of ``bounds``; SentencePiece's, whose words may hold
    both, never join letters to signs."""
    run: list[int] = []
    before, last = None, ""
    for number, word, piece in zip(encoding.ids, encoding.word_ids, encoding.tokens, strict=True):
        bare = piece.strip(SPACE)
        mixed = bool(last and bare) and (_is_sign(last[-1]) != _is_sign(bare[0])) and SPACE in encoding.tokens[0]
        if number in bounds or word != before or mixed:
            if len(run) > 1:
                yield tuple(run)
            run = []
        before, last = word, bare
        if number not in bounds:
            run.append(number)
    if len(run) > 1:
        yield tuple(run)


def _is_sign(character: str) -> bool:
    """Punctuation or another symbol."""
    return unicodedata.category(character)[0] in "PS"


def _unknown_words(
    tokenizer: Tokenizer, documents: Iterable[str], count: int, least: int, memory: int
) -> list[NewPiece]:
    """The most frequent words that are not in the vocabulary; each stands for the unknown token."""
    normalizer, splitter = tokenizer.plain.normalizer, tokenizer.plain.pre_tokenizer
    known, found = tokenizer.whole.get_vocab(), Counter[str]()
    with guarded("this text cannot be learnt from"):
        for batch, counts in _words(tokenizer, documents, memory):
            for text, number in zip(batch, counts, strict=True):
                text = text if normalizer is None else normalizer.normalize_str(text)
                for word, _ in splitter.pre_tokenize_str(text) if splitter is not None else [(text, None)]:
                    if word not in known:
                        found[word] += number
    parts = () if tokenizer.unknown is None else (tokenizer.unknown,)
    return [NewPiece(word, parts) for word, number in found.most_common(count) if number >= least]
