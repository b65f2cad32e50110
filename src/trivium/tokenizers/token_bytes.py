"""The bytes that each token writes, for whoever must know what a token can become part of: constrained output.

A text is its tokens' bytes one after another, but for blanks at its edges (``Blanks``) that decoding leaves out. Not
possible for WordPiece, whose decoder moves blanks about once it sees the whole text.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from typing import Any, Literal

from tokenizers import pre_tokenizers
from trivium.errors import SettingsError
from trivium.tokenizers.tokenizer import Tokenizer

Blanks = Literal["none", "first", "before", "after"]
"""Which blanks are in the bytes and not in the text: none; one before a text's first token (SentencePiece); one before
every word (whole words); one after every word (BPE of words)."""


@dataclass(frozen=True)
class TokenBytes:
    """``pieces``: by id; empty for control tokens and for ids without a token."""

    pieces: tuple[bytes, ...]
    blanks: Blanks


@lru_cache(maxsize=8)
def token_bytes(tokenizer: Tokenizer) -> TokenBytes:
    """What the tokenizer's decoder makes of each token."""
    decoder: dict[str, Any] | None = json.loads(tokenizer.whole.to_str())["decoder"]
    write, blanks = _writer([] if decoder is None else decoder.get("decoders", [decoder]))
    pieces = [b""] * tokenizer.vocab_size
    for piece, number in tokenizer.whole.get_vocab().items():
        if number not in tokenizer.controls:
            pieces[number] = write(piece)
    return TokenBytes(tuple(pieces), blanks)


def _writer(parts: Sequence[dict[str, Any]]) -> tuple[Callable[[str], bytes], Blanks]:
    """How a decoder of these parts writes a token in the middle of a text, and which blanks it leaves out."""
    kinds = [part["type"] for part in parts]
    if kinds == ["ByteLevel"]:
        return _byte_level, "none"
    if not kinds:
        return _after_a_blank, "before"
    if kinds == ["BPEDecoder"]:
        return partial(_before_a_blank, mark=parts[0]["suffix"]), "after"
    if all(map(_writes_blanks, parts)):
        marks = tuple(part.get("replacement") or part["pattern"]["String"] for part in parts if _has_mark(part))
        strips = any(part["type"] == "Strip" or part.get("prepend_scheme", "never") != "never" for part in parts)
        return partial(_spelt, marks=marks, bytes_too="ByteFallback" in kinds), "first" if strips else "none"
    raise SettingsError(
        "what a text may be cannot be prescribed to this model: its tokenizer writes a token in one way or another, "
        "depending on what stands beside it; use a model with a byte-level, SentencePiece, character or word tokenizer"
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


def _after_a_blank(piece: str) -> bytes:
    return b" " + piece.encode()


def _before_a_blank(piece: str, mark: str) -> bytes:
    return piece.replace(mark, " ").encode()


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
