"""The bytes that each token writes, for whoever must know what a token can become part of: constrained output.

A text is its tokens' bytes one after another, but for a blank at its beginning that SentencePiece leaves out. Not so
where decoding puts the blanks between words: whole words, BPE of words, and WordPiece.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any

from tokenizers import pre_tokenizers
from trivium.errors import SettingsError
from trivium.tokenizers.tokenizer import Tokenizer


@dataclass(frozen=True)
class TokenBytes:
    """``pieces``: by id; empty for control tokens and for ids without a token. ``swallows``: whether a blank with which
    a text begins is left out."""

    pieces: tuple[bytes, ...]
    swallows: bool


@lru_cache(maxsize=8)
def token_bytes(tokenizer: Tokenizer) -> TokenBytes:
    """What the tokenizer's decoder makes of each token."""
    decoder: dict[str, Any] | None = json.loads(tokenizer.whole.to_str())["decoder"]
    write, swallows = _writer([] if decoder is None else decoder.get("decoders", [decoder]))
    pieces = [b""] * tokenizer.vocab_size
    for piece, number in tokenizer.whole.get_vocab().items():
        if number not in tokenizer.controls:
            pieces[number] = write(piece)
    return TokenBytes(tuple(pieces), swallows)


def _writer(parts: Sequence[dict[str, Any]]) -> tuple[Callable[[str], bytes], bool]:
    """How a decoder of these parts writes a token in the middle of a text, and whether it leaves out a first blank."""
    kinds = [part["type"] for part in parts]
    if kinds == ["ByteLevel"]:
        return _byte_level, False
    if kinds and all(map(_writes_blanks, parts)):
        marks = tuple(part.get("replacement") or part["pattern"]["String"] for part in parts if _has_mark(part))
        strips = any(part["type"] == "Strip" or part.get("prepend_scheme", "never") != "never" for part in parts)
        return partial(_spelt, marks=marks, bytes_too="ByteFallback" in kinds), strips
    raise SettingsError(
        "the form of a text cannot be prescribed to this model, whose tokenizer puts blanks between words by itself: "
        "use a model with a byte-level, SentencePiece or character tokenizer"
    )


def _has_mark(part: dict[str, Any]) -> bool:
    return part["type"] in ("Replace", "Metaspace")


def _writes_blanks(part: dict[str, Any]) -> bool:
    """Whether it does no more than to make blanks of marks and bytes of their names, and to drop a text's first."""
    if part["type"] == "Replace":
        return part["content"] == " " and "String" in part["pattern"]
    if part["type"] == "Strip":
        return (part["content"], part["start"], part["stop"]) == (" ", 1, 0)
    return part["type"] in ("ByteFallback", "Fuse", "Metaspace")


def _spelt(piece: str, marks: tuple[str, ...], bytes_too: bool) -> bytes:
    if bytes_too and len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
        return bytes.fromhex(piece[3:5])
    for mark in marks:
        piece = piece.replace(mark, " ")
    return piece.encode()


def _byte_level(piece: str) -> bytes:
    codes = _letters()
    return bytes(codes[letter] for letter in piece) if codes.keys() >= set(piece) else piece.encode()


@cache
def _letters() -> dict[str, int]:
    """The bytes by the letters that byte-level tokenizers have for them: their own, or else the next from 256 on."""
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    own = [byte for byte in range(256) if chr(byte) in alphabet]
    others = [byte for byte in range(256) if chr(byte) not in alphabet]
    return {chr(byte): byte for byte in own} | {chr(256 + place): byte for place, byte in enumerate(others)}
