"""Text to ids and back: one type, ``Tokenizer``, and one file for each way of learning a vocabulary."""

from typing import TYPE_CHECKING

from trivium.tokenizers.specials import STYLES, SpecialTokens

if TYPE_CHECKING:
    from trivium.tokenizers.bpe import train_bpe
    from trivium.tokenizers.encoding import Encoding
    from trivium.tokenizers.tokenizer import Tokenizer

# Algorithm -> the function that learns a vocabulary: (documents, vocab_size, specials=..., layout=...) -> Tokenizer.
ALGORITHMS = {
    "characters": "trivium.tokenizers.characters:train_characters",
    "words": "trivium.tokenizers.words:train_words",
    "bpe": "trivium.tokenizers.bpe:train_bpe",
    "bpe-words": "trivium.tokenizers.bpe_words:train_bpe_words",
    "wordpiece": "trivium.tokenizers.wordpiece:train_wordpiece",
    "wordpiece-bpe": "trivium.tokenizers.wordpiece:train_wordpiece_bpe",
    "unigram": "trivium.tokenizers.unigram:train_unigram",
    "sentencepiece-bpe": "trivium.tokenizers.sentencepiece_bpe:train_sentencepiece_bpe",
}

_HOMES = {"Tokenizer": "tokenizer", "Encoding": "encoding", "train_bpe": "bpe"}

__all__ = ["ALGORITHMS", "STYLES", "Encoding", "SpecialTokens", "Tokenizer", "train_bpe"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
