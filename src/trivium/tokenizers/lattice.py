"""All segmentations of a text under a Unigram model: the best n of them, and random ones for subword regularisation
(Kudo 2018, sections 3.1 and 3.3).

A segmentation's log-probability is the sum of its pieces' scores. Sampling goes forwards summing the weights of all
segmentations and backwards choosing (forward filtering, backward sampling), or among the n best. A character that is
no piece scores 10 below the lowest piece, as in SentencePiece.
"""

import heapq
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from trivium.errors import SettingsError
from trivium.randomness import Draws
from trivium.tokenizers.sentencepiece import BYTES
from trivium.tokenizers.tokenizer import Tokenizer
from trivium.tokenizers.validation import guarded

UNKNOWN_PENALTY = 10.0
_UNKNOWN = -1


@dataclass
class Lattice:
    """The pieces that lie anywhere in a text. ``arriving[j]``: (start, piece, score) of each that ends at position j,
    longest first; piece -1 is an unknown character. ``text`` is normalised, the words joined."""

    text: str
    arriving: list[list[tuple[int, int, float]]]


@dataclass(frozen=True)
class _Vocabulary:
    scores: dict[str, tuple[int, float]] = field(repr=False)
    longest: int
    unknown: int
    unknown_score: float
    byte_ids: list[int] | None


def build_lattice(tokenizer: Tokenizer, text: str) -> Lattice:
    """The lattice of a text as the tokenizer normalises it and cuts it into words, which no piece crosses."""
    vocabulary = _vocabulary(tokenizer)
    words = _words(tokenizer, text)
    arriving: list[list[tuple[int, int, float]]] = [[]]
    for word in words:
        begin = len(arriving) - 1
        arriving.extend([] for _ in word)
        for at in range(len(word)):
            for size in range(1, min(vocabulary.longest, len(word) - at) + 1):
                found = vocabulary.scores.get(word[at : at + size])
                if found is not None:
                    arriving[begin + at + size].append((begin + at, *found))
                elif size == 1:
                    arriving[begin + at + 1].append((begin + at, _UNKNOWN, vocabulary.unknown_score))
    return Lattice("".join(words), arriving)


def best_segmentations(tokenizer: Tokenizer, text: str, n: int = 1) -> list[tuple[list[int], float]]:
    """The ``n`` most probable segmentations, or all if there are fewer: (ids, log-probability), best first."""
    if n < 1:
        raise SettingsError(f"{n} best segmentations were asked for: ask for 1 or more")
    lattice = build_lattice(tokenizer, text)
    # Of each position its n best ways: (score, the piece that arrives, where it starts, which of that place's ways).
    ways: list[list[tuple[float, int, int, int]]] = [[(0.0, _UNKNOWN, 0, 0)]]
    for arriving in lattice.arriving[1:]:
        found = (
            (way[0] + score, piece, start, rank)
            for start, piece, score in arriving
            for rank, way in enumerate(ways[start])
        )
        ways.append(heapq.nlargest(n, found, key=lambda way: way[0]))
    results = []
    for rank, (score, *_) in enumerate(ways[-1]):
        pieces: list[tuple[int, int, int]] = []
        end, which = len(ways) - 1, rank
        while end:
            _, piece, start, which = ways[end][which]
            pieces.append((piece, start, end))
            end = start
        results.append((_ids(tokenizer, lattice.text, reversed(pieces)), score))
    return results


def sample_segmentation(
    tokenizer: Tokenizer, text: str, alpha: float, draws: Draws, best: int | None = None
) -> list[int]:
    """The ids of a random segmentation, drawn with probability proportional to P^alpha: 0 all alike, 1 the model's,
    the larger the nearer to the best. ``best``: among that many best ones. ``draws``: the first of its examples."""
    if not alpha >= 0:
        raise SettingsError(f"alpha={alpha} is no temperature: 0 (all segmentations alike) or more")
    if alpha == math.inf:
        return best_segmentations(tokenizer, text)[0][0]
    if best is not None:
        found = best_segmentations(tokenizer, text, best)
        weights = np.exp(alpha * (np.array([score for _, score in found]) - found[0][1]))
        place = draws.uniform("segmentation", 1)[0, 0] * weights.sum()
        return found[min(int(np.searchsorted(np.cumsum(weights), place, side="right")), len(found) - 1)][0]
    lattice = build_lattice(tokenizer, text)
    forward = [0.0]
    for arriving in lattice.arriving[1:]:
        terms = [forward[start] + alpha * score for start, _, score in arriving]
        top = max(terms)
        forward.append(top + math.log(math.fsum(math.exp(term - top) for term in terms)))
    uniform = draws.uniform("segmentation", len(forward))[0].tolist()
    pieces: list[tuple[int, int, int]] = []
    end = len(forward) - 1
    while end:
        place, total = uniform[len(pieces)], 0.0
        for edge in lattice.arriving[end]:
            start, piece, score = edge
            total += math.exp(forward[start] + alpha * score - forward[end])
            if place < total:
                break
        pieces.append((piece, start, end))
        end = start
    return _ids(tokenizer, lattice.text, reversed(pieces))


def _ids(tokenizer: Tokenizer, text: str, pieces: Iterator[tuple[int, int, int]]) -> list[int]:
    """The ids of (piece, start, end); unknown characters are bytes, or one unknown token for neighbours."""
    vocabulary = _vocabulary(tokenizer)
    ids: list[int] = []
    before = 0
    for piece, start, end in pieces:
        if piece != _UNKNOWN:
            ids.append(piece)
        elif vocabulary.byte_ids is not None:
            ids.extend(vocabulary.byte_ids[byte] for byte in text[start:end].encode())
        elif before != _UNKNOWN:
            ids.append(vocabulary.unknown)
        before = piece
    return ids


def _words(tokenizer: Tokenizer, text: str) -> list[str]:
    text = tokenizer.normalise(text)
    with guarded("this text cannot be encoded"):
        if tokenizer.plain.pre_tokenizer is None:
            return [text] if text else []
        return [word for word, _ in tokenizer.plain.pre_tokenizer.pre_tokenize_str(text)]


@lru_cache(maxsize=4)
def _vocabulary(tokenizer: Tokenizer) -> _Vocabulary:
    if tokenizer.algorithm != "Unigram":
        raise SettingsError(f"only a Unigram model has probable segmentations, and this is a {tokenizer.algorithm}")
    model = json.loads(tokenizer.plain.to_str())["model"]
    fallback = bool(model.get("byte_fallback"))
    numbers = {text: number for number, (text, _) in enumerate(model["vocab"])}
    hidden = {*BYTES} if fallback else set()
    hidden |= {tokenizer.plain.id_to_token(number) or "" for number in tokenizer.controls}
    scores = {
        text: (number, score)
        for number, (text, score) in enumerate(model["vocab"])
        if text not in hidden and number != model["unk_id"]
    }
    low = min((score for _, score in scores.values()), default=0.0)
    whole = fallback and all(text in numbers for text in BYTES)
    return _Vocabulary(
        scores,
        max(map(len, scores), default=0),
        model["unk_id"],
        low - UNKNOWN_PENALTY,
        [numbers[text] for text in BYTES] if whole else None,
    )
