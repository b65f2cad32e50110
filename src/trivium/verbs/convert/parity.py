"""Two readers' numbers for one model held against each other, and how far they may differ.

A difference is relative: the largest of all, over the largest of the numbers themselves; and the mean of all, of which
a quarter is allowed, since one rare token may stray and a model as a whole may not. In float32 two programs that
do the same sum differ in the order of additions, by 0.00001 and less, so 0.0001 is much and a single wrong tensor far
more. Rounded weights are compared with the source's, not with themselves, so the bound has to leave room for what
rounding costs: float16 keeps 11 bits of a number, bfloat16 8, and Q8_0 about 8 of the largest in each 32. llama.cpp
also rounds what goes into a product to the kind of the weights, and takes GELU from a table of half precision.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trivium.verbs.convert.readers import Answer, Measure

BOUNDS = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1, "q8_0": 2e-1}
"""Of each kind of number the largest relative difference; the mean of all may be a quarter of that."""


@dataclass(frozen=True)
class Parity:
    """The outcome. ``top1``: the share of positions with the same highest number; None where that says nothing.
    ``tokens``: texts of ``texts`` that both cut into the same ids. ``missing`` and ``unexpected``: tensors, as the
    reader names them."""

    reader: str
    independent: bool
    measure: Measure
    positions: int
    numbers: int
    largest: float
    mean: float
    relative: float
    bound: float
    top1: float | None
    tokens: int
    texts: int
    stops: list[int]
    stops_read: list[int]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    remark: str
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return not self.problems


def compared(
    expected: Sequence[np.ndarray], ids: Sequence[Sequence[int]], stops: list[int], answer: Answer, measure: Measure,
    bound: float,
) -> Parity:  # fmt: skip
    """``expected``, ``ids`` and ``stops`` are the source's, by our own reading."""
    same_shape = all(ours.shape == theirs.shape for ours, theirs in zip(expected, answer.values, strict=True))
    ours, theirs = (_flat(each) for each in (expected, answer.values)) if same_shape else (np.zeros((0, 1)),) * 2
    told = np.ones_like(ours, bool)
    if measure == "log-probabilities":  # elsewhere it was not asked
        asked = ~np.isnan(theirs).all(-1)
        ours, theirs = ours[asked], theirs[asked]
        told = ~np.isnan(theirs)
    differences = np.abs(ours[told].astype(np.float64) - theirs[told])
    largest = float(differences.max(initial=0.0))
    relative = largest / max(float(np.abs(ours[told]).max(initial=0.0)), 1e-30)
    agree = None
    if measure != "hidden" and len(ours):
        highest = np.where(told, theirs, -np.inf).argmax(-1)
        agree = float((ours.argmax(-1) == highest).mean())
    tokens = sum(list(own) == list(read) for own, read in zip(ids, answer.ids, strict=True))
    problems = []
    if not told.any():
        problems.append("the reader's numbers have another shape")
    elif not np.isfinite(differences).all() or relative > bound:
        problems.append(f"numbers differ by {relative:.2g} of the largest, more than {bound:g}")
    elif largest and differences.mean() / largest * relative > bound / 4:
        mean = differences.mean() / largest * relative
        problems.append(f"numbers differ by {mean:.2g} of the largest on average, more than {bound / 4:g}")
    if tokens < len(ids):
        problems.append(f"{len(ids) - tokens} of {len(ids)} texts are cut into other tokens")
    if answer.unexpected:
        problems.append(f"the reader has no place for {', '.join(answer.unexpected[:5])}")
    if stops[: len(answer.stops) or 1] != answer.stops:
        problems.append(f"an answer ends with token {_spelt(answer.stops)} instead of {_spelt(stops)}")
    return Parity(
        answer.reader, answer.independent, measure, len(ours), int(told.sum()), largest,
        float(differences.mean()) if differences.size else 0.0, relative, bound, agree, tokens, len(ids), stops,
        answer.stops, answer.missing, answer.unexpected, answer.remark, tuple(problems),
    )  # fmt: skip


def _flat(values: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([each.reshape(-1, each.shape[-1]) for each in values])


def _spelt(stops: Sequence[int]) -> str:
    return " or ".join(map(str, stops)) or "none"
