"""Where noise falls in a text: T5's noise masks (Raffel et al. 2020, section 3.3; t5/data/preprocessors.py) and MASS's.

Each is a pure function of lengths and draws for a whole batch: (lengths (B,), T, draws, rate, mean_length) -> (B, T)
bool.
"""

import numpy as np

from trivium.objectives.selection import exact
from trivium.randomness import Draws


def iid(lengths: np.ndarray, width: int, draws: Draws, rate: float, mean_length: float) -> np.ndarray:
    """A coin for each token; ``mean_length`` has no meaning here."""
    return (draws.uniform("noise/iid", width) < rate) & (np.arange(width) < lengths[:, None])


def prefix(lengths: np.ndarray, width: int, draws: Draws, rate: float, mean_length: float) -> np.ndarray:
    """The first k tokens, k uniform in max(1, round((1 - 2 rate)(n - 1))) .. n - 1: at a rate of 0.5 in 1 .. n - 1.
    A text of one token has no prefix."""
    least = np.maximum(1, np.rint((1 - 2 * rate) * (lengths - 1)).astype(np.int64))
    choices = np.maximum(lengths - least, 0)
    ends = np.where(choices > 0, least + (draws.uniform("noise/prefix", 1)[:, 0] * choices).astype(np.int64), 0)
    return np.arange(width) < ends[:, None]


def fragment(lengths: np.ndarray, width: int, draws: Draws, rate: float, mean_length: float) -> np.ndarray:
    """One run of round(n * rate) tokens, at least 1, anywhere in the text (MASS)."""
    sizes = np.clip(np.rint(lengths * rate).astype(np.int64), np.minimum(1, lengths), lengths)
    starts = (draws.uniform("noise/fragment", 1)[:, 0] * (lengths - sizes + 1)).astype(np.int64)
    places = np.arange(width)
    return (places >= starts[:, None]) & (places < (starts + sizes)[:, None])


def span_counts(lengths: np.ndarray, rate: float, mean_length: float) -> tuple[np.ndarray, np.ndarray]:
    """(noise tokens, noise spans) of texts of ``lengths``, halves rounded to even: 512 -> 77, 26; 568 -> 85, 28."""
    lengths = np.maximum(lengths, 2)
    noise = np.clip(np.rint(lengths * rate).astype(np.int64), 1, lengths - 1)
    spans = np.maximum(1, np.rint(noise / mean_length).astype(np.int64))
    return noise, np.minimum(spans, np.minimum(noise, lengths - noise))  # every segment needs a token


def random_spans(lengths: np.ndarray, width: int, draws: Draws, rate: float, mean_length: float) -> np.ndarray:
    """Exactly the counts of ``span_counts``, cut into spans uniformly: text first, noise last, alternating."""
    noise, spans = span_counts(lengths, rate, mean_length)
    kept = np.maximum(lengths, 2) - noise
    most = int(spans.max())
    pieces = np.stack(  # (B, spans, 2): text, noise, text, noise ...
        [
            _segments(kept, spans, draws.uniform("noise/text", int(kept.max())), most),
            _segments(noise, spans, draws.uniform("noise/noise", int(noise.max())), most),
        ],
        axis=2,
    ).reshape(len(lengths), 2 * most)
    ends = np.cumsum(pieces, axis=1)
    places = np.arange(width)
    flat = np.minimum(ends, width) + np.arange(len(lengths))[:, None] * (width + 1)
    turns = np.bincount(flat.ravel(), minlength=len(lengths) * (width + 1)).reshape(len(lengths), width + 1)
    passed = np.cumsum(turns, axis=1)[:, :width]  # how many pieces end at or before each place
    return (passed % 2 == 1) & (places < lengths[:, None])


def _segments(totals: np.ndarray, counts: np.ndarray, keys: np.ndarray, most: int) -> np.ndarray:
    """Cut ``totals`` (B,) items into ``counts`` (B,) non-empty segments, uniformly: (B, most) lengths, 0 beyond.

    The ``counts - 1`` smallest keys among the ``totals - 1`` inner places begin a new segment.
    """
    batch, width = keys.shape
    inner = (np.arange(width) > 0) & (np.arange(width) < totals[:, None])
    begins = exact(keys, inner, counts - 1)
    segment = np.cumsum(begins, axis=1) + np.arange(batch)[:, None] * most
    items = np.arange(width) < totals[:, None]
    return np.bincount(segment[items], minlength=batch * most).reshape(batch, most)
