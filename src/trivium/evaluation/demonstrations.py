"""Which examples a few-shot prompt shows: drawn at random, balanced over labels, or those most like what is asked.

The draw is keyed: it depends on the seed, the number of the draw and the pool's order alone, and a smaller one is
contained in a larger one. What was drawn first stands next to the question, so that a prompt that loses its oldest
examples to the context is the prompt of a smaller draw.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np

from trivium.randomness import Draws, key
from trivium.text.few_shot import Case

How = Literal["random", "balanced", "similar", "overlap"]
_WORD = re.compile(r"\w+")
K1, B = 1.5, 0.75  # of BM25


def drawn(pool: Sequence[Case], count: int, seed: int, draw: int, balanced: bool, row: int = 0) -> list[int]:
    """Numbers of pool examples in the order of a prompt, the last next to the question; ``row``: whose own draw."""
    order = np.argsort(Draws(key(seed, "demonstrations", draw, row), np.arange(len(pool))).bits("order", 1)[:, 0])
    ranked = [int(number) for number in order]
    if balanced:
        met: Counter[str] = Counter()
        rounds = {}
        for number in ranked:
            rounds[number] = met[pool[number].label]
            met[pool[number].label] += 1
        ranked.sort(key=lambda number: rounds[number])  # stable: within a round as drawn
    return ranked[:count][::-1]


def nearest(similarity: np.ndarray, count: int) -> list[list[int]]:
    """(Q, P) similarities to numbers of pool examples for each question, the most similar one last."""
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    return [[int(number) for number in row[::-1]] for row in order]


def cosines(questions: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """(Q, W) and (P, W) vectors to (Q, P)."""
    lengths = [np.maximum(np.linalg.norm(each, axis=1, keepdims=True), 1e-12) for each in (questions, pool)]
    found: np.ndarray = (questions / lengths[0]) @ (pool / lengths[1]).T
    return found


def word_overlap(questions: Sequence[str], pool: Sequence[str]) -> np.ndarray:
    """(Q, P) BM25 (Robertson and Zaragoza 2009) of the questions' words in the pool's texts."""
    counts = [Counter(_words(text)) for text in pool]
    lengths = np.array([max(1, each.total()) for each in counts], float)
    places: dict[str, list[int]] = {}
    for number, each in enumerate(counts):
        for word in each:
            places.setdefault(word, []).append(number)
    scale = K1 * (1 - B + B * lengths / lengths.mean())
    found = np.zeros((len(questions), len(pool)))
    for row, text in enumerate(questions):
        for word in set(_words(text)):
            numbers = places.get(word, [])
            weight = math.log(1 + (len(pool) - len(numbers) + 0.5) / (len(numbers) + 0.5))
            often = np.array([counts[number][word] for number in numbers], float)
            found[row, numbers] += weight * often * (K1 + 1) / (often + scale[numbers])
    return found


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
