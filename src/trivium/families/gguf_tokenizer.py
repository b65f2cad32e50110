"""The vocabulary in a GGUF file as our tokenizer: byte-level BPE with its way of cutting words, SentencePiece's BPE, or
BERT's WordPiece.

A GGUF file names the way in which text is cut before merging (``tokenizer.ggml.pre``) and leaves it to the reader to
know it; ``CUTS`` is what is known here, and a name that is not in it is refused, for a wrong cut gives wrong ids
without a word. Control tokens (type 3) are special, so that no text yields them; user-defined ones (4) are found in
text.
"""

from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from trivium.errors import DataError
from trivium.families.gguf_header import Header
from trivium.families.gguf_wordpiece import wordpiece_in
from trivium.tokenizers.sentencepiece import Kind, Piece, SentencePieces, check_pieces, tokenizer_document
from trivium.tokenizers.specials import SpecialTokens, sentinels_among
from trivium.tokenizers.tokenizer import Tokenizer
from trivium.tokenizers.validation import check, guarded

GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_LATER_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_WORDS = _LATER_WORDS.replace("DIGITS", r"\p{N}{1,3}")
QWEN2_WORDS = _LATER_WORDS.replace("DIGITS", r"\p{N}")


@dataclass(frozen=True)
class Cut:
    """Patterns one after the other, each cutting what the one before left; what is between matches is a word too."""

    patterns: tuple[str, ...]
    whole_words: bool = False  # a word that is in the vocabulary is taken whole, whatever the merges make of it
    begins: bool = False  # puts the begin token in front, where the file does not say
    composed: bool = False  # Unicode's composed form (NFC) first


CUTS: dict[str, Cut] = {
    "default": Cut((r"[\p{P}\$\+<=>\^~\|]+", GPT2_WORDS, r"\p{N}+", "[0-9][0-9][0-9]")),
    "gpt-2": Cut((GPT2_WORDS,)),
    "smollm": Cut((r"\p{N}", GPT2_WORDS)),
    "llama-bpe": Cut((LLAMA3_WORDS,), whole_words=True, begins=True),
    "qwen2": Cut((QWEN2_WORDS,), composed=True),
}
SAME_CUT = {
    "phi-2": "gpt-2",
    "starcoder": "smollm",
    "refact": "smollm",
    "command-r": "smollm",
    "llama3": "llama-bpe",
    "llama-v3": "llama-bpe",
    "deepseek-r1-qwen": "qwen2",
}

_KEY = "tokenizer.ggml."
_ROLES = {
    "begin": "bos_token_id",
    "end": "eos_token_id",
    "unknown": "unknown_token_id",
    "pad": "padding_token_id",
    "separator": "seperator_token_id",  # so spelt in the format
    "mask": "mask_token_id",
    "classify": "cls_token_id",
}


def gguf_tokenizer(header: Header) -> Tokenizer:
    """The file's own tokenizer."""
    model = header.metadata.get(f"{_KEY}model")
    if model == "gpt2":
        document = _byte_level(header)
    elif model == "llama":
        document = _sentencepiece(header)
    elif model == "bert":
        document = _wordpiece(header)
    elif model is None:
        _refuse(header, "it holds no vocabulary (no tokenizer.ggml.model)")
    else:
        _refuse(
            header,
            f"its kind is {str(model)[:40]!r}, known are 'gpt2' (byte-level BPE), 'llama' (SentencePiece) and 'bert' "
            "(WordPiece)",
        )
    specials = _specials(header)
    if model == "bert":  # the tokens around a text, which stand in two roles in the file
        first, last = specials.classify or specials.begin, specials.separator or specials.end
        specials = replace(specials, classify=first, separator=last, begin=None, end=None)
    _make_special(document, specials)
    where = f"the tokenizer in {header.path}"
    with guarded(f"{where} cannot be used"):
        check(document, header.path)
        tokenizer = Tokenizer(document, specials, header.path)
        if model == "bert":
            return tokenizer.with_layout("classify")
        layout = _layout(header, tokenizer, begins=model == "llama" or _cut(header).begins)
        return tokenizer if layout is None else Tokenizer({**document, "post_processor": layout}, specials, header.path)


def chat_template(header: Header) -> str | None:
    """The template in which the model was taught to talk, as text: only ``text/templates.py`` renders it."""
    template = header.metadata.get("tokenizer.chat_template")
    return template if isinstance(template, str) else None


def _refuse(header: Header, what: str) -> NoReturn:
    raise DataError(f"the tokenizer in {header.path} cannot be used: {what}")


def _strings(header: Header, name: str) -> list[str]:
    found = header.metadata.get(_KEY + name)
    if not isinstance(found, list) or not found or not all(isinstance(each, str) for each in found):
        _refuse(header, f"{_KEY}{name} is not a list of strings")
    return found  # type: ignore[return-value]


def _tokens(header: Header) -> list[str]:
    tokens = _strings(header, "tokens")
    if len(set(tokens)) != len(tokens):
        seen: set[str] = set()
        twice = next(token for token in tokens if token in seen or seen.add(token))  # type: ignore[func-returns-value]
        _refuse(header, f"the token {twice[:40]!r} is there twice")
    return tokens


def _numbers(header: Header, name: str, kinds: str, count: int) -> list[Any] | None:
    """A number for each token."""
    found = header.metadata.get(_KEY + name)
    if found is None:
        return None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in kinds or len(found) != count:
        _refuse(header, f"{_KEY}{name} has no number for each of the {count} tokens")
    return found.tolist()


def _flag(header: Header, name: str, otherwise: bool) -> bool:
    value = header.metadata.get(_KEY + name, otherwise)
    if not isinstance(value, bool):
        _refuse(header, f"{_KEY}{name} is {str(value)[:40]}, neither true nor false")
    return value


def _cut(header: Header) -> Cut:
    name = header.metadata.get(f"{_KEY}pre", "default")
    name = SAME_CUT.get(str(name), name)
    if name not in CUTS:
        known = ", ".join(sorted([*CUTS, *SAME_CUT]))
        _refuse(header, f"it cuts words in the way {str(name)[:40]!r} (tokenizer.ggml.pre); known are {known}")
    return CUTS[str(name)]


def _byte_level(header: Header) -> dict[str, Any]:
    tokens, cut = _tokens(header), _cut(header)
    kinds = _numbers(header, "token_type", "iu", len(tokens)) or [Kind.NORMAL] * len(tokens)
    words: list[dict[str, Any]] = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
        for pattern in cut.patterns
    ]
    words.append({"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False})
    merges = []
    for number, merge in enumerate(_strings(header, "merges")):
        left, space, right = merge.partition(" ")
        if not (left and space and right):
            _refuse(header, f"merge {number}, {merge[:40]!r}, is not two pieces with a space between")
        merges.append([left, right])
    listed = [(number, kind) for number, kind in enumerate(kinds) if kind in (Kind.CONTROL, Kind.USER_DEFINED)]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [_added(number, tokens[number], kind) for number, kind in listed],
        "normalizer": {"type": "NFC"} if cut.composed else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": words},
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": cut.whole_words,
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": merges,
        },
    }


def _added(number: int, content: str, kind: int) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": number, "content": content, **flags, "special": kind != Kind.USER_DEFINED}


def _sentencepiece(header: Header) -> dict[str, Any]:
    """The pieces are joined by score, as llama.cpp does: no character map, spaces kept as they are."""
    tokens = _tokens(header)
    scores = _numbers(header, "scores", "f", len(tokens))
    kinds = _numbers(header, "token_type", "iu", len(tokens))
    if scores is None or kinds is None:
        _refuse(header, "it has no scores or no types of tokens")
    if not set(kinds) <= set(Kind):
        _refuse(header, f"its types of tokens are {sorted(set(kinds))[:9]}, known are 1 to 6")
    pieces = tuple(Piece(*each) for each in zip(tokens, scores, map(Kind, kinds), strict=True))
    # An unused piece is kept out of the merges like a control token: no text yields it.
    pieces = tuple(piece._replace(kind=Kind.CONTROL) if piece.kind == Kind.UNUSED else piece for piece in pieces)
    model = SentencePieces(
        pieces,
        "bpe",
        charsmap_name="identity",
        prefix=_flag(header, "add_space_prefix", True),
        collapse=False,
        byte_fallback=Kind.BYTE in kinds,
    )
    check_pieces(model, f"the tokenizer in {header.path} cannot be used")
    return tokenizer_document(model)


def _wordpiece(header: Header) -> dict[str, Any]:
    tokens = _tokens(header)
    kinds = _numbers(header, "token_type", "iu", len(tokens)) or [Kind.NORMAL] * len(tokens)
    return wordpiece_in(header, tokens, kinds, _specials(header).unknown)


def _specials(header: Header) -> SpecialTokens:
    tokens = header.metadata[f"{_KEY}tokens"]
    assert isinstance(tokens, list)
    roles: dict[str, str | None] = dict.fromkeys(("pad", "begin", "end", "unknown", "mask", "separator", "classify"))
    for role, key in _ROLES.items():
        number = header.metadata.get(_KEY + key)
        if number is None or number == 0xFFFFFFFF:  # -1: none
            continue
        if type(number) is not int or not 0 <= number < len(tokens):
            _refuse(header, f"{_KEY}{key} is {str(number)[:40]}, which is none of its {len(tokens)} tokens")
        roles[role] = str(tokens[number])
    return replace(SpecialTokens(), **roles, sentinels=sentinels_among([str(each) for each in tokens]))


def _make_special(document: dict[str, Any], specials: SpecialTokens) -> None:
    """Tokens with a role are control tokens, whatever type the file gives them."""
    vocab, added = document["model"]["vocab"], document["added_tokens"]
    for content in specials.strings():
        found = next((token for token in added if token["content"] == content), None)
        if found is None:
            added.append(_added(vocab[content], content, Kind.CONTROL))
        else:
            found["special"] = True
    added.sort(key=lambda token: token["id"])


def _layout(header: Header, tokenizer: Tokenizer, begins: bool) -> dict[str, Any] | None:
    """What stands around every text: the begin token before it, the end token after it, where the file says so."""
    before = tokenizer.specials.begin if _flag(header, "add_bos_token", begins) else None
    after = tokenizer.specials.end if _flag(header, "add_eos_token", False) else None
    if before is None and after is None:
        return None
    ids = {before: tokenizer.begin, after: tokenizer.end}

    def around(text: str) -> list[dict[str, Any]]:
        parts = [(before, "SpecialToken"), (text, "Sequence"), (after, "SpecialToken")]
        return [{kind: {"id": name, "type_id": 0}} for name, kind in parts if name is not None]

    tokens = {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in ids.items() if name is not None}
    pair = around("A") + around("B")
    return {"type": "TemplateProcessing", "single": around("A"), "pair": pair, "special_tokens": tokens}
