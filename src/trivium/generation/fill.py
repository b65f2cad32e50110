"""Filling one-token blanks with a masked language model (the Cloze task; Taylor 1953, BERT's pretraining task).

All blanks of a text are predicted in one pass, each knowing of the others only that they are blank.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from trivium.errors import SettingsError
from trivium.generation.blanks import split, with_blanks
from trivium.generation.prompts import frame
from trivium.generation.rows import check_length, right_padded, unread
from trivium.generation.sampling import exact
from trivium.tokenizers import Tokenizer
from trivium.transformer import Inputs, Network


@dataclass(frozen=True)
class Candidate:
    """One way to fill a blank. ``text`` keeps the space that a token begins with."""

    text: str
    probability: float
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Blank:
    """The most probable candidates, falling, and ``other``: the probability of all the rest. Together they are 1."""

    candidates: tuple[Candidate, ...]
    other: float


@dataclass(frozen=True)
class Filling:
    """A text with the first candidate in each blank, and what else each blank could be."""

    text: str
    blanks: tuple[Blank, ...]


@torch.inference_mode()
def fill_masks(model: Network, tokenizer: Tokenizer, texts: Sequence[str], top: int = 5) -> list[Filling]:
    """Fills the blanks of each text; ``top`` candidates a blank, at most the whole vocabulary."""
    if tokenizer.mask is None:
        raise SettingsError("this model's tokenizer has no mask token: fill needs a model trained by masking")
    if top < 1:
        raise SettingsError(f"top is {top}: it must be at least 1")
    before, after = frame(tokenizer)
    rows = []
    for text in texts:
        blanks = split(text)
        middle = with_blanks(blanks, lambda part: tokenizer.encode(part).ids, [tokenizer.mask] * (len(blanks) - 1))
        rows.append([*before, *middle, *after])
        check_length(len(rows[-1]), model.config.limit, "the text")
    if not rows:
        return []
    device = next(model.parameters()).device
    source = right_padded(rows, model.config.pad_token, device)
    places = [[i for i, token in enumerate(row) if token == tokenizer.mask] for row in rows]
    width = source.ids.shape[1]
    at = torch.tensor([r * width + p for r, row in enumerate(places) for p in row], device=device)
    if model.config.two_stream:
        source, at = unread(source, places)
    probabilities = exact(model(Inputs(source=source), at=at).logits).softmax(dim=-1)  # (N, V)
    best = probabilities.topk(min(top, probabilities.shape[-1]), dim=-1)
    found = [
        _blank(tokenizer, values, ids) for values, ids in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]
    fillings = []
    for row, spots in zip(rows, places, strict=True):
        own, found = found[: len(spots)], found[len(spots) :]
        whole = list(row)
        for spot, blank in zip(spots, own, strict=True):
            whole[spot] = blank.candidates[0].tokens[0]
        fillings.append(Filling(tokenizer.decode(whole), tuple(own)))
    return fillings


def _blank(tokenizer: Tokenizer, probabilities: list[float], ids: list[int]) -> Blank:
    candidates = tuple(
        Candidate(tokenizer.decode([token], skip_special=False), probability, (token,))
        for probability, token in zip(probabilities, ids, strict=True)
    )
    return Blank(candidates, max(0.0, 1.0 - sum(probabilities)))
