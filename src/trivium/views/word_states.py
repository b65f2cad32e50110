"""Words as a model represents them in their contexts: the mean of the hidden states of a word's tokens.

Works for every kind of network: an encoder and a two-way model see the whole line, a decoder what comes before and the
word itself, of an encoder-decoder the encoder is read. Tokens are joined to words by their places in the text, so it
does not matter how a tokenizer marks where words begin.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from trivium.errors import SettingsError
from trivium.generation.prompts import beginning, frame, source_ids, start_token
from trivium.recurrent.characters import place_spellings, unknown_words
from trivium.tokenizers import Tokenizer
from trivium.tokenizers.alignment import Span, tokens_of_words, word_spans, words_of_tokens
from trivium.transformer import Inputs, Network, Record, Tokens

WINDOW = 256  # tokens of a line that are read; of a longer one those around the word
BATCH_TOKENS = 2048


@dataclass(frozen=True)
class Reading:
    """The words of a line, or of the part of it that was read, what the model made of each, and what each is before
    any context: the mean of its tokens' embeddings, None where a model reads characters."""

    words: tuple[Span, ...]
    states: np.ndarray  # (n, W) float32
    static: np.ndarray | None = None  # (n, E) float32


@dataclass(frozen=True)
class _Line:
    """What of a line is read: ids with the control tokens around them, and where its words' tokens are among these."""

    ids: tuple[int, ...]
    words: tuple[Span, ...]
    places: tuple[tuple[int, ...], ...]
    unknown: dict[int, str]


def read_words(
    model: Network, tokenizer: Tokenizer, lines: Sequence[tuple[str, Span]], layer: int | None = None
) -> list[Reading]:
    """A reading of each line, around a word of it. ``layer``: 0 the embeddings, None the last."""
    *_, found = read_in_steps(model, tokenizer, lines, layer)
    assert found is not None
    return found


def read_in_steps(
    model: Network, tokenizer: Tokenizer, lines: Sequence[tuple[str, Span]], layer: int | None = None
) -> Iterator[list[Reading] | None]:
    """The same in passes of ``BATCH_TOKENS`` tokens, each None but the last."""
    cut = [_cut(model, tokenizer, text, span) for text, span in lines]
    distinct = list({(line.ids, line.words): line for line in cut}.values())  # a line with two hits is read once
    order = sorted(range(len(distinct)), key=lambda number: len(distinct[number].ids))
    found: dict[tuple[tuple[int, ...], tuple[Span, ...]], Reading] = {}
    for some in _batches([distinct[number] for number in order]):
        for line, states in zip(some, _states(model, some, layer), strict=True):
            means = [states[list(places)].mean(0) for places in line.places]
            found[line.ids, line.words] = Reading(line.words, np.stack(means), _static(model, line))
        yield None
    yield [found[line.ids, line.words] for line in cut]


@torch.inference_mode()
def _static(model: Network, line: _Line) -> np.ndarray | None:
    if model.config.characters:
        return None
    states = model.tokens(torch.tensor(line.ids, device=next(model.parameters()).device)).float().cpu().numpy()
    return np.stack([states[list(places)].mean(0) for places in line.places])


def _cut(model: Network, tokenizer: Tokenizer, text: str, span: Span) -> _Line:
    """The tokens of a line, or as many as may be read of them, the word in their middle."""
    encoding = tokenizer.encode(text)
    before, after = _around(model, tokenizer)
    limit = model.config.limit
    room = (WINDOW if limit is None else min(WINDOW, limit)) - len(before) - len(after)
    inside = [n for n, (start, end) in enumerate(encoding.offsets) if end > span[0] and start < span[1]]
    if not inside:
        raise SettingsError(f"this model's tokenizer drops {text[slice(*span)]!r}: look for another word")
    if room < inside[-1] - inside[0] + 1:
        raise SettingsError(f"the word has {inside[-1] - inside[0] + 1} tokens and the model reads {room} of a text")
    first = max(0, min((inside[0] + inside[-1] + 1 - room) // 2, len(encoding.ids) - room))
    kept = slice(first, first + room)
    spans = word_spans(text)
    by_word = tokens_of_words(words_of_tokens(encoding.offsets[kept], spans), len(spans))
    words = [(word, places) for word, places in zip(spans, by_word, strict=True) if places]
    unknown = unknown_words(tokenizer, text, encoding) if model.config.characters else {}
    shift = len(before) - first
    return _Line(
        ids=(*before, *encoding.ids[kept], *after),
        words=tuple(word for word, _ in words),
        places=tuple(tuple(len(before) + place for place in places) for _, places in words),
        unknown={place + shift: word for place, word in unknown.items() if first <= place < first + room},
    )


def _around(model: Network, tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The control tokens before and after a text, by the kind of model."""
    if model.config.decoder_layers == 0:
        return frame(tokenizer)
    if model.config.encoder_layers:
        before = tokenizer.layout().before
        return before, source_ids(tokenizer, ())[len(before) :]
    return beginning(tokenizer), ()


def _batches(lines: Sequence[_Line]) -> list[list[_Line]]:
    """Lines of similar length together, few enough for one pass; the longest is last in each."""
    batches: list[list[_Line]] = []
    for line in lines:
        if not batches or (len(batches[-1]) + 1) * len(line.ids) > BATCH_TOKENS:
            batches.append([])
        batches[-1].append(line)
    return batches


@torch.inference_mode()
def _states(model: Network, lines: Sequence[_Line], layer: int | None) -> list[np.ndarray]:
    """(T, W) float32 of each line, its padding left off."""
    device = next(model.parameters()).device
    width = max(len(line.ids) for line in lines)
    real = np.arange(width) < np.array([len(line.ids) for line in lines])[:, None]
    ids = np.full(real.shape, model.config.pad_token, np.int64)
    ids[real] = np.concatenate([line.ids for line in lines])
    spelt = place_spellings([line.unknown for line in lines], width, model.config.characters)
    side = Tokens(
        torch.from_numpy(ids),
        documents=None if real.all() else torch.from_numpy(np.where(real, 0, -1)),
        characters=None if spelt is None else torch.from_numpy(spelt),
    ).to(device)
    hidden = _layer(model, side, layer).float().cpu().numpy()
    return [hidden[row, : len(line.ids)] for row, line in enumerate(lines)]


def _layer(model: Network, side: Tokens, layer: int | None) -> Tensor:
    """(B, T, W): one layer's states; the last one's are those after the final norm."""
    both = model.config.encoder_layers > 0 and model.config.decoder_layers > 0
    if both:
        start = torch.full_like(side.ids[:, :1], start_token(model))
        inputs = Inputs(source=side, target=Tokens(start))
    else:
        inputs = Inputs(side, side)
    if layer is None:
        outputs = model(inputs)
        return outputs.source_hidden if both else outputs.hidden
    record = Record.empty()
    outputs = model(inputs, record=record)
    states = record.encoder_hidden if model.config.encoder_layers else record.decoder_hidden
    if not 0 <= layer < len(states):
        raise SettingsError(f"layer {layer}: this model has layers 0 (embeddings) to {len(states) - 1}")
    if layer == len(states) - 1:
        return outputs.source_hidden if both else outputs.hidden
    return states[layer]
