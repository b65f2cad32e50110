"""SentencePiece's conventions (Kudo & Richardson 2018; code google/sentencepiece) as a ``tokenizer.json``.

Text is normalised by a character map, runs of spaces become one and those at the ends go, a space is put in front, and
every space is written U+2581 ``▁``, so that decoding is joining. A character that is no piece becomes its UTF-8 bytes
(byte fallback) or the unknown token. What decodes is therefore the normalised text, exactly: ``normalised``.
"""

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal, NamedTuple

from trivium.errors import DataError, SettingsError
from trivium.tokenizers.specials import SpecialTokens, recognise
from trivium.tokenizers.tokenizer import Tokenizer
from trivium.tokenizers.validation import guarded

SPACE = "▁"
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_BEGINNING = r"\A(?!\z)"  # of a text that has one, were it a line end
_SPELL_BYTES = "<0x123456789ABCDEF>"


class Kind(IntEnum):
    """What a piece is, by the numbers of the file format."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Piece(NamedTuple):
    """A piece's place in a vocabulary is its id. ``score``: log-probability (Unigram), or minus the merge's number."""

    text: str
    score: float
    kind: Kind = Kind.NORMAL


@dataclass(frozen=True)
class SentencePieces:
    """A model as a ``.model`` file has it. ``charsmap``: compiled; ``collapse``: runs of spaces become one, those at
    the ends go; ``prefix``: a space in front of the text; ``roles``: the file's own unknown, begin, end and pad."""

    pieces: tuple[Piece, ...]
    algorithm: Literal["unigram", "bpe"]
    charsmap: bytes = field(default=b"", repr=False)
    charsmap_name: str = "nmt_nfkc"
    prefix: bool = True
    collapse: bool = True
    byte_fallback: bool = False
    roles: tuple[tuple[str, str], ...] = ()

    def ids(self, *kinds: Kind) -> list[int]:
        """The ids of the pieces of some kinds."""
        return [number for number, piece in enumerate(self.pieces) if piece.kind in kinds]


def tokenizer_document(model: SentencePieces, swallowing: frozenset[str] = frozenset()) -> dict[str, Any]:
    """The model for the ``tokenizers`` library. ``swallowing``: control tokens that take along the space before."""
    split = not any(SPACE in piece.text[1:] for piece in model.pieces if piece.kind == Kind.NORMAL)
    decoders: list[dict[str, Any]] = [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}]
    decoders += [{"type": "ByteFallback"}] if model.byte_fallback else []
    decoders += [{"type": "Fuse"}]
    decoders += [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if model.prefix else []
    normalizers, scheme = _normalizers(model)
    words: list[dict[str, Any]] = [
        {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": scheme, "split": split}
    ]
    if model.algorithm == "unigram":
        rust, unreachable = _unigram(model)
        if unreachable:
            pattern = {"Regex": "[" + re.escape("".join(sorted(unreachable))) + "]"}
            words.append({"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False})
    else:
        rust = _bpe(model)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(model, swallowing),
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": words[0] if len(words) == 1 else {"type": "Sequence", "pretokenizers": words},
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": rust,
    }


def _normalizers(model: SentencePieces) -> tuple[list[dict[str, Any]], str]:
    """The normalisers, and how the pre-tokeniser puts the space in front."""
    found: list[dict[str, Any]] = []
    if model.charsmap:
        charsmap = base64.b64encode(model.charsmap).decode()
        found.append({"type": "Precompiled", "precompiled_charsmap": charsmap})
    if model.collapse:
        found.append({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "})
        found.append({"type": "Replace", "pattern": {"Regex": r"\A | \z"}, "content": ""})
    if not model.prefix:
        return found, "never"
    if whole := _whole_symbols(model):
        # Symbols are looked for in the normalised text, and normalised for that themselves: no space before them alone.
        symbols = "|".join(re.escape(symbol) for symbol in whole)
        pattern = {"Regex": rf"{_BEGINNING}(?!(?:{symbols})\z)"}
        return [*found, {"type": "Replace", "pattern": pattern, "content": " "}], "never"
    if model.collapse and model.charsmap:
        return found, "always"
    # "always" does not put a space before one that is there, nor before a literal U+2581 that no map turns into one.
    return [*found, {"type": "Prepend", "prepend": " "}], "never"


def _whole_symbols(model: SentencePieces) -> list[str]:
    """The user-defined pieces of BPE, whose merges know no scores: they are cut out of the text beforehand."""
    if model.algorithm != "bpe":
        return []
    return [model.pieces[number].text for number in model.ids(Kind.USER_DEFINED)]


def _added_tokens(model: SentencePieces, swallowing: frozenset[str]) -> list[dict[str, Any]]:
    """Control tokens are special; user-defined pieces of BPE are not."""
    kinds = [Kind.CONTROL, Kind.UNKNOWN] + ([Kind.USER_DEFINED] if model.algorithm == "bpe" else [])
    return [
        {
            "id": number,
            "content": model.pieces[number].text,
            "single_word": False,
            "lstrip": model.pieces[number].text in swallowing,
            "rstrip": False,
            "normalized": model.pieces[number].kind == Kind.USER_DEFINED,
            "special": model.pieces[number].kind != Kind.USER_DEFINED,
        }
        for number in model.ids(*kinds)
    ]


def _unigram(model: SentencePieces) -> tuple[dict[str, Any], set[str]]:
    """The library's model, and the characters of ``<0x41>`` that are in no piece.

    The library would read the text ``<0x41>`` as that byte; SentencePiece does not. So bytes score lower than any
    spelling in characters, and where a character has no piece, which would score lower still, words end at it.
    """
    normal = [piece.score for piece in model.pieces if piece.kind == Kind.NORMAL]
    low = min(normal, default=0.0)
    scores = {
        Kind.NORMAL: lambda piece: piece.score,
        Kind.USER_DEFINED: lambda piece: -0.1,  # the best of all scores, as in SentencePiece: always taken whole
        Kind.BYTE: lambda piece: 6 * low - 100.0,
    }
    vocab = [
        [f" {piece.text} " if piece.kind == Kind.UNUSED else piece.text, scores.get(piece.kind, lambda _: 0.0)(piece)]
        for piece in model.pieces
    ]
    known = {piece.text for piece in model.pieces if piece.kind == Kind.NORMAL} if model.byte_fallback else _SPELL_BYTES
    rust = {"type": "Unigram", "unk_id": model.ids(Kind.UNKNOWN)[0], "vocab": vocab}
    return rust | {"byte_fallback": model.byte_fallback}, set(_SPELL_BYTES) - set(known)


def _bpe(model: SentencePieces) -> dict[str, Any]:
    return {
        "type": "BPE",
        "dropout": None,
        "unk_token": model.pieces[model.ids(Kind.UNKNOWN)[0]].text,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": True,
        "byte_fallback": model.byte_fallback,
        "ignore_merges": False,
        "vocab": {piece.text: number for number, piece in enumerate(model.pieces)},
        "merges": merges_of(model.pieces),
    }


def merges_of(pieces: Iterable[Piece]) -> list[list[str]]:
    """All pairs of pieces that make a piece, best score first: SentencePiece keeps no merges, it joins whatever
    neighbours make the best piece. Pairs of one piece: the longer left half first, as transformers orders them."""
    scores = {piece.text: piece.score for piece in pieces if piece.kind == Kind.NORMAL}
    found = [
        (score, cut, text[:cut], text[cut:])
        for text, score in scores.items()
        for cut in range(1, len(text))
        if text[:cut] in scores and text[cut:] in scores
    ]
    found.sort(key=lambda merge: (-merge[0], -merge[1]))
    return [[left, right] for _, _, left, right in found]


def tokenizer_of(model: SentencePieces, where: str) -> Tokenizer:
    """The tokenizer; roles that the file does not name are told by their usual strings."""
    special = [model.pieces[number].text for number in model.ids(Kind.CONTROL, Kind.UNKNOWN)]
    roles = dict(model.roles)
    usual = recognise(special)
    specials = SpecialTokens(
        **{role: roles.get(role) or getattr(usual, role) for role in ("pad", "begin", "end", "unknown")},
        mask=usual.mask,
        separator=usual.separator,
        classify=usual.classify,
        sentinels=usual.sentinels,
    )
    with guarded(f"{where} cannot be used as a tokenizer"):
        return Tokenizer(tokenizer_document(model, swallowing_tokens(specials)), specials)


def swallowing_tokens(specials: SpecialTokens) -> frozenset[str]:
    """A mask or blank stands for a word with its leading space."""
    return frozenset(content for content in (specials.mask, *specials.sentinels) if content is not None)


def normalised(tokenizer: Tokenizer, text: str) -> str:
    """What decoding the text's ids gives, where bytes stand for unknown characters: SentencePiece's normal form."""
    normalizer = tokenizer.plain.normalizer
    members = _members(None if normalizer is None else json.loads(normalizer.__getstate__()), "normalizers")
    text = tokenizer.normalise(text).replace(SPACE, " ")
    return text.removeprefix(" ") if any(map(_prefixes, members)) else text


def sentencepieces_of(tokenizer: Tokenizer) -> SentencePieces:
    """The model of a tokenizer that follows these conventions, ours or made from a ``.model`` by others; a
    SettingsError for one that does not."""
    document = json.loads(tokenizer.whole.to_str())
    rust, algorithm = document["model"], tokenizer.algorithm
    if algorithm not in ("Unigram", "BPE"):
        raise SettingsError(f"a .model file holds Unigram or BPE pieces, and this tokenizer is a {algorithm}")
    flags = _flags(document)
    byte_fallback = bool(rust.get("byte_fallback"))
    special = {token["id"]: token for token in document["added_tokens"]}
    unknown = rust["unk_id"] if algorithm == "Unigram" else rust["vocab"].get(rust["unk_token"])
    if unknown is None:
        raise SettingsError("a .model file needs an unknown token, and this tokenizer has none")
    if algorithm == "Unigram":
        scored = [(text, score) for text, score in rust["vocab"]]
    else:
        made = {left + right: -number for number, (left, right) in reversed(list(enumerate(rust["merges"])))}
        ordered = sorted(rust["vocab"].items(), key=lambda entry: entry[1])
        scored = [(text, float(made.get(text, -len(made) - 1 - number))) for text, number in ordered]
        if [number for _, number in ordered] != list(range(len(ordered))):
            raise SettingsError("a .model file has a piece for every id, and this vocabulary has holes")
    if any(number >= len(scored) for number in special):
        scored += [(special[number]["content"], 0.0) for number in sorted(special) if number >= len(scored)]

    def kind(number: int, text: str) -> Kind:
        if number == unknown:
            return Kind.UNKNOWN
        if number in special:
            return Kind.CONTROL if special[number]["special"] else Kind.USER_DEFINED
        if byte_fallback and _BYTE.fullmatch(text):
            return Kind.BYTE
        return Kind.UNUSED if text.startswith(" ") else Kind.NORMAL

    pieces = []
    for number, (text, score) in enumerate(scored):
        of = kind(number, text)
        pieces.append(Piece(text.strip(" "), score if of == Kind.NORMAL else 0.0, of))
    roles = tuple(
        (role, string)
        for role in ("unknown", "begin", "end", "pad")
        if (string := getattr(tokenizer.specials, role)) is not None
    )
    return SentencePieces(
        tuple(pieces), "unigram" if algorithm == "Unigram" else "bpe", byte_fallback=byte_fallback, roles=roles, **flags
    )


def _flags(document: dict[str, Any]) -> dict[str, Any]:
    """Charsmap, prefix and collapse from the normalisers and the pre-tokeniser, ours or those of transformers."""
    flags: dict[str, Any] = {"charsmap": b"", "charsmap_name": "identity", "prefix": False, "collapse": False}
    foreign = SettingsError(
        "this tokenizer does not follow SentencePiece's conventions (▁ for a space), which a .model file needs: train "
        "one with --algorithm unigram or sentencepiece-bpe"
    )
    spaced = False
    for each in _members(document["normalizer"], "normalizers"):
        kind, pattern = each["type"], each.get("pattern") or {}
        if kind == "Precompiled":
            flags["charsmap"] = base64.b64decode(each["precompiled_charsmap"] or "")
            flags["charsmap_name"] = "nmt_nfkc" if flags["charsmap"] else "identity"
        elif kind == "Replace" and pattern == {"Regex": " {2,}"}:
            flags["collapse"] = True
        elif kind == "Replace" and pattern == {"String": " "} and each["content"] == SPACE:
            spaced = True
        elif _prefixes(each):
            flags["prefix"] = True
        elif kind != "Strip" and not (kind == "Replace" and pattern == {"Regex": r"\A | \z"}):
            raise foreign
    for each in _members(document["pre_tokenizer"], "pretokenizers"):
        if each["type"] == "Metaspace" and each["replacement"] == SPACE:
            spaced = True
            flags["prefix"] |= each["prepend_scheme"] != "never"
        elif each["type"] not in ("WhitespaceSplit", "Split"):
            raise foreign
    if not spaced:
        raise foreign
    return flags


def _prefixes(normalizer: dict[str, Any]) -> bool:
    """Whether it puts a space in front of a text."""
    if normalizer["type"] == "Prepend":
        return normalizer["prepend"] in (" ", SPACE)
    pattern = (normalizer.get("pattern") or {}).get("Regex", "")
    return normalizer["type"] == "Replace" and normalizer["content"] == " " and pattern.startswith(_BEGINNING)


def _members(part: dict[str, Any] | None, name: str) -> list[dict[str, Any]]:
    if not part:
        return []
    return list(part[name]) if part["type"] == "Sequence" else [part]


def check_pieces(model: SentencePieces, where: str) -> None:
    """Refuses what is no vocabulary: doubled or empty pieces, no unknown piece, bytes that are not all there."""
    seen: set[str] = set()
    for number, piece in enumerate(model.pieces):
        if not piece.text:
            raise DataError(f"{where}: piece {number} is empty")
        if piece.text in seen:
            raise DataError(f"{where}: piece {number}, {piece.text[:40]!r}, is in the vocabulary twice")
        if piece.score != piece.score or abs(piece.score) == float("inf"):
            raise DataError(f"{where}: piece {number}, {piece.text[:40]!r}, has the score {piece.score}")
        seen.add(piece.text)
    if len(model.ids(Kind.UNKNOWN)) != 1:
        raise DataError(f"{where}: it has {len(model.ids(Kind.UNKNOWN))} unknown pieces and must have one")
    spelt = {model.pieces[number].text for number in model.ids(Kind.BYTE)}
    if spelt != (set(BYTES) if model.byte_fallback else set()):
        want = "the 256 pieces <0x00> to <0xFF>" if model.byte_fallback else "none, for byte fallback is off"
        raise DataError(f"{where}: it has {len(spelt)} byte pieces and must have {want}")
    if model.algorithm == "bpe" and model.ids(Kind.UNUSED):
        raise DataError(f"{where}: unused pieces in a BPE model cannot be kept out of its merges")
