"""Sentences in tokenised documents, and pieces for rows that are made of whole ones.

RoBERTa packs rows "with full sentences sampled contiguously", over documents (FULL-SENTENCES) or within them
(DOC-SENTENCES; Liu et al. 2019, section 4.2). Where sentences end is read from the tokens: the shards hold no lines.

D documents, S sentences, P pieces.
"""

from dataclasses import dataclass

import numpy as np

from trivium.text.rows import Layout
from trivium.text.shards import Shards

_TOKENS = 1 << 22  # looked through at a time, which bounds the memory


@dataclass(frozen=True)
class Sentences:
    """Of all documents that are not empty, one after the other."""

    starts: np.ndarray  # (S,) int64: where each begins in the shards
    offsets: np.ndarray  # (S + 1,) int64: tokens before each
    first: np.ndarray  # (D + 1,) int64: the first sentence of each document


def find_sentences(shards: Shards, ends: np.ndarray, longest: int) -> Sentences:
    """``ends`` (V,) bool: the ids that end a sentence. None is longer than ``longest`` tokens."""
    starts, stops = shards.starts, shards.ends - 1  # without the end token
    starts, stops = starts[stops > starts], stops[stops > starts]
    found = [stops]
    for begin in range(0, len(shards.tokens), _TOKENS):
        closes = ends[shards.take(np.arange(begin, min(begin + _TOKENS + 1, len(shards.tokens))))]
        found.append(np.flatnonzero(closes[:-1] & ~closes[1:]) + begin + 1)
    stop = np.unique(np.concatenate(found))
    document = np.minimum(np.searchsorted(stops, stop), max(0, len(stops) - 1))
    inside = (stop > starts[document]) & (stop <= stops[document]) if len(stops) else np.zeros(0, bool)
    stop, document = stop[inside], document[inside]
    start = np.maximum(np.concatenate([[0], stop[:-1]]), starts[document])
    pieces = -(-(stop - start) // longest)
    last = np.cumsum(pieces)
    number = np.arange(pieces.sum()) - np.repeat(last - pieces, pieces)
    start = np.repeat(start, pieces) + number * longest
    lengths = np.minimum(np.repeat(stop, pieces) - start, longest)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    each = np.bincount(np.repeat(document, pieces), minlength=len(starts))
    return Sentences(start, offsets, np.concatenate([[0], np.cumsum(each)]))


def sentence_pieces(shards: Shards, layout: Layout) -> tuple[np.ndarray, np.ndarray]:
    """Starts and lengths (P,) of pieces: as many sentences in a row as ``layout.room`` holds. No token of the text is
    lost; a sentence longer than that is cut. ``layout.joined``: end tokens within a piece are part of it."""
    ends = np.isin(np.arange(shards.vocab_size), layout.sentences)
    sentences = find_sentences(shards, ends, layout.room)
    starts = sentences.starts
    stops = starts + np.diff(sentences.offsets)
    bounds = sentences.first  # (D + 1,): a piece does not cross these
    if layout.joined and len(starts):
        inner = bounds[1:-1]
        apart = starts[inner] - stops[inner - 1] != 1  # more between them than one end token: they are not neighbours
        bounds = np.concatenate([bounds[:1], inner[apart], bounds[-1:]])
    limit = bounds[np.searchsorted(bounds, np.arange(len(starts)), side="right")] if len(starts) else starts
    following = np.clip(np.searchsorted(stops, starts + layout.room, side="right"), np.arange(len(starts)) + 1, limit)
    found, at, end = [np.zeros(0, np.int64)], bounds[:-1], bounds[1:]
    at, end = at[at < end], end[at < end]
    while len(at):  # all documents side by side, a piece of each at a time
        found.append(at)
        at = following[at]
        at, end = at[at < end], end[at < end]
    first = np.sort(np.concatenate(found))
    return starts[first], stops[following[first] - 1] - starts[first]
