"""From scores of pieces to those of words: of the first piece, or of all by product, mean or maximum."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

Decision = Literal["first", "product", "mean", "max"]

LEAST = -1e4  # of a maximum: what no piece has


def word_scores(
    scores: Tensor, targets: Mapping[str, Tensor], decide: Decision
) -> Tensor:
    """(B, T, K) scores of pieces to (B, W, K) log-probabilities of words; even ones for a word without a piece."""
    rows, _, kinds = scores.shape
    firsts = targets["firsts"]
    if decide == "first":
        at = scores.gather(1, firsts.clamp(min=0)[:, :, None].expand(-1, -1, kinds))
        return at.masked_fill((firsts < 0)[:, :, None], 0.0).log_softmax(2)
    width = firsts.shape[1]
    words = targets["words"]
    offset = torch.arange(rows, device=words.device)[:, None] * width
    place = torch.where(words >= 0, words + offset, rows * width).flatten()  # the last is nobody's
    logs = scores.log_softmax(2).flatten(0, 1)  # (B T, K)
    if decide == "max":
        empty = logs.new_full((rows * width + 1, kinds), LEAST)
        joined = empty.scatter_reduce(0, place[:, None].expand(-1, kinds), logs, "amax")
    else:
        empty = logs.new_zeros(rows * width + 1, kinds)
        joined = empty.index_add(0, place, logs if decide == "product" else logs.exp())
        joined = joined if decide == "product" else joined.clamp(min=1e-30).log()
    return joined[:-1].view(rows, width, kinds).log_softmax(2)
