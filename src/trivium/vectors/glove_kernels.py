"""The loop of GloVe's training: one step of weighted least squares by AdaGrad for each co-occurrence.

A word's row holds its vector and beside it the sums of squared gradients, so that one stretch of memory is fetched.
"""

import numpy as np

from trivium.extras import compiled_sums
from trivium.vectors.prefetch import fetch

_AHEAD = 6  # records between asking for rows and using them


@compiled_sums
def train_records(records, start, stop, words, contexts, biases, context_biases, rate, clip, compat):  # type: ignore[no-untyped-def]
    """The sum of 0.5 f(X) diff^2, each before its step. ``words``, ``contexts``: (V, 2W); biases: (V, 2)."""
    width = words.shape[1] // 2
    zero = rate - rate  # of the matrices' type
    cost = 0.0
    for n in range(start, stop):
        ahead = min(n + _AHEAD, stop - 1)
        fetch(words, records[ahead].row)
        fetch(contexts, records[ahead].column)
        i, j = records[n].row, records[n].column
        diff = zero
        for d in range(width):
            diff += words[i, d] * contexts[j, d]
        diff += biases[i, 0] + context_biases[j, 0] - records[n].log
        slope = records[n].weight * diff
        cost += 0.5 * slope * diff
        for d in range(width):
            w, c = words[i, d], contexts[j, d]
            for_word = min(max(slope * c, -clip), clip)
            for_context = min(max(slope * w, -clip), clip)
            words[i, d] = w - rate * for_word / np.sqrt(words[i, width + d])
            contexts[j, d] = c - rate * for_context / np.sqrt(contexts[j, width + d])
            if compat:
                for_word *= rate
                for_context *= rate
            words[i, width + d] += for_word * for_word
            contexts[j, width + d] += for_context * for_context
        if compat:
            biases[i, 0] -= slope / np.sqrt(biases[i, 1])
            context_biases[j, 0] -= slope / np.sqrt(context_biases[j, 1])
        else:
            slope = min(max(slope, -clip), clip)
            biases[i, 0] -= rate * slope / np.sqrt(biases[i, 1])
            context_biases[j, 0] -= rate * slope / np.sqrt(context_biases[j, 1])
        biases[i, 1] += slope * slope
        context_biases[j, 1] += slope * slope
    return cost
