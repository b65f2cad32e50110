"""``vocab.txt``: BERT's WordPiece vocabulary, one piece a line, the line's number is its id (Devlin et al. 2019; code
google-research/bert ``tokenization.py``). Whether text is lower-cased stands in ``tokenizer_config.json`` beside it.
"""

import json
from pathlib import Path
from typing import Any

from trivium.durable import replace_file
from trivium.errors import DataError
from trivium.tokenizers.config_file import added_tokens, config_beside, config_for, roles
from trivium.tokenizers.layouts import template_processing
from trivium.tokenizers.tokenizer import Tokenizer
from trivium.tokenizers.validation import check, guarded, read_lines

PREFIX = "##"
LONGEST_WORD = 100  # characters; of a longer one the whole is unknown


def read_vocab_txt(path: Path) -> Tokenizer:
    """BERT's tokenizer with this vocabulary."""
    vocab: dict[str, int] = {}
    for number, piece in enumerate(read_lines(path)):
        if piece in vocab:
            raise DataError(f"{path}, line {number + 1}: {piece[:40]!r} stands in line {vocab[piece] + 1} already")
        vocab[piece] = number
    config = config_beside(path)
    specials = roles(config, vocab)
    if specials.unknown is None:
        raise DataError(
            f"{path} has no line [UNK], which a word that no piece fits becomes: is it a vocab.txt of BERT?"
        )
    lower = config.get("do_lower_case")
    if not isinstance(lower, bool):  # an uncased vocabulary has no piece that upper case could reach
        lower = not any(piece.lower() != piece for piece in vocab if piece not in specials.strings())
    strip, chinese = config.get("strip_accents"), config.get("tokenize_chinese_chars")
    document: dict[str, Any] = {
        "version": "1.0",
        "added_tokens": added_tokens(config, vocab, specials),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": chinese if isinstance(chinese, bool) else True,
            "strip_accents": strip if isinstance(strip, bool) else None,
            "lowercase": lower,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": template_processing("classify", specials, vocab.get) if _frames(specials) else None,
        "decoder": {"type": "WordPiece", "prefix": PREFIX, "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": specials.unknown,
            "continuing_subword_prefix": PREFIX,
            "max_input_chars_per_word": LONGEST_WORD,
            "vocab": vocab,
        },
    }
    with guarded(f"{path} cannot be used as a tokenizer"):
        check(document, path)
    return Tokenizer(document, specials, path)


def write_vocab_txt(tokenizer: Tokenizer, path: Path) -> list[Path]:
    """The vocabulary and its config; refused where BERT's reader would cut text in another way."""
    document = json.loads(tokenizer.whole.to_str())
    model, normalizer = document["model"], document["normalizer"] or {}
    if model["type"] != "WordPiece" or model["continuing_subword_prefix"] != PREFIX:
        raise DataError(f"vocab.txt holds WordPiece vocabularies alone, and this is {model['type']}: {ELSE}")
    if (
        normalizer.get("type") != "BertNormalizer"
        or (document["pre_tokenizer"] or {}).get("type") != "BertPreTokenizer"
    ):
        raise DataError(f"vocab.txt stands for BERT's cutting of words, and this tokenizer has its own: {ELSE}")
    pieces = sorted(tokenizer.whole.get_vocab(), key=tokenizer.whole.get_vocab().__getitem__)
    if len(pieces) != tokenizer.vocab_size:
        raise DataError(f"vocab.txt numbers its pieces without gaps, and these ids have some: {ELSE}")
    if any("\n" in piece or "\r" in piece for piece in pieces):
        raise DataError(f"vocab.txt cannot hold a piece with a line end: {ELSE}")
    config = {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": normalizer["lowercase"],
        "strip_accents": normalizer["strip_accents"],
        "tokenize_chinese_chars": normalizer["handle_chinese_chars"],
        **config_for(tokenizer.specials),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name("tokenizer_config.json")
    replace_file(path, "".join(f"{piece}\n" for piece in pieces).encode())
    replace_file(beside, json.dumps(config, indent=2, ensure_ascii=False).encode())
    return [path, beside]


ELSE = "write a tokenizer.json instead"


def _frames(specials: Any) -> bool:
    return specials.classify is not None and specials.separator is not None
