"""A tagger's conditional random field: the loss of a batch of windows, and the best tags of whole sentences.

The chain itself and its algorithms are in ``transformer/crf.py``.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from trivium.tasks.batching import within_budget
from trivium.transformer import TOKEN
from trivium.transformer.crf import FORBIDDEN, best_paths, log_partition, marginals, path_score, with_ends

WORDS = 8192  # of a batch of sentences that are decoded, with its padding

Triple = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of neighbours (K, K), of a sentence's first tag and of its last (K,)."""


class ChainScores(NamedTuple):
    """A chain's scores with those of the tags that may not be where they are."""

    transition: np.ndarray
    start: np.ndarray
    end: np.ndarray

    @classmethod
    def of(cls, learnt: Sequence[Tensor], forbidden: Triple) -> Self:
        found = (each.detach().cpu().double().numpy() for each in learnt)
        return cls(*(scores + FORBIDDEN * banned for scores, banned in zip(found, forbidden, strict=True)))


def chain_loss(
    words: Tensor, learnt: Sequence[Tensor], forbidden: Triple | None, targets: Mapping[str, Tensor]
) -> Tensor:
    """The sum of -log p of the true sequences, for (B, W, K) scores of words. A window inside a sentence has no score
    for where it begins or ends."""
    transition, start, end = learnt
    if forbidden is not None:
        between, first, last = (torch.from_numpy(each).to(words) * FORBIDDEN for each in forbidden)
        transition, start, end = transition + between, start + first, end + last
    counts = targets["counts"]
    begins, ends = targets["begins"][:, None], targets["ends"][:, None]
    emissions = with_ends(words, counts, begins * start, ends * end)
    paths = path_score(emissions, transition, counts, targets[TOKEN])
    return (log_partition(emissions, transition, counts) - paths).sum().float().to(words.device)


def decode(sentences: Sequence[np.ndarray], chain: ChainScores) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The best sequence of labels for (W, K) scores of each sentence, and (W, K) the probability of each label."""
    lengths = np.array([len(each) for each in sentences])
    paths: list[np.ndarray] = [np.empty(0)] * len(sentences)
    chances: list[np.ndarray] = [np.empty(0)] * len(sentences)
    transition = torch.from_numpy(chain.transition)
    for numbers in within_budget(lengths, np.arange(len(sentences)), WORDS):
        counts = torch.from_numpy(lengths[numbers])
        given = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(sentences[n]) for n in numbers], batch_first=True)
        emissions = with_ends(given, counts, torch.from_numpy(chain.start), torch.from_numpy(chain.end))
        best = best_paths(emissions.numpy(), chain.transition, counts.numpy())
        found = marginals(emissions, transition, counts).numpy()
        for row, number in enumerate(numbers):
            paths[number] = best[row, : lengths[number]]
            chances[number] = found[row, : lengths[number]]
    return paths, chances
