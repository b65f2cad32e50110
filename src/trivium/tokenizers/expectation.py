"""Expectation maximisation and pruning of a Unigram model (Kudo 2018, section 3.2): one E step, one M step, the loss of
each piece, and the loop of them. The loops over characters are in ``unigram_kernels.py``.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from trivium.tokenizers.seeds import Lattices

LEAST = 0.5  # a piece of fewer expected occurrences is dropped
SPARE = 1.1  # pruning stops at this many times the vocabulary
EM_STEPS = 2
_CHUNKS = 8  # the work is cut in as many parts on every machine, so that sums do not depend on the number of cores
_SMALL_WORK = 20_000
Result = TypeVar("Result")


def e_step(lattices: Lattices, threads: int = 2) -> tuple[np.ndarray, float]:
    """Each piece's expected occurrences under the present probabilities, and the log-likelihood of the text."""
    from trivium.tokenizers.unigram_kernels import expectation

    probabilities = np.exp(lattices.scores)

    def work(low: int, high: int) -> tuple[np.ndarray, float]:
        expected = np.zeros(len(lattices.lengths))
        likelihood = expectation(
            lattices.starts,
            lattices.counts,
            lattices.first,
            lattices.pieces,
            lattices.lengths,
            probabilities,
            low,
            high,
            expected,
        )
        return expected, likelihood

    parts = _in_parts(work, len(lattices.counts), threads)
    return np.sum([expected for expected, _ in parts], axis=0), math.fsum(likelihood for _, likelihood in parts)


def _in_parts(work: Callable[[int, int], Result], size: int, threads: int) -> list[Result]:
    """``work(low, high)`` over fixed parts of ``range(size)``, in order."""
    cuts = np.linspace(0, size, (_CHUNKS if size > _SMALL_WORK else 1) + 1).astype(int).tolist()
    spans = list(zip(cuts[:-1], cuts[1:], strict=True))
    if threads < 2 or len(spans) == 1:
        return [work(low, high) for low, high in spans]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda span: work(*span), spans))


def m_step(
    expected: np.ndarray, sparse: bool = True, kept: np.ndarray | None = None, least: float = LEAST
) -> tuple[np.ndarray, np.ndarray]:
    """(truth values of the pieces that stay, log-probabilities). Pieces of fewer than ``least`` expected occurrences
    go, except those of ``kept``, which count as ``least``. Plain EM is log c - log sum; sparse: digamma for log."""
    stay = expected >= least
    if kept is not None:
        stay |= kept
    counted = np.where(stay, np.maximum(expected, least), 0.0)
    total = counted.sum()
    scores = np.full(len(expected), -np.inf)
    positive = counted > 0
    if sparse:
        scores[positive] = digamma(counted[positive]) - digamma(np.array([total]))[0]
    else:
        scores[positive] = np.log(counted[positive]) - math.log(total)
    return stay, scores


def digamma(x: np.ndarray) -> np.ndarray:
    """The derivative of log gamma, for positive numbers, to some 1e-13: recurrence up to 10, then its asymptotic
    series (Abramowitz & Stegun 6.3.5, 6.3.18)."""
    value, shifted = np.zeros(len(x)), np.array(x, np.float64)
    while (small := shifted < 10).any():
        value[small] -= 1 / shifted[small]
        shifted[small] += 1
    square = 1 / (shifted * shifted)
    series = square * (1 / 12 - square * (1 / 120 - square * (1 / 252 - square * (1 / 240 - square / 132))))
    return value + np.log(shifted) - 0.5 / shifted - series


def prune_losses(lattices: Lattices, threads: int = 2) -> np.ndarray:
    """What the likelihood of a word loses on average without each piece: SentencePiece's approximation, in which every
    occurrence takes the piece's own best other segmentation. inf: a piece that has no other, -inf: one not used."""
    from trivium.tokenizers.unigram_kernels import best_paths, losses

    size = len(lattices.lengths)
    graph = (lattices.first, lattices.pieces, lattices.lengths, lattices.scores)

    def walk(low: int, high: int) -> np.ndarray:
        found = np.zeros((2, size), np.int64)
        best_paths(lattices.starts, lattices.counts, *graph, low, high, found[0], found[1])
        return found

    used, inside = np.sum(_in_parts(walk, len(lattices.counts), threads), axis=0)
    loss = np.empty(size)
    units = float(lattices.counts.sum())

    def lose(low: int, high: int) -> None:
        losses(lattices.places, *graph, used, inside, units, low, high, loss)

    _in_parts(lose, size, threads)
    return loss


def fit(
    lattices: Lattices, size: int, prune: float = 0.25, sparse: bool = True, steps: int = EM_STEPS, threads: int = 2
) -> None:
    """EM and pruning until at most ``SPARE * size`` pieces are left; never fewer than ``size``."""
    enough = max(int(SPARE * size), lattices.characters)
    while True:
        for _ in range(steps):
            expected, _ = e_step(lattices, threads)
            kept = np.zeros(len(expected), bool)
            kept[: lattices.characters] = True
            if (stayed := int(((expected >= LEAST) | kept).sum())) < size:  # the best of those too rare
                rare = np.flatnonzero((expected < LEAST) & ~kept)
                kept[rare[np.argsort(-expected[rare], kind="stable")][: size - stayed]] = True
            lattices.keep(*m_step(expected, sparse, kept))
        if len(lattices.lengths) <= enough:
            return
        loss = prune_losses(lattices, threads)
        loss[: lattices.characters] = np.inf
        target = max(enough, int((1 - prune) * len(loss)))
        order = np.argsort(-loss, kind="stable")[:target]
        kept = np.zeros(len(loss), bool)
        kept[order[loss[order] > -np.inf]] = True
        if kept.sum() < size:
            kept[order[:size]] = True
        lattices.keep(kept, lattices.scores)
