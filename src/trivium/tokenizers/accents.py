"""What XLNet does to a text before SentencePiece sees it: quotes made straight, accents taken off (Yang et al. 2019,
code zihangdai/xlnet ``prepro_utils.py``, ``preprocess_text``). Its lower-casing, which no published model uses, is left
out.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

import tokenizers
from trivium.tokenizers.tokenizer import Tokenizer

NORMALIZERS: tuple[dict[str, Any], ...] = (
    {"type": "Replace", "pattern": {"String": "``"}, "content": '"'},
    {"type": "Replace", "pattern": {"String": "''"}, "content": '"'},
    {"type": "NFKD"},
    {"type": "StripAccents"},
)


def stripped(documents: Iterable[str]) -> Iterator[str]:
    """The texts to learn from."""
    empty = {"type": "WordLevel", "vocab": {}, "unk_token": ""}
    document = {"version": "1.0", "model": empty, "normalizer": {"type": "Sequence", "normalizers": NORMALIZERS}}
    normalizer = tokenizers.Tokenizer.from_str(json.dumps(document)).normalizer
    yield from (normalizer.normalize_str(text) for text in documents)


def stripping(tokenizer: Tokenizer) -> Tokenizer:
    """The same pieces for texts in which accents are taken off first."""
    document = json.loads(tokenizer.whole.to_str())
    document["normalizer"]["normalizers"][:0] = NORMALIZERS
    return Tokenizer(document, tokenizer.specials)
