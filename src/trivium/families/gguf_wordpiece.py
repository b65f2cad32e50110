"""BERT's WordPiece vocabulary in a GGUF file, read and written.

GGUF marks the pieces that begin a word, by U+2581 in front, where BERT's files mark those that do not, by ``##``. What
reads the file lower-cases text and takes accents off whatever it says, so a cased vocabulary is not written.
"""

from typing import Any

import numpy as np

from trivium.errors import DataError, SettingsError
from trivium.families.gguf_header import Header
from trivium.tokenizers.sentencepiece import SPACE, Kind
from trivium.tokenizers.tokenizer import Tokenizer
from trivium.tokenizers.vocab_txt import LONGEST_WORD, PREFIX

CANNOT = "this tokenizer cannot be written into a GGUF file"


def wordpiece_out(tokenizer: Tokenizer, document: dict[str, Any]) -> dict[str, object]:
    """The keys of the vocabulary. ``document`` is the content of its ``tokenizer.json``."""
    model, normalizer = document["model"], document["normalizer"] or {}
    if model["continuing_subword_prefix"] != PREFIX or normalizer.get("type") != "BertNormalizer":
        raise SettingsError(f"{CANNOT}: it is not BERT's WordPiece; convert to hf or onnx")
    if not normalizer["lowercase"] or normalizer["strip_accents"] is False:
        raise SettingsError(f"{CANNOT}: it keeps case or accents, and llama.cpp takes them off; convert to hf or onnx")
    if (document["pre_tokenizer"] or {}).get("type") != "BertPreTokenizer":
        raise SettingsError(f"{CANNOT}: it cuts words in another way than BERT; convert to hf or onnx")
    if tokenizer.layout() != tokenizer.with_layout("classify").layout():
        raise SettingsError(f"{CANNOT}: it puts other tokens around texts than BERT's, which llama.cpp always does")
    tokens, kinds = [f"[PAD{number}]" for number in range(tokenizer.vocab_size)], [Kind.UNUSED] * tokenizer.vocab_size
    for piece, number in model["vocab"].items():
        tokens[number] = piece.removeprefix(PREFIX) if piece.startswith(PREFIX) else SPACE + piece
        kinds[number] = Kind.NORMAL
    for added in document["added_tokens"]:
        tokens[added["id"]], kinds[added["id"]] = added["content"], Kind.CONTROL
    if len(set(tokens)) < len(tokens):
        raise SettingsError(f"{CANNOT}: two of its pieces have one spelling there")
    return {
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": np.array(kinds, np.int32),
        "tokenizer.ggml.bos_token_id": tokenizer.classify,
        "tokenizer.ggml.eos_token_id": tokenizer.separator,
    }


def wordpiece_in(header: Header, tokens: list[str], kinds: list[int], unknown: str | None) -> dict[str, Any]:
    """The content of a ``tokenizer.json``, without control tokens."""
    if unknown is None:
        raise DataError(
            f"the tokenizer in {header.path} cannot be used: it names no unknown token, which a word that no piece "
            "fits becomes (tokenizer.ggml.unknown_token_id)"
        )
    vocab: dict[str, int] = {}
    for number, (token, kind) in enumerate(zip(tokens, kinds, strict=True)):
        plain = kind in (Kind.CONTROL, Kind.UNUSED, Kind.UNKNOWN) or token == unknown
        piece = token if plain else token.removeprefix(SPACE) if token.startswith(SPACE) else PREFIX + token
        if piece in vocab:
            raise DataError(f"the tokenizer in {header.path} cannot be used: the piece {piece[:40]!r} is there twice")
        vocab[piece] = number
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": None,
        "decoder": {"type": "WordPiece", "prefix": PREFIX, "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": unknown,
            "continuing_subword_prefix": PREFIX,
            "max_input_chars_per_word": LONGEST_WORD,
            "vocab": vocab,
        },
    }
