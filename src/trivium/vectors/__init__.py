"""Words to vectors: one-hot, word2vec and GloVe; one type, ``Vectors``, for what they learn."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trivium.vectors.glove import GloveSettings, train_glove
    from trivium.vectors.onehot import one_hot
    from trivium.vectors.vectors import Vectors
    from trivium.vectors.word2vec import Word2VecSettings, train_word2vec

_HOMES = {
    "GloveSettings": "glove",
    "Vectors": "vectors",
    "Word2VecSettings": "word2vec",
    "one_hot": "onehot",
    "train_glove": "glove",
    "train_word2vec": "word2vec",
}

__all__ = ["GloveSettings", "Vectors", "Word2VecSettings", "one_hot", "train_glove", "train_word2vec"]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
