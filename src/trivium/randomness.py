"""Keyed randomness: every random number is a pure function of (seed, purpose, example), never of a stream's state.

Order, masks and noise therefore depend on no worker, rank, restart or batch split, and a resumed run draws what the
uninterrupted one drew. The generator is SplitMix64 (Steele, Lea and Flood, 2014) used as a counter-based hash: the
finaliser of Stafford's variant 13 applied to ``key + counter * golden``, vectorised over examples.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def key(seed: int, *purpose: str | int) -> int:
    """A 64-bit key for a seed and the words that say what it is for; stable across runs, machines and versions."""
    text = "\x1f".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def mix(values: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser: a bijection of uint64 whose output bits each depend on all input bits. Any shape."""
    x = values.astype(np.uint64, copy=True)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def unit(bits: np.ndarray) -> np.ndarray:
    """Random bits (uint64) as numbers in [0, 1), 53 of them each. Any shape."""
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


@dataclass(frozen=True)
class Draws:
    """Random numbers for a batch of examples: row ``i`` depends on the seed, the purpose and ``examples[i]`` alone.

    ``examples``: (B,) integers, the draw numbers of the examples in the whole run, so that a text met again in the
    next epoch gets new noise.
    """

    seed: int
    examples: np.ndarray

    def bits(self, purpose: str, count: int) -> np.ndarray:
        """(B, count) uint64."""
        start = np.uint64(key(self.seed, purpose))
        rows = mix(self.examples.astype(np.uint64) * _GOLDEN + start)
        columns = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
        return mix(rows[:, None] + columns[None, :])

    def bits_at(self, purpose: str, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """``bits(purpose, ...)[rows, columns]`` without the others: (N,) uint64, where few places need a number."""
        keys = mix(self.examples.astype(np.uint64) * _GOLDEN + np.uint64(key(self.seed, purpose)))
        return mix(keys[rows] + (columns + 1).astype(np.uint64) * _GOLDEN)

    def uniform(self, purpose: str, count: int) -> np.ndarray:
        """(B, count) float64 in [0, 1), 53 random bits each."""
        return unit(self.bits(purpose, count))

    def uniform_at(self, purpose: str, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """``uniform(purpose, ...)[rows, columns]``: (N,) float64."""
        return unit(self.bits_at(purpose, rows, columns))

    def integers(self, purpose: str, count: int, high: int) -> np.ndarray:
        """(B, count) int64 in [0, high)."""
        return (self.uniform(purpose, count) * high).astype(np.int64)
