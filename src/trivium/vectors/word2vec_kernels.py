"""The loops of word2vec as machine code: one chunk of text, read from left to right, each word trained as it comes.

Rows are padded with zeros to a whole number of 16 floats, so that no loop over a row has a remainder; zeros stay zeros.
Random numbers come from SplitMix64, whose state begins with the chunk's key, so that a chunk draws the same numbers
whichever thread trains it.
"""

import numpy as np

from trivium.extras import compiled, compiled_sums
from trivium.vectors.prefetch import fetch

LONGEST = 1000  # kept words of a sentence, as in word2vec.c; the rest of a longer line begins a new sentence
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_LOW = np.uint64(0xFFFFFFFF)
_EDGE = np.float32(6.0)  # logits beyond +-6 count as certain, as in word2vec.c
_BINS = 4096


def sigmoid_table() -> np.ndarray:
    """(4098,) float32: the sigmoid at 4097 points from -6 to 6; between them a straight line errs by less than 1e-7."""
    points = np.linspace(-6.0, 6.0, _BINS + 1)
    return np.append(1 / (1 + np.exp(-points)), 1.0).astype(np.float32)


@compiled
def bits(state):  # type: ignore[no-untyped-def]
    """The next 64 random bits; ``state``: (1,) uint64."""
    state[0] += _GOLDEN
    x = state[0]
    x ^= x >> np.uint64(30)
    x *= _FIRST
    x ^= x >> np.uint64(27)
    x *= _SECOND
    return x ^ (x >> np.uint64(31))


@compiled
def draw(state, high):  # type: ignore[no-untyped-def]
    """A number in [0, high), by the high half of a product: its bias is below high / 2^32."""
    return np.int64(((bits(state) >> np.uint64(32)) * np.uint64(high)) >> np.uint64(32))


@compiled
def draw_noise(state, alias):  # type: ignore[no-untyped-def]
    """A word of the noise distribution: a cell, then the cell's own word or its alias (Walker 1974)."""
    x = bits(state)
    cell = np.int64(((x >> np.uint64(32)) * np.uint64(alias.shape[0])) >> np.uint64(32))
    if (x & _LOW) < np.uint64(alias[cell, 0]):
        return cell
    return np.int64(alias[cell, 1])


@compiled
def build_alias(probabilities):  # type: ignore[no-untyped-def]
    """(V, 2) uint32: the share of a cell that is its own word's, times 2^32, and the word that has the rest (Vose)."""
    size = probabilities.shape[0]
    alias = np.zeros((size, 2), np.uint32)
    scaled = probabilities * size
    small = np.empty(size, np.int64)
    large = np.empty(size, np.int64)
    smalls = larges = 0
    for word in range(size):
        alias[word, 0] = np.uint32(0xFFFFFFFF)
        alias[word, 1] = np.uint32(word)
        if scaled[word] < 1.0:
            small[smalls] = word
            smalls += 1
        else:
            large[larges] = word
            larges += 1
    while smalls and larges:
        smalls -= 1
        less = small[smalls]
        more = large[larges - 1]
        alias[less, 0] = np.uint32(min(scaled[less] * 4294967296.0, 4294967295.0))
        alias[less, 1] = np.uint32(more)
        scaled[more] -= 1.0 - scaled[less]
        if scaled[more] < 1.0:
            larges -= 1
            small[smalls] = more
            smalls += 1
    return alias


@compiled
def sigmoid(x, table):  # type: ignore[no-untyped-def]
    if x >= _EDGE:
        return np.float32(1.0)
    if x <= -_EDGE:
        return np.float32(0.0)
    place = (x + _EDGE) * np.float32(_BINS / 12.0)
    cell = np.int64(place)
    return table[cell] + (place - np.float32(cell)) * (table[cell + 1] - table[cell])


@compiled
def next_sentence(ids, at, stop, keep, state, sentence):  # type: ignore[no-untyped-def]
    """Fills ``sentence`` with the kept words from ``at`` to the sentence's end: where that was, how many were kept."""
    length = 0
    while at < stop and length < sentence.shape[0]:
        word = ids[at]
        at += 1
        if word < 0:
            break
        if keep[word] < 1.0 and np.float64(bits(state) >> np.uint64(11)) * 2.0**-53 >= keep[word]:
            continue
        sentence[length] = word
        length += 1
    return at, length


@compiled_sums
def dot(a, i, b, j):  # type: ignore[no-untyped-def]
    total = np.float32(0.0)
    for d in range(a.shape[1]):
        total += a[i, d] * b[j, d]
    return total


@compiled_sums
def add(a, i, rate, b, j):  # type: ignore[no-untyped-def]
    for d in range(a.shape[1]):
        a[i, d] += rate * b[j, d]


@compiled
def look_ahead(state, alias, outputs, coming):  # type: ignore[no-untyped-def]
    """Draws the noise of the next prediction and asks for its rows, which lie anywhere in memory, ahead of use."""
    for k in range(coming.shape[0]):
        other = draw_noise(state, alias)
        coming[k] = other
        fetch(outputs, other)


@compiled_sums
def predict(x, row, word, alpha, outputs, alias, nodes, tree, table, state, error, drawn):  # type: ignore[no-untyped-def]
    """Trains the prediction of ``word`` from row ``row`` of ``x``: targets move, x's change is summed in ``error``.

    Negative sampling: a draw equal to the word is skipped, not replaced. All targets are judged before any moves.
    """
    for d in range(error.shape[1]):
        error[0, d] = 0.0
    targets, rates, coming = drawn
    if coming.shape[0]:
        targets[0] = word
        count = 1
        for k in range(coming.shape[0]):
            if coming[k] != word:
                targets[count] = coming[k]
                count += 1
        look_ahead(state, alias, outputs, coming)
        for k in range(count):
            rates[k] = -alpha * sigmoid(dot(x, row, outputs, targets[k]), table)
        rates[0] += alpha
        for k in range(count):
            add(error, 0, rates[k], outputs, targets[k])
        for k in range(count):
            add(outputs, targets[k], rates[k], x, row)
    offsets, points, codes = tree
    if not nodes.shape[0]:
        return
    for k in range(offsets[word], offsets[word + 1]):
        logit = dot(x, row, nodes, points[k])
        if -_EDGE < logit < _EDGE:
            rate = alpha * (np.float32(1 - codes[k]) - sigmoid(logit, table))
            add(error, 0, rate, nodes, points[k])
            add(nodes, points[k], rate, x, row)


@compiled_sums
def train_skipgram(ids, start, stop, alpha, window, keep, alias, tree, table, inputs, outputs, nodes, state, scratch):  # type: ignore[no-untyped-def]
    sentence, error, _, drawn = scratch
    look_ahead(state, alias, outputs, drawn[2])
    at = start
    while at < stop:
        at, length = next_sentence(ids, at, stop, keep, state, sentence)
        for centre in range(length):
            word = sentence[centre]
            radius = window - draw(state, window)
            for place in range(max(0, centre - radius), min(length, centre + radius + 1)):
                if place == centre:
                    continue
                row = sentence[place]
                predict(inputs, row, word, alpha, outputs, alias, nodes, tree, table, state, error, drawn)
                add(inputs, row, np.float32(1.0), error, 0)


@compiled_sums
def train_cbow(ids, start, stop, alpha, window, keep, alias, tree, table, inputs, outputs, nodes, state, scratch):  # type: ignore[no-untyped-def]
    sentence, error, mean, drawn = scratch
    look_ahead(state, alias, outputs, drawn[2])
    at = start
    while at < stop:
        at, length = next_sentence(ids, at, stop, keep, state, sentence)
        for centre in range(length):
            radius = window - draw(state, window)
            first, last = max(0, centre - radius), min(length, centre + radius + 1)
            if last - first < 2:
                continue
            for d in range(mean.shape[1]):
                mean[0, d] = 0.0
            for place in range(first, last):
                if place != centre:
                    add(mean, 0, np.float32(1.0), inputs, sentence[place])
            share = np.float32(1.0) / np.float32(last - first - 1)
            for d in range(mean.shape[1]):
                mean[0, d] *= share
            predict(mean, 0, sentence[centre], alpha, outputs, alias, nodes, tree, table, state, error, drawn)
            for place in range(first, last):
                if place != centre:
                    add(inputs, sentence[place], np.float32(1.0), error, 0)
