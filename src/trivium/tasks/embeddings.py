"""One vector for each text: the mean over its tokens, its first or its last token (Reimers and Gurevych 2019, 3).

Texts are computed in batches of similar length and given back in their order. A vector does not depend on what else is
in its batch, beyond the last bits of a product.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trivium.errors import DataError, SettingsError
from trivium.families.sentence_modules import SentencePooling
from trivium.generation.prompts import start_token
from trivium.generation.rows import right_padded
from trivium.recurrent.characters import place_spellings, unknown_words
from trivium.tasks.batching import within_budget
from trivium.tokenizers import Tokenizer
from trivium.transformer import Config, Inputs, Tokens

if TYPE_CHECKING:
    from trivium.transformer import Network

BATCH_TOKENS = 2048  # with padding


@dataclass(frozen=True, eq=False)
class Embeddings:
    """N texts: ``vectors`` (N, W) float32; ``truncated`` (N,) bool: which were longer than what is read."""

    vectors: np.ndarray
    truncated: np.ndarray


@dataclass(frozen=True, eq=False)
class TextRows:
    """N texts as a model reads them. ``truncated`` (N,) bool: which of them were cut; ``texts``: as they are written,
    for networks that spell words."""

    ids: list[list[int]]
    truncated: np.ndarray
    texts: Sequence[str] = ()

    @property
    def lengths(self) -> np.ndarray:
        """(N,) int64."""
        return np.array([len(row) for row in self.ids], np.int64)

    def only(self, numbers: Sequence[int] | np.ndarray) -> "TextRows":
        """Some of them."""
        texts = [self.texts[n] for n in numbers] if self.texts else ()
        return TextRows([self.ids[n] for n in numbers], self.truncated[numbers], texts)


def embed_texts(
    model: "Network", tokenizer: Tokenizer, texts: Sequence[str], pooling: SentencePooling = "mean",
    normalise: bool = False, length: int | None = None, tokens: int = BATCH_TOKENS,
) -> Embeddings:  # fmt: skip
    """``length``: tokens of a text that are read, those around it included; ``tokens``: of a batch, with padding."""
    rows = text_rows(tokenizer, model.config, tokenizer.encode_batch(texts), length, texts)
    vectors = np.zeros((len(texts), model.config.width), np.float32)
    for numbers in within_budget(rows.lengths, np.arange(len(texts)), tokens):
        vectors[numbers] = embed_rows(model, tokenizer, rows.only(numbers), pooling, normalise)
    return Embeddings(vectors, rows.truncated)


def text_rows(
    tokenizer: Tokenizer, config: Config, whole: Sequence[Sequence[int]], length: int | None = None,
    texts: Sequence[str] = (),
) -> TextRows:  # fmt: skip
    """The tokens of each text with those that belong around it, cut to what is read."""
    layout = tokenizer.layout()
    around = len(layout.before) + len(layout.after)
    limits = [limit for limit in (length, config.limit) if limit is not None]
    room = min(limits) - around if limits else None
    if room is not None and room < 1:
        raise SettingsError(f"a length of {min(limits)} tokens leaves no room for the text: raise it")
    rows = [[*layout.before, *ids[:room], *layout.after] for ids in whole]
    if empty := [number for number, row in enumerate(rows, 1) if not row]:
        raise DataError(f"text {empty[0]} has no token that this model reads: leave it out")
    truncated = [room is not None and len(ids) > room for ids in whole]
    return TextRows(rows, np.array(truncated, bool), texts)


@torch.inference_mode()
def embed_rows(
    model: "Network", tokenizer: Tokenizer, rows: TextRows, pooling: SentencePooling, normalise: bool
) -> np.ndarray:
    """(N, W) float32, of all of them at once."""
    side = right_padded(rows.ids, model.config.pad_token, next(model.parameters()).device)
    if model.config.characters and rows.texts:
        side = _spelt(side, rows.texts, tokenizer, model.config.characters)
    found = pooled(_states(model, side), side, pooling)
    vectors: np.ndarray = (F.normalize(found, dim=-1) if normalise else found).cpu().numpy()
    return vectors


def pooled(hidden: Tensor, side: Tokens, pooling: SentencePooling) -> Tensor:
    """(B, T, W) states, (B, W) float32."""
    if pooling == "cls":
        return hidden[:, 0].float()
    if side.documents is None:
        return hidden[:, -1].float() if pooling == "last" else hidden.mean(1, dtype=torch.float32)
    real = side.documents >= 0  # (B, T), padding to the right
    counts = real.sum(1)
    if pooling == "last":
        return hidden[torch.arange(len(counts), device=hidden.device), counts - 1].float()
    weights = real.float() / counts[:, None]
    return torch.bmm(weights[:, None], hidden.float())[:, 0]


def _states(model: "Network", side: Tokens) -> Tensor:
    """(B, T, W) after the last layer; of an encoder-decoder, the encoder's."""
    if not (model.config.encoder_layers and model.config.decoder_layers):
        return model(Inputs(side, side)).hidden
    start = torch.full_like(side.ids[:, :1], start_token(model))
    states: Tensor = model(Inputs(side, Tokens(start))).source_hidden
    return states


def _spelt(side: Tokens, texts: Sequence[str], tokenizer: Tokenizer, characters: int) -> Tokens:
    """For networks that read characters: the same with the words that the vocabulary does not hold."""
    width, shift = side.ids.shape[1], len(tokenizer.layout().before)
    unknown = []
    for text in texts:
        words = unknown_words(tokenizer, text, tokenizer.encode(text))
        unknown.append({place + shift: word for place, word in words.items() if place + shift < width})
    spelt = place_spellings(unknown, width, characters)
    return side if spelt is None else replace(side, characters=torch.from_numpy(spelt).to(side.ids.device))
