"""What the encoder sees and what the decoder writes, given where the noise is: T5's input and target functions.

Pure functions of a ``Noised`` batch to a ``Ragged`` one; they move tokens by computed places, whole batch at once.
"""

from dataclasses import dataclass

import numpy as np

from trivium.randomness import Draws


@dataclass(frozen=True)
class Noised:
    """A batch of texts and where the noise fell."""

    tokens: np.ndarray  # (B, T) int64
    real: np.ndarray  # (B, T) bool: False on padding
    noise: np.ndarray  # (B, T) bool, within ``real``
    sentinels: np.ndarray  # (S,) int64: <extra_id_0> first
    draws: Draws  # for what is random beside where the noise falls
    vocabulary: np.ndarray  # (V',) int64: what a random token is drawn from


@dataclass(frozen=True)
class Ragged:
    """Right-padded rows with their lengths."""

    tokens: np.ndarray  # (B, T') int64, 0 beyond the length
    lengths: np.ndarray  # (B,) int64

    @property
    def real(self) -> np.ndarray:
        return np.arange(self.tokens.shape[1]) < self.lengths[:, None]

    def closed(self, token: int) -> "Ragged":
        """Every row with ``token`` after its last one."""
        tokens = np.pad(self.tokens, ((0, 0), (0, 1)))
        np.put_along_axis(tokens, self.lengths[:, None], token, axis=1)
        return Ragged(tokens, self.lengths + 1)


def run_starts(mask: np.ndarray) -> np.ndarray:
    """(B, T) bool: the first position of each run of True."""
    starts = mask.copy()
    starts[:, 1:] &= ~mask[:, :-1]
    return starts


def within_sentinels(noise: np.ndarray, sentinels: int) -> np.ndarray:
    """Noise without the runs for which no sentinel is left; one stays for the end of the targets."""
    return noise & (np.cumsum(run_starts(noise), axis=1) < sentinels)


def sentinel_for_noise(batch: Noised) -> Ragged:
    """The text with each run of noise as one sentinel: ``Thank you <X> me to your party <Y> week .``"""
    return _replace_runs(batch.tokens, batch.noise, batch.real, batch.sentinels)


def sentinel_for_text(batch: Noised) -> Ragged:
    """The noise with each run of text as one sentinel, as T5's code does: it differs from the paper's format where the
    text begins with noise (no sentinel opens it) or ends with it (none closes it)."""
    return _replace_runs(batch.tokens, ~batch.noise & batch.real, batch.real, batch.sentinels)


def noise_after_sentinels(batch: Noised) -> Ragged:
    """The paper's targets: each run of noise after its own sentinel, one more at the end:
    ``<X> for inviting <Y> last <Z>``"""
    starts = run_starts(batch.noise)
    runs = np.cumsum(starts, axis=1)
    rows, columns = np.nonzero(batch.noise)
    places = np.cumsum(batch.noise, axis=1) + runs - 1  # of each noise token, sentinels before it counted
    lengths = batch.noise.sum(axis=1) + starts.sum(axis=1)
    tokens = np.zeros((len(lengths), int(lengths.max(initial=0))), np.int64)
    tokens[rows, places[rows, columns]] = batch.tokens[rows, columns]
    rows, columns = np.nonzero(starts)
    tokens[rows, places[rows, columns] - 1] = batch.sentinels[runs[rows, columns] - 1]
    opened = Ragged(np.pad(tokens, ((0, 0), (0, 1))), lengths + 1)
    np.put_along_axis(opened.tokens, lengths[:, None], batch.sentinels[starts.sum(axis=1)][:, None], axis=1)
    return opened


def text_alone(batch: Noised) -> Ragged:
    """The text with the noise dropped."""
    return _compact(batch.tokens, batch.real & ~batch.noise)


def noise_alone(batch: Noised) -> Ragged:
    """The noise with the text dropped."""
    return _compact(batch.tokens, batch.noise)


def original(batch: Noised) -> Ragged:
    """The text as it was."""
    return Ragged(batch.tokens, batch.real.sum(axis=1))


def blank_for_noise(batch: Noised) -> Ragged:
    """Each noise token as the first sentinel: ``Thank you <M> <M> me to your party <M> week .``"""
    return Ragged(np.where(batch.noise, batch.sentinels[0], batch.tokens), batch.real.sum(axis=1))


def blank_or_random(batch: Noised) -> Ragged:
    """90% of the noise as the first sentinel, 10% as a random token: ``Thank you <M> <M> me to your party apple``"""
    return _blank_random_kept(batch, blank=0.9, random=0.1)


def blank_random_or_kept(batch: Noised) -> Ragged:
    """BERT's shares, which MASS keeps: 80% as the first sentinel, 10% as a random token, 10% as it was."""
    return _blank_random_kept(batch, blank=0.8, random=0.1)


def noise_shuffled(batch: Noised) -> Ragged:
    """The noise tokens in a random order, in the places that they have."""
    keys = batch.draws.uniform("noise/shuffle", batch.tokens.shape[1])
    slots = np.argsort(np.where(batch.noise, 0.0, 1.0), axis=1, kind="stable")  # the places of noise first, in order
    drawn = np.argsort(np.where(batch.noise, keys, np.inf), axis=1, kind="stable")
    tokens = np.empty_like(batch.tokens)
    np.put_along_axis(tokens, slots, np.take_along_axis(batch.tokens, drawn, axis=1), axis=1)
    return Ragged(tokens, batch.real.sum(axis=1))


def _blank_random_kept(batch: Noised, blank: float, random: float) -> Ragged:
    width = batch.tokens.shape[1]
    how = batch.draws.uniform("noise/how", width)
    other = batch.vocabulary[batch.draws.integers("noise/other", width, len(batch.vocabulary))]
    tokens = np.where(batch.noise & (how < blank), batch.sentinels[0], batch.tokens)
    tokens = np.where(batch.noise & (how >= blank) & (how < blank + random), other, tokens)
    return Ragged(tokens, batch.real.sum(axis=1))


def _replace_runs(tokens: np.ndarray, mask: np.ndarray, real: np.ndarray, sentinels: np.ndarray) -> Ragged:
    starts = run_starts(mask)
    runs = np.minimum(np.cumsum(starts, axis=1), len(sentinels))
    return _compact(np.where(starts, sentinels[runs - 1], tokens), real & (~mask | starts))


def _compact(tokens: np.ndarray, keep: np.ndarray) -> Ragged:
    lengths = keep.sum(axis=1)
    rows, columns = np.nonzero(keep)
    compacted = np.zeros((len(lengths), int(lengths.max(initial=0))), np.int64)
    compacted[rows, (np.cumsum(keep, axis=1) - 1)[rows, columns]] = tokens[rows, columns]
    return Ragged(compacted, lengths)
