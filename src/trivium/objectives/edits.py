"""Corruptions of a text, to be recovered: masks, substitutions, reorderings, deletions and insertions at exact rates,
BART's text infilling, sentences in another order, and rotation (Lewis et al. 2020, section 2.2; fairseq's
denoising_dataset.py).

Each is a pure function of a batch of ``Edited`` texts to another one, and they are freely combined: a token that was
corrupted once is not corrupted again, but may still be moved. ``origins`` keep the alignment of the edits: the place
in the original that each token comes from or stands in for, -1 for what was inserted.

B rows, T places, W words or sentences of the longest row. Nothing loops over tokens or rows.
"""

from dataclasses import dataclass, replace

import numpy as np

from trivium.objectives.selection import exact
from trivium.objectives.sentinels import Ragged
from trivium.randomness import Draws


@dataclass(frozen=True)
class Edited:
    """Texts on their way from the original to what the encoder sees, right-padded."""

    tokens: np.ndarray  # (B, T) int64
    origins: np.ndarray  # (B, T) int64: -1 for insertions and padding
    free: np.ndarray  # (B, T) bool: text that no edit has touched yet; never control tokens or padding
    lengths: np.ndarray  # (B,) int64

    @classmethod
    def of(cls, tokens: np.ndarray, real: np.ndarray, fixed: np.ndarray) -> "Edited":
        """The originals (B, T); ``fixed`` places keep their token."""
        places = np.where(real, np.arange(tokens.shape[1]), -1)
        return cls(np.where(real, tokens, 0), places, real & ~fixed, real.sum(axis=1))

    @property
    def real(self) -> np.ndarray:
        return np.arange(self.tokens.shape[1]) < self.lengths[:, None]

    def ragged(self) -> Ragged:
        return Ragged(self.tokens, self.lengths)

    def moved(self, order: np.ndarray) -> "Edited":
        """Place i takes what was at ``order`` (B, T)[i]."""
        tokens, origins, free = (np.take_along_axis(x, order, axis=1) for x in (self.tokens, self.origins, self.free))
        return Edited(tokens, origins, free, self.lengths)

    def keep(self, kept: np.ndarray) -> "Edited":
        """Only the places ``kept`` (B, T), closed up."""
        kept = kept & self.real
        lengths = kept.sum(axis=1)
        order = np.argsort(~kept, axis=1, kind="stable")[:, : int(lengths.max(initial=0))]
        closed = self.moved(order)
        beyond = np.arange(order.shape[1]) >= lengths[:, None]
        return Edited(
            np.where(beyond, 0, closed.tokens), np.where(beyond, -1, closed.origins), closed.free & ~beyond, lengths
        )


def counts(texts: Edited, rate: float) -> np.ndarray:
    """(B,) how many tokens a rate is of the original texts: round(n * rate), n without control tokens."""
    return np.rint(texts.free.sum(axis=1) * rate).astype(np.int64)


def mask(texts: Edited, count: np.ndarray, draws: Draws, fill: np.ndarray) -> Edited:
    """``count`` (B,) tokens replaced by what ``fill`` (B, T) has at their places: the mask token."""
    chosen = _chosen(texts, count, draws, "edits/mask")
    return replace(texts, tokens=np.where(chosen, fill, texts.tokens), free=texts.free & ~chosen)


def substitute(texts: Edited, count: np.ndarray, draws: Draws, vocabulary: np.ndarray) -> Edited:
    """``count`` (B,) tokens replaced by other ones, never by themselves. ``vocabulary`` (V',): rising ids."""
    chosen = _chosen(texts, count, draws, "edits/substitute")
    away = 1 + draws.integers("edits/other", texts.tokens.shape[1], len(vocabulary) - 1)
    other = vocabulary[(np.searchsorted(vocabulary, texts.tokens) + away) % len(vocabulary)]
    return replace(texts, tokens=np.where(chosen, other, texts.tokens), free=texts.free & ~chosen)


def reorder(texts: Edited, count: np.ndarray, draws: Draws, window: int, documents: np.ndarray) -> Edited:
    """``count`` (B,) tokens put in a random order among those of the same number in ``documents`` (B, T); with a
    ``window``, round(count / window) runs of so many tokens, each in a random order of its own."""
    width = texts.tokens.shape[1]
    if window:
        padded = np.pad(texts.free, ((0, 0), (0, -width % window))).reshape(len(texts.tokens), -1, window)
        keys = draws.uniform("edits/windows", padded.shape[1])
        windows = exact(keys, padded.min(axis=2), np.rint(count / window).astype(np.int64))
        chosen = np.repeat(windows, window, axis=1)[:, :width]
        group = np.arange(width) // window
    else:
        chosen, group = _chosen(texts, count, draws, "edits/reorder"), documents
    keys = np.where(chosen, group + draws.uniform("edits/order", width), np.inf)
    moved = texts.moved(_exchange(chosen, keys))
    return replace(moved, free=texts.free & ~chosen)


def delete(texts: Edited, count: np.ndarray, draws: Draws) -> Edited:
    """``count`` (B,) tokens dropped."""
    return texts.keep(~_chosen(texts, count, draws, "edits/delete"))


def insert(texts: Edited, count: np.ndarray, draws: Draws, fill: np.ndarray, purpose: str = "edits/insert") -> Edited:
    """``count`` (B,) tokens, the first ones of ``fill`` (B, N), at random places between, before and after the
    others: every set of places in the longer text is as likely."""
    lengths = texts.lengths + count
    width = int(lengths.max(initial=0))
    new = exact(draws.uniform(purpose, width), np.arange(width) < lengths[:, None], count)
    old = ~new & (np.arange(width) < lengths[:, None])
    tokens, origins, free = np.zeros_like(new, np.int64), np.full(new.shape, -1), np.zeros_like(new)
    real = texts.real
    tokens[old], origins[old], free[old] = texts.tokens[real], texts.origins[real], texts.free[real]
    tokens[new] = fill[np.arange(fill.shape[1]) < count[:, None]]
    return Edited(tokens, origins, free, lengths)


def permute_sentences(texts: Edited, ends: np.ndarray, share: float, draws: Draws) -> Edited:
    """ceil(share * sentences) of the sentences in a random order among themselves. ``ends`` (B, T): tokens that end a
    sentence; a run of them ends one; what is left of a text is its last."""
    real = texts.real
    ends = ends & real
    last = ends.copy()
    last[:, :-1] &= ~ends[:, 1:]
    sentence = np.cumsum(last, axis=1) - last  # (B, T) its number
    number = np.where(real, sentence, -1).max(axis=1, initial=-1) + 1
    width = int(number.max(initial=0))
    present = np.arange(width) < number[:, None]
    chosen = exact(draws.uniform("edits/sentences", width), present, np.ceil(number * share - 1e-9).astype(np.int64))
    came = _exchange(chosen, np.where(chosen, draws.uniform("edits/sentence order", width), np.inf))
    slots = np.argsort(came, axis=1, kind="stable")  # where each sentence goes
    keys = np.where(real, np.take_along_axis(slots, np.minimum(sentence, max(0, width - 1)), axis=1), width)
    return texts.moved(np.argsort(keys, axis=1, kind="stable"))


def rotate(texts: Edited, offsets: np.ndarray) -> Edited:
    """Each text begun at its token ``offsets`` (B,), what was before it put behind."""
    width = texts.tokens.shape[1]
    lengths = np.maximum(texts.lengths, 1)[:, None]
    order = (np.arange(width) + offsets[:, None]) % lengths
    return texts.moved(np.where(texts.real, order, np.arange(width)))


def span_lengths(draws: Draws, budget: np.ndarray, mean_length: float) -> np.ndarray:
    """(B, N) lengths from a Poisson distribution, drawn until they add up to ``budget`` (B,), the last one cut; 0 is an
    empty span and -1 no span."""
    table = np.cumsum(_poisson(mean_length))
    width = max(1, int(budget.max(initial=0)))
    while True:  # a draw does not depend on how many are drawn
        lengths = np.searchsorted(table, draws.uniform("edits/lengths", width), side="right")
        totals = np.cumsum(lengths, axis=1)
        if (totals[:, -1] >= budget).all():
            break
        width *= 2
    before = totals - lengths
    return np.where(before < budget[:, None], np.minimum(lengths, budget[:, None] - before), -1)


def infill(
    texts: Edited, words: np.ndarray, rate: float, mean_length: float, draws: Draws, fill: np.ndarray
) -> Edited:
    """BART's text infilling: spans of whole words, ceil(rate * words) words in all, each become one token of ``fill``
    (B, N), and where a span is empty one is put in. ``words`` (B, T): the number of the word each token is of.

    As in the code, spans begin at different words and may meet or run over each other's beginnings; those are one span.
    They do not run over the text's end or over control tokens. Unlike it, a text never grows: empty spans that would
    make it longer than the original are left out.
    """
    rows, width = texts.tokens.shape
    starts = texts.free.copy()
    starts[:, 1:] &= words[:, 1:] != words[:, :-1]
    number = np.cumsum(starts, axis=1) - 1  # (B, T) which of the text's own words
    total = starts.sum(axis=1)
    budget = np.ceil(total * rate - 1e-9).astype(np.int64)
    lengths = span_lengths(draws, budget, mean_length)

    most = max(1, int(total.max(initial=0)))
    order = np.argsort(
        np.where(np.arange(most) < total[:, None], draws.uniform("edits/starts", most), np.inf), axis=1, kind="stable"
    )
    filled = np.argsort(lengths <= 0, axis=1, kind="stable")  # spans that are not empty first, in their order
    long = np.take_along_axis(np.maximum(lengths, 0), filled, axis=1)
    long = np.pad(long, ((0, 0), (0, max(0, most - long.shape[1]))))[:, :most]
    length = np.zeros((rows, most), np.int64)  # of the span that begins at each word
    np.put_along_axis(length, order, long, axis=1)

    # Control tokens part a row into stretches; a span ends with its own.
    stretch = np.cumsum(~texts.free, axis=1)
    at, place = np.nonzero(starts)
    word = number[at, place]
    stretch_of = np.full((rows, most + 1), -1, np.int64)
    stretch_of[at, word] = stretch[at, place]
    closes = np.where(stretch_of[:, :-1] != stretch_of[:, 1:], np.arange(1, most + 1), most)
    limit = np.minimum.accumulate(closes[:, ::-1], axis=1)[:, ::-1]
    stops = np.minimum(np.arange(most) + length, limit)
    change = np.zeros((rows, most + 2), np.int64)  # +1 after the first word of a span, -1 after its last
    at, word = np.nonzero(length)
    np.add.at(change, (at, word + 1), 1)
    np.add.at(change, (at, stops[at, word]), -1)
    run_over = np.cumsum(change, axis=1)[:, :most] > 0

    mine = np.clip(number, 0, most - 1)
    begun = np.take_along_axis(length > 0, mine, axis=1) & texts.free
    over = np.take_along_axis(run_over, mine, axis=1) & texts.free
    marks = starts & begun & ~over
    dropped = (begun | over) & ~marks
    rank = np.maximum(np.cumsum(marks, axis=1) - 1, 0)
    tokens = np.where(marks, np.take_along_axis(fill, rank, axis=1), texts.tokens)
    shorter = replace(texts, tokens=tokens, free=texts.free & ~marks).keep(~dropped)
    empty = np.minimum((lengths == 0).sum(axis=1), dropped.sum(axis=1))
    return insert(shorter, empty, draws, fill[:, ::-1], "edits/empty")


def _chosen(texts: Edited, count: np.ndarray, draws: Draws, purpose: str) -> np.ndarray:
    return exact(draws.uniform(purpose, texts.tokens.shape[1]), texts.free, count)


def _exchange(chosen: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """(B, T) places to take from: the ``chosen`` ones in the order of their keys, all others their own."""
    slots = np.argsort(np.where(chosen, 0, 1), axis=1, kind="stable")
    drawn = np.argsort(np.where(chosen, keys, np.inf), axis=1, kind="stable")
    order = np.empty_like(slots)
    np.put_along_axis(order, slots, drawn, axis=1)
    return order


def _poisson(mean: float) -> np.ndarray:
    """Probabilities of 0, 1, 2 ... as far as they matter."""
    most = int(mean + 12 * np.sqrt(mean) + 20)
    logs = np.arange(most) * np.log(mean) - mean - np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most)))])
    return np.exp(logs)
