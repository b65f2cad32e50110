"""The loop of GloVe's training: one step of weighted least squares by AdaGrad for each co-occurrence."""

import numpy as np

from trivium.extras import compiled, compiled_sums
from trivium.vectors.prefetch import fetch

_AHEAD = 4  # records between asking for rows and using them


@compiled
def clipped(x, most):  # type: ignore[no-untyped-def]
    return -most if x < -most else (most if x > most else x)


@compiled_sums
def move(i, j, slope, vectors, squares, others, other_squares, rate, square_rate):  # type: ignore[no-untyped-def]
    """Both vectors of a pair, from the old values of both; the step first, then the squares."""
    for d in range(vectors.shape[1]):
        v, o = vectors[i, d], others[j, d]
        for_v, for_o = slope * o, slope * v
        vectors[i, d] = v - rate * for_v / np.sqrt(squares[i, d])
        others[j, d] = o - rate * for_o / np.sqrt(other_squares[j, d])
        squares[i, d] += square_rate * (for_v * for_v)
        other_squares[j, d] += square_rate * (for_o * for_o)


@compiled_sums
def move_clipped(i, j, slope, vectors, squares, others, other_squares, rate, square_rate, clip):  # type: ignore[no-untyped-def]
    """The same with each gradient cut to +-clip: apart, because the choices make this loop several times slower."""
    for d in range(vectors.shape[1]):
        v, o = vectors[i, d], others[j, d]
        for_v, for_o = clipped(slope * o, clip), clipped(slope * v, clip)
        vectors[i, d] = v - rate * for_v / np.sqrt(squares[i, d])
        others[j, d] = o - rate * for_o / np.sqrt(other_squares[j, d])
        squares[i, d] += square_rate * (for_v * for_v)
        other_squares[j, d] += square_rate * (for_o * for_o)


@compiled_sums
def train_records(records, start, stop, words, contexts, rate, clip, compat):  # type: ignore[no-untyped-def]
    """The sum of 0.5 f(X) diff^2, each before its step. ``words``, ``contexts``: a Side's three arrays."""
    vectors, squares, biases = words
    others, other_squares, other_biases = contexts
    zero, one = rate - rate, rate / rate  # of the matrices' type, lest all be worked out in float64
    square_rate = rate * rate if compat else one
    bias_rate = one if compat else rate
    cost = 0.0
    for n in range(start, stop):
        ahead = min(n + _AHEAD, stop - 1)
        fetch(vectors, records[ahead].row)
        fetch(squares, records[ahead].row)
        fetch(others, records[ahead].column)
        fetch(other_squares, records[ahead].column)
        i, j = records[n].row, records[n].column
        diff = biases[i, 0] + other_biases[j, 0] - records[n].log
        length, other_length = zero, zero
        for d in range(vectors.shape[1]):
            diff += vectors[i, d] * others[j, d]
            length += vectors[i, d] * vectors[i, d]
            other_length += others[j, d] * others[j, d]
        slope = records[n].weight * diff
        cost += 0.5 * slope * diff
        if slope * slope * max(length, other_length) <= clip * clip:  # no number of the gradient can be above clip
            move(i, j, slope, vectors, squares, others, other_squares, rate, square_rate)
        else:
            move_clipped(i, j, slope, vectors, squares, others, other_squares, rate, square_rate, clip)
        if not compat:
            slope = clipped(slope, clip)
        biases[i, 0] -= bias_rate * slope / np.sqrt(biases[i, 1])
        other_biases[j, 0] -= bias_rate * slope / np.sqrt(other_biases[j, 1])
        biases[i, 1] += slope * slope
        other_biases[j, 1] += slope * slope
    return cost
