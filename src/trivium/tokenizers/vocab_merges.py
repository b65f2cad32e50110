"""``vocab.json`` with ``merges.txt``: byte-level BPE as GPT-2 and RoBERTa are published (code openai/gpt-2
``encoder.py``). The one maps pieces to ids, the other lists the merges in the order in which they were learnt.
"""

import json
from pathlib import Path
from typing import Any

from tokenizers import pre_tokenizers
from trivium.durable import replace_file
from trivium.errors import DataError
from trivium.tokenizers.config_file import added_tokens, config_beside, config_for, roles
from trivium.tokenizers.specials import SpecialTokens
from trivium.tokenizers.tokenizer import Tokenizer
from trivium.tokenizers.validation import check, guarded, read_json, read_lines

ELSE = "write a tokenizer.json instead"


def read_vocab_merges(path: Path) -> Tokenizer:
    """``path``: either of the two files; the other lies beside it."""
    vocab_path, merges_path = path.with_name("vocab.json"), path.with_name("merges.txt")
    vocab = read_json(vocab_path)
    merges = []
    for number, line in enumerate(read_lines(merges_path), 1):
        if (number == 1 and line.startswith("#version")) or not line:
            continue
        pair = line.split(" ")
        if len(pair) != 2:
            raise DataError(f"{merges_path}, line {number}: {line[:60]!r} is not two pieces with a space between them")
        merges.append(pair)
    missing = sorted(set(pre_tokenizers.ByteLevel.alphabet()) - vocab.keys())
    if missing:
        raise DataError(
            f"{vocab_path} lacks {len(missing)} of the 256 bytes, such as {missing[0]!r}: it is no byte-level BPE, "
            "which is what these two files hold here"
        )
    config = config_beside(path)
    specials = roles(config, vocab)
    prefix = config.get("add_prefix_space") is True
    document: dict[str, Any] = {
        "version": "1.0",
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": vocab,
            "merges": merges,
        },
        "added_tokens": [],
    }
    with guarded(f"{path} cannot be used as a tokenizer"):
        check(document, path)
    document["added_tokens"] = added_tokens(config, vocab, specials, swallowing={specials.mask or ""})
    document["post_processor"] = _post_processor(config, specials, vocab)
    return Tokenizer(document, specials, path)


def _post_processor(config: dict[str, Any], specials: SpecialTokens, vocab: dict[str, int]) -> dict[str, Any] | None:
    """RoBERTa and BART put <s> A </s></s> B </s> around texts, GPT-2 nothing."""
    name = str(config.get("tokenizer_class", ""))
    framed = name.startswith(("Roberta", "Bart")) or (not name and specials.mask is not None)
    if not framed or specials.separator is None or specials.classify is None:
        return None
    separator, classify = specials.separator, specials.classify
    ends = {"sep": [separator, vocab[separator]], "cls": [classify, vocab[classify]]}
    return {"type": "RobertaProcessing", **ends, "trim_offsets": False, "add_prefix_space": False}


def write_vocab_merges(tokenizer: Tokenizer, path: Path) -> list[Path]:
    """Both files and a config; refused where GPT-2's reader would cut text in another way."""
    document = json.loads(tokenizer.whole.to_str())
    model, splitter = document["model"], document["pre_tokenizer"] or {}
    if model["type"] != "BPE":
        raise DataError(f"merges.txt holds merges, which {model['type']} has none of: {ELSE}")
    if document["normalizer"] or splitter.get("type") != "ByteLevel" or not splitter["use_regex"]:
        raise DataError(f"merges.txt stands for byte-level BPE with GPT-2's pattern, and this is none: {ELSE}")
    if model["continuing_subword_prefix"] or model["end_of_word_suffix"] or model["ignore_merges"]:
        raise DataError(f"merges.txt cannot say how this tokenizer's pieces are joined: {ELSE}")
    config = {
        "tokenizer_class": "RobertaTokenizer" if _framed(document) else "GPT2Tokenizer",
        "add_prefix_space": splitter["add_prefix_space"],
        **config_for(tokenizer.specials),
        "added_tokens_decoder": {
            str(each["id"]): {name: value for name, value in each.items() if name != "id"}
            for each in document["added_tokens"]
        },
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    written = [path.with_name(name) for name in ("vocab.json", "merges.txt", "tokenizer_config.json")]
    lines = "".join(f"{left} {right}\n" for left, right in model["merges"])
    replace_file(written[0], json.dumps(tokenizer.whole.get_vocab(), ensure_ascii=False).encode())
    replace_file(written[1], f"#version: 0.2\n{lines}".encode())
    replace_file(written[2], json.dumps(config, indent=2, ensure_ascii=False).encode())
    return written


def _framed(document: dict[str, Any]) -> bool:
    return (document["post_processor"] or {}).get("type") == "RobertaProcessing"
