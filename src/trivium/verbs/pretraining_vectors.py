"""Embeddings that begin as saved word vectors: ``model.vectors`` of a recipe.

A token whose text, spaces around it left out, is a word of the file (as written or in small letters) begins with that
word's row; all others as the model's initialisation has them. The rows are kept in the run's ``data/``, so that a run
that is resumed does not need the file, and the file's SHA-256 in its recipe.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from trivium.durable import file_digest
from trivium.errors import SettingsError
from trivium.tokenizers import Tokenizer
from trivium.transformer import Network
from trivium.vectors.detection import look
from trivium.vectors.files import load_vectors, save_vectors
from trivium.vectors.mapped_file import MappedFile
from trivium.vectors.vectors import Vectors
from trivium.verbs.recipe import ModelSettings

_KEPT = "vectors.safetensors"


def check_vectors(settings: ModelSettings, width: int, characters: int) -> None:
    """Refuses a file that does not fit the model before any text is read."""
    if settings.vectors is None:
        return
    if characters:
        raise SettingsError("model.vectors: a model that reads characters has no embeddings of words to begin with")
    dimensions = look(Path(settings.vectors)).dimensions
    if dimensions != width:
        raise SettingsError(
            f"model.vectors = {settings.vectors} has {dimensions} dimensions and the model's embeddings have {width}: "
            f"set model.width={dimensions} (and heads that divide it), or learn vectors with --dimensions {width}"
        )


def place_vectors(
    model: Network, tokenizer: Tokenizer, settings: ModelSettings, folder: Path, tell: Callable[[str], None]
) -> ModelSettings:
    """Fills the rows of the tokens that are words, and says how many; the settings with the file's hash in them."""
    if settings.vectors is None:
        return settings
    kept = folder / _KEPT
    new = not kept.exists()
    if new:
        _keep(Path(settings.vectors), settings.vectors_sha256, tokenizer, kept)
    rows = load_vectors(kept)
    numbers = torch.tensor([int(number) for number in rows.words])
    with torch.no_grad():
        model.tokens.weight[numbers] = torch.from_numpy(np.array(rows.matrix))
    if new:
        tell(f"{len(rows):,} of {tokenizer.vocab_size:,} embeddings begin as vectors of {settings.vectors}")
    return replace(settings, vectors_sha256=MappedFile(kept).about["sha256"])


def _keep(path: Path, expected: str | None, tokenizer: Tokenizer, kept: Path) -> None:
    """The rows of the tokens that the file knows, in a file of the run: its words are the tokens' numbers."""
    digest = file_digest(path)
    if expected is not None and digest != expected:
        raise SettingsError(
            f"model.vectors = {path} is not the file of the recipe (its SHA-256 begins with {digest[:12]}, not "
            f"{expected[:12]}): give that one, or leave out model.vectors_sha256"
        )
    vectors = load_vectors(path)
    found = {}
    for number in range(tokenizer.vocab_size):
        if number not in tokenizer.controls:
            word = tokenizer.decode([number]).strip()
            row = vectors.index.get(word, vectors.index.get(word.lower()))
            if row is not None:
                found[number] = row
    if not found:
        raise SettingsError(
            f"model.vectors = {path} has a vector for none of the tokenizer's {tokenizer.vocab_size:,} tokens: use "
            "vectors of the same language, or a tokenizer with longer tokens"
        )
    kept.parent.mkdir(exist_ok=True)
    matrix = np.asarray(vectors.matrix[list(found.values())], np.float32)
    vectors.check_finite(matrix, list(found.values()))
    save_vectors(Vectors([str(number) for number in found], matrix), kept, about={"sha256": digest})
