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
from trivium.transformer import Inputs, Tokens

if TYPE_CHECKING:
    from trivium.transformer import Network

BATCH_TOKENS = 2048  # with padding


@dataclass(frozen=True, eq=False)
class Embeddings:
    """N texts: ``vectors`` (N, W) float32; ``truncated`` (N,) bool: which were longer than what is read."""

    vectors: np.ndarray
    truncated: np.ndarray


def embed_texts(
    model: "Network", tokenizer: Tokenizer, texts: Sequence[str], pooling: SentencePooling = "mean",
    normalise: bool = False, length: int | None = None, tokens: int = BATCH_TOKENS,
) -> Embeddings:  # fmt: skip
    """``length``: tokens of a text that are read, those around it included; ``tokens``: of a batch, with padding."""
    layout = tokenizer.layout()
    around = len(layout.before) + len(layout.after)
    limits = [limit for limit in (length, model.config.limit) if limit is not None]
    room = min(limits) - around if limits else None
    if room is not None and room < 1:
        raise SettingsError(f"a length of {min(limits)} tokens leaves no room for the text: raise it")
    whole = tokenizer.encode_batch(texts)
    rows = [[*layout.before, *ids[:room], *layout.after] for ids in whole]
    lengths = np.array([len(row) for row in rows], np.int64)
    if len(rows) and not lengths.min():
        raise DataError(f"text {int(lengths.argmin()) + 1} has no token that this model reads: leave it out")
    device = next(model.parameters()).device
    vectors = np.zeros((len(rows), model.config.width), np.float32)
    with torch.inference_mode():
        for numbers in within_budget(lengths, np.arange(len(rows)), tokens):
            side = right_padded([rows[n] for n in numbers], model.config.pad_token, device)
            if model.config.characters:
                side = _spelt(side, [texts[n] for n in numbers], tokenizer, model.config.characters)
            found = pooled(_states(model, side), side, pooling)
            vectors[numbers] = (F.normalize(found, dim=-1) if normalise else found).cpu().numpy()
    return Embeddings(vectors, lengths < np.array([len(ids) + around for ids in whole], np.int64))


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
