"""The embedded corpus ``python-docs``: the documentation that comes with every Python, and three tasks from it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from trivium.errors import SettingsError
from trivium.text.examples import Document
from trivium.text.python_docs.chapters import LABELS, chapters
from trivium.text.python_docs.sentences import first_sentences
from trivium.text.python_docs.signatures import signatures
from trivium.text.python_docs.splits import SPLITS, Split, unique_docstrings

__all__ = [
    "LABELS", "SPLITS", "Split", "chapters", "corpus_hash", "documents", "first_sentences", "signatures",
    "training_texts",
]  # fmt: skip


def documents(split: Split | Literal["all"] = "all", stdlib: Path | None = None) -> list[Document]:
    """The corpus, each text once: all of it, or a split's share by modules.

    ``"train"`` is the text to pretrain on when no docstring of a dev or test example may have been seen, not even
    without its label; ``"all"`` is the transductive setting.
    """
    return [
        Document(entry.text, ".".join(filter(None, [entry.module, entry.name])))
        for part in (SPLITS if split == "all" else (split,))
        for entry in unique_docstrings(part, stdlib)
    ]


def training_texts(corpus: str) -> Iterator[str]:
    """What ``--corpus`` names: the documents of the ``"train"`` part."""
    if corpus != "python-docs":
        raise SettingsError(f"there is no corpus {corpus!r}: python-docs is the one that comes with every Python")
    return (document.text for document in documents("train"))


def corpus_hash(stdlib: Path | None = None) -> str:
    """SHA-256 of names and texts: it differs between versions of Python, and says which text a run was given."""
    digest = hashlib.sha256()
    for document in documents("all", stdlib):
        digest.update(f"{document.name}\0{document.text}\0".encode())
    return digest.hexdigest()
