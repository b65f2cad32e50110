"""A tokenizer as the metadata of a GGUF file: what ``gguf_tokenizer`` reads back, and llama.cpp with it.

GGUF has names for a few ways of cutting words and no way to describe another, so a tokenizer that cuts in any other way
is refused.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from trivium.errors import SettingsError
from trivium.families.gguf_tokenizer import CUTS, GPT2_WORDS, Cut
from trivium.families.gguf_wordpiece import CANNOT, wordpiece_out
from trivium.tokenizers.sentencepiece import Kind, sentencepieces_of
from trivium.tokenizers.tokenizer import Tokenizer

_ID = {
    "begin": "bos_token_id",
    "end": "eos_token_id",
    "unknown": "unknown_token_id",
    "pad": "padding_token_id",
    "separator": "seperator_token_id",  # so spelt in the format
    "mask": "mask_token_id",
    "classify": "cls_token_id",
}


def vocabulary_out(
    tokenizer: Tokenizer, template: str | None = None, *, size: int | None = None, stops: Sequence[int] = ()
) -> dict[str, object]:
    """The keys ``tokenizer.…``; ``template`` is the chat template's text, ``size`` that of the model's vocabulary where
    it has room for more tokens, ``stops`` the ids that end an answer: the end token and one more at most."""
    document = json.loads(tokenizer.whole.to_str())
    kind = document["model"]["type"]
    if kind not in ("BPE", "WordPiece"):
        raise SettingsError(f"{CANNOT}: it is {kind}, and only BPE and WordPiece are written; convert to hf or onnx")
    if kind == "WordPiece":
        return _filled(wordpiece_out(tokenizer, document) | _roles(tokenizer), size)
    byte_level = (document["decoder"] or {}).get("type") == "ByteLevel"
    found = _byte_level(tokenizer, document) if byte_level else _sentencepiece(tokenizer)
    found |= _roles(tokenizer)
    if stops:
        found["tokenizer.ggml.eos_token_id"] = stops[0]
    if len(stops) > 1:
        found["tokenizer.ggml.eot_token_id"] = stops[1]
    layout = tokenizer.layout()
    known = ((), (tokenizer.begin,)), ((), (tokenizer.end,))
    if layout.before not in known[0] or layout.after not in known[1]:
        raise SettingsError(f"{CANNOT}: it puts other tokens around texts than one begin and one end token")
    found["tokenizer.ggml.add_bos_token"] = bool(layout.before)
    found["tokenizer.ggml.add_eos_token"] = bool(layout.after)
    if template is not None:
        found["tokenizer.chat_template"] = template
    return _filled(found, size)


def _roles(tokenizer: Tokenizer) -> dict[str, object]:
    numbers = {key: getattr(tokenizer, role) for role, key in _ID.items()}
    return {f"tokenizer.ggml.{key}": number for key, number in numbers.items() if number is not None}


def _filled(found: dict[str, object], size: int | None) -> dict[str, object]:
    """With names for the rows of the model's embeddings that no token has: llama.cpp wants one for each."""
    tokens, kinds = found["tokenizer.ggml.tokens"], found["tokenizer.ggml.token_type"]
    assert isinstance(tokens, list) and isinstance(kinds, np.ndarray)
    more = (size or 0) - len(tokens)
    if more <= 0:
        return found
    unused = [f"[PAD{number}]" for number in range(len(tokens), len(tokens) + more)]
    found |= {
        "tokenizer.ggml.tokens": [*tokens, *unused],
        "tokenizer.ggml.token_type": np.append(kinds, np.full(more, Kind.UNUSED, np.int32)),
    }
    if (scores := found.get("tokenizer.ggml.scores")) is not None:
        assert isinstance(scores, np.ndarray)
        found["tokenizer.ggml.scores"] = np.append(scores, np.full(more, -10000.0, np.float32))
    return found


def _byte_level(tokenizer: Tokenizer, document: dict[str, Any]) -> dict[str, object]:
    model = document["model"]
    tokens = [f"[PAD{number}]" for number in range(tokenizer.vocab_size)]
    kinds = [Kind.UNUSED] * tokenizer.vocab_size
    for token, number in model["vocab"].items():
        tokens[number], kinds[number] = token, Kind.NORMAL
    for added in document["added_tokens"]:
        tokens[added["id"]] = added["content"]
        kinds[added["id"]] = Kind.CONTROL if added["special"] else Kind.USER_DEFINED
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": _name_of(_cut_of(document)),
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": np.array(kinds, np.int32),
        "tokenizer.ggml.merges": [f"{left} {right}" for left, right in model["merges"]],
    }


def _cut_of(document: dict[str, Any]) -> Cut:
    """How a ``tokenizer.json`` cuts words, in the terms of ``CUTS``."""
    normalizer, splitter = document["normalizer"], document["pre_tokenizer"] or {}
    parts = splitter["pretokenizers"] if splitter.get("type") == "Sequence" else [splitter]
    patterns: list[str] = []
    for part in parts:
        kind, pattern = part.get("type"), part.get("pattern") or {}
        if kind == "Split" and "Regex" in pattern and part["behavior"] == "Isolated" and not part["invert"]:
            patterns.append(pattern["Regex"])
        elif kind == "Digits" and part["individual_digits"]:
            patterns.append(r"\p{N}")
        elif kind == "ByteLevel" and not part["add_prefix_space"]:
            patterns += [GPT2_WORDS] if part["use_regex"] else []
        else:
            raise SettingsError(f"{CANNOT}: GGUF has no name for the way in which it cuts words ({kind})")
    if normalizer not in (None, {"type": "NFC"}):
        raise SettingsError(f"{CANNOT}: GGUF has no name for its normaliser ({normalizer['type']})")
    return Cut(tuple(patterns), bool(document["model"]["ignore_merges"]), composed=normalizer is not None)


def _name_of(cut: Cut) -> str:
    for name, each in CUTS.items():
        if (each.patterns, each.whole_words, each.composed) == (cut.patterns, cut.whole_words, cut.composed):
            return name
    raise SettingsError(f"{CANNOT}: GGUF has no name for the way in which it cuts words; it has for {', '.join(CUTS)}")


def _sentencepiece(tokenizer: Tokenizer) -> dict[str, object]:
    model = sentencepieces_of(tokenizer)
    if model.charsmap or model.collapse:
        raise SettingsError(f"{CANNOT}: it changes characters or joins spaces first, which a GGUF reader would not do")
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": [piece.text for piece in model.pieces],
        "tokenizer.ggml.scores": np.array([piece.score for piece in model.pieces], np.float32),
        "tokenizer.ggml.token_type": np.array([piece.kind for piece in model.pieces], np.int32),
        "tokenizer.ggml.add_space_prefix": model.prefix,
    }
