"""Cross entropy against a few words drawn for each row, not the whole vocabulary (Jozefowicz et al. 2016, section 3.1).

The sum over the vocabulary under log sum_j exp(s_j) is estimated without bias: the true word as it is, and n words
drawn with replacement from P, each divided by n P; a drawn word that is the true one is left out. P is log-uniform over
ids, P(r) = log((r + 2) / (r + 1)) / log(V + 1), which fits vocabularies ordered by falling frequency.

ELMo's code draws without replacement, one set for a whole batch, and corrects the true word too (by how often it is
expected among the draws, at most 1). Here each row has its own words, so that what a row meets depends on no batch
size.

B rows, T targets a row, n drawn words, P width of the states, V vocabulary.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trivium.randomness import Draws


def draw_words(draws: Draws, purpose: str, count: int, vocab_size: int) -> np.ndarray:
    """(B, count) int64, log-uniform in [0, V)."""
    numbers = np.exp(draws.uniform(purpose, count) * np.log(vocab_size + 1)) - 1
    return np.minimum(numbers.astype(np.int64), vocab_size - 1)


def log_probability(words: Tensor, vocab_size: int, dtype: torch.dtype) -> Tensor:
    """Of being drawn once. Any shape."""
    ranks = words.to(dtype)
    return torch.log(torch.log1p(1 / (ranks + 1)) / np.log(vocab_size + 1))


def sampled_cross_entropy(
    score: Callable[[Tensor, Tensor], Tensor], states: Tensor, targets: Tensor, counted: Tensor, drawn: Tensor,
    vocab_size: int,
) -> Tensor:  # fmt: skip
    """The sum over ``counted`` places. ``score(states, words)``: (B, T, P) and (B, n) to (B, T, n), each row against
    its own words; ``targets`` and ``counted`` (B, T); ``drawn`` (B, n)."""
    rows, places, width = states.shape
    own = score(states.reshape(-1, 1, width), targets.reshape(-1, 1)).view(rows, places, 1)
    others = score(states, drawn)  # (B, T, n)
    precise = torch.promote_types(states.dtype, torch.float32)
    expected = log_probability(drawn, vocab_size, precise) + np.log(drawn.shape[1])
    others = others.to(precise) - expected[:, None]
    others = others.masked_fill(drawn[:, None] == targets[..., None], -torch.inf)
    scores = torch.cat([own.to(precise), others], -1)  # (B, T, 1 + n), the true word first
    losses = F.cross_entropy(scores.flatten(0, 1), targets.new_zeros(rows * places), reduction="none")
    return losses[counted.flatten()].sum()
