"""The loops of Unigram training over all segmentations of all units, compiled: import where they are about to run.

A lattice is kept for the whole text at once: ``first[p]`` to ``first[p + 1]`` are the edges of position p, each the
number of a piece (``pieces``) that occurs there; ``lengths`` are the pieces' lengths. Unit u has the positions
``starts[u]`` to ``starts[u + 1] - 1``, and its last position is its end, where no edge begins.
"""

import math

import numpy as np

from trivium.extras import compiled

LONGEST = 16
_SMALL, _SCALE = 1e-100, 1e100  # probabilities below are scaled, so that units of any length can be summed over


@compiled
def substrings(
    order: np.ndarray, common: np.ndarray, rest: np.ndarray, whole: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The tree of repeated substrings from sorted suffixes.

    ``order``: (N,) positions in the order of their suffixes. ``common``: (N + 1,) length of the prefix shared with the
    suffix before, 0 at both ends. ``rest``: characters from a position to its unit's end. ``whole``: whether a position
    begins a unit. ``weights``: occurrences of a position's unit. Returns of each node its length, occurrences, one
    position and parent (-1: none); and of each position the longest node that begins there.
    """
    count = len(order)
    length = np.empty(2 * count, np.int32)
    frequency = np.zeros(2 * count, np.int64)
    place = np.empty(2 * count, np.int32)
    parent = np.full(2 * count, -1, np.int32)
    longest = np.full(len(rest), -1, np.int32)
    stack = np.empty(LONGEST + 2, np.int32)
    depth = nodes = 0
    for at in range(count):
        position = order[at]
        here, after = common[at], common[at + 1]
        size = rest[position]
        deepest = max(here, after)
        # The nodes on the stack are prefixes of this suffix, no longer than ``here``; open what ``after`` adds.
        if after >= 2 and (depth == 0 or length[stack[depth - 1]] < after):
            length[nodes], place[nodes] = after, position
            parent[nodes] = stack[depth - 1] if depth else -1
            stack[depth] = nodes
            depth += 1
            nodes += 1
        if whole[position] and 2 <= size <= LONGEST and deepest < size and weights[position] > 1:
            length[nodes], place[nodes], frequency[nodes] = size, position, weights[position]
            parent[nodes] = stack[depth - 1] if depth else -1
            longest[position] = nodes
            if depth:
                frequency[stack[depth - 1]] += weights[position]
            nodes += 1
        elif depth:
            longest[position] = stack[depth - 1]
            frequency[stack[depth - 1]] += weights[position]
        # Close the nodes that the next suffix does not begin with.
        while depth and length[stack[depth - 1]] > after:
            closed = stack[depth - 1]
            depth -= 1
            if after >= 2 and (depth == 0 or length[stack[depth - 1]] < after):
                # A node between the closed one and its parent begins here.
                length[nodes], place[nodes] = after, position
                parent[nodes] = stack[depth - 1] if depth else -1
                stack[depth] = nodes
                depth += 1
                nodes += 1
            if depth:
                parent[closed] = stack[depth - 1]
                frequency[stack[depth - 1]] += frequency[closed]
    return length[:nodes], frequency[:nodes], place[:nodes], parent[:nodes], longest


@compiled
def edges(
    symbols: np.ndarray, longest: np.ndarray, parent: np.ndarray, numbers: np.ndarray, first: np.ndarray
) -> np.ndarray:
    """The lattice: of each position the single character, then the chosen nodes that begin there, longest first.
    ``numbers``: of each node its piece, -1: not chosen. ``first`` is filled in."""
    total = 0
    for position in range(len(symbols)):
        first[position] = total
        if symbols[position] < 0:
            continue
        total += 1
        node = longest[position]
        while node >= 0:
            total += numbers[node] >= 0
            node = parent[node]
    first[len(symbols)] = total
    pieces = np.empty(total, np.int32)
    for position in range(len(symbols)):
        if symbols[position] < 0:
            continue
        at = first[position]
        pieces[at] = symbols[position]
        node = longest[position]
        while node >= 0:
            if numbers[node] >= 0:
                at += 1
                pieces[at] = numbers[node]
            node = parent[node]
    return pieces


@compiled
def renumber(pieces: np.ndarray, first: np.ndarray, numbers: np.ndarray) -> int:
    """Drops the edges whose new number is -1, in place; returns how many are left."""
    kept = begin = 0
    for position in range(len(first) - 1):
        end = first[position + 1]
        first[position] = kept
        for at in range(begin, end):
            number = numbers[pieces[at]]
            if number >= 0:
                pieces[kept] = number
                kept += 1
        begin = end
    first[len(first) - 1] = kept
    return kept


@compiled
def expectation(
    starts: np.ndarray,
    counts: np.ndarray,
    first: np.ndarray,
    pieces: np.ndarray,
    lengths: np.ndarray,
    probabilities: np.ndarray,
    low: int,
    high: int,
    expected: np.ndarray,
) -> float:
    """Forward-backward over the units ``low`` to ``high - 1``: adds each piece's expected occurrences to ``expected``
    and returns the log-likelihood."""
    likelihood = 0.0
    room = 64
    forward, backward, scaled = np.empty(room), np.empty(room), np.empty(room, np.int32)
    for unit in range(low, high):
        begin = starts[unit]
        size = starts[unit + 1] - 1 - begin
        if size + LONGEST + 1 > room:
            room = 2 * size + LONGEST + 1
            forward, backward, scaled = np.empty(room), np.empty(room), np.empty(room, np.int32)
        forward[: size + LONGEST + 1] = 0.0
        forward[0] = 1.0
        scale = 0
        for at in range(size + 1):
            # By the greatest mass in reach: a long piece must not grow beyond all numbers for the sake of its letters.
            while 0.0 < forward[at] < _SMALL and forward[at : at + LONGEST + 1].max() < _SMALL:
                forward[at : at + LONGEST + 1] *= _SCALE
                scale += 1
            scaled[at] = scale
            mass = forward[at]
            for edge in range(first[begin + at], first[begin + at + 1]):
                piece = pieces[edge]
                forward[at + lengths[piece]] += mass * probabilities[piece]
        weight = counts[unit]
        likelihood += weight * (math.log(forward[size]) - scale * math.log(_SCALE))
        backward[size] = 1.0 / forward[size]
        for at in range(size - 1, -1, -1):
            total = 0.0
            mass = forward[at] * weight
            for edge in range(first[begin + at], first[begin + at + 1]):
                piece = pieces[edge]
                end = at + lengths[piece]
                share = probabilities[piece] * backward[end]
                for _ in range(scaled[end] - scaled[at]):
                    share *= _SCALE
                total += share
                expected[piece] += mass * share
            backward[at] = total
    return likelihood


@compiled
def best_paths(
    starts: np.ndarray,
    counts: np.ndarray,
    first: np.ndarray,
    pieces: np.ndarray,
    lengths: np.ndarray,
    scores: np.ndarray,
    low: int,
    high: int,
    used: np.ndarray,
    inside: np.ndarray,
) -> None:
    """Viterbi over the units ``low`` to ``high - 1``: adds to ``used`` each piece's occurrences in the best
    segmentations, and to ``inside`` how many units' best segmentation it is in."""
    room = 64
    best, chosen = np.empty(room), np.empty(room, np.int32)
    seen = np.full(len(used), -1, np.int32)
    for unit in range(low, high):
        begin = starts[unit]
        size = starts[unit + 1] - 1 - begin
        if size + 1 > room:
            room = 2 * size + 1
            best, chosen = np.empty(room), np.empty(room, np.int32)
        _forward(begin, size, -1, first, pieces, lengths, scores, best, chosen)
        at = size
        while at > 0:
            piece = chosen[at]
            used[piece] += counts[unit]
            if seen[piece] != unit:
                seen[piece] = unit
                inside[piece] += counts[unit]
            at -= lengths[piece]


@compiled
def _forward(
    begin: int,
    size: int,
    without: int,
    first: np.ndarray,
    pieces: np.ndarray,
    lengths: np.ndarray,
    scores: np.ndarray,
    best: np.ndarray,
    chosen: np.ndarray,
) -> None:
    """The best segmentation of ``size`` characters up to each of them, without one piece; -inf: there is none."""
    best[1 : size + 1] = -math.inf
    best[0] = 0.0
    for at in range(size):
        score = best[at]
        if score == -math.inf:
            continue
        for edge in range(first[begin + at], first[begin + at + 1]):
            piece = pieces[edge]
            end = at + lengths[piece]
            if end <= size and piece != without and score + scores[piece] > best[end]:
                best[end] = score + scores[piece]
                chosen[end] = piece


@compiled
def losses(
    places: np.ndarray,
    first: np.ndarray,
    pieces: np.ndarray,
    lengths: np.ndarray,
    scores: np.ndarray,
    used: np.ndarray,
    inside: np.ndarray,
    units: float,
    low: int,
    high: int,
    loss: np.ndarray,
) -> None:
    """What the likelihood loses without each of the pieces ``low`` to ``high - 1``, if all its occurrences took its
    best other segmentation. inf: there is no other, it must stay; -inf: it is used nowhere, it can go.
    ``places``: where each piece occurs; ``units``: how many there are."""
    best, chosen = np.empty(LONGEST + 1), np.empty(LONGEST + 1, np.int32)
    total = 0.0
    for piece in range(len(used)):
        total += used[piece]
    for piece in range(low, high):
        size = lengths[piece]
        if size == 1:
            loss[piece] = math.inf
            continue
        _forward(places[piece], size, piece, first, pieces, lengths, scores, best, chosen)
        if used[piece] == 0 or best[size] > scores[piece]:
            loss[piece] = -math.inf
            continue
        if best[size] == -math.inf:
            loss[piece] = math.inf
            continue
        parts = 0
        logs = 0.0
        at = size
        while at > 0:
            parts += 1
            logs += math.log(used[chosen[at]] + used[piece])
            at -= lengths[chosen[at]]
        logs -= parts * math.log(total + used[piece] * (parts - 1))
        loss[piece] = inside[piece] / units * (math.log(used[piece]) - math.log(total) - logs)
