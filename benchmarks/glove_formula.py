"""GloVe as a plain NumPy program of its formula, in float64, to hold the compiled training against."""

import time
from collections.abc import Callable

import numpy as np

from trivium.vectors.glove import Glove, GloveSettings, fit, records
from trivium.vectors.sentences import Corpus
from trivium.vectors.vectors import Vectors


def plain(glove: Glove, shuffled: np.ndarray, settings: GloveSettings) -> tuple[np.ndarray, list[float]]:
    """AdaGrad on f(X) (w.c + b + b' - log X)^2 / 2, pair by pair: w + c, and each iteration's mean cost."""
    size, eta = settings.dimensions, settings.learning_rate
    w, c = (side.vectors[:, :size].astype(float) for side in (glove.words, glove.contexts))
    b, d = (side.biases[:, 0].astype(float) for side in (glove.words, glove.contexts))
    sums = [np.ones_like(each) for each in (w, c, b, d)]
    costs = []
    for _ in range(settings.iterations):
        cost = 0.0
        for i, j, log, f in shuffled.tolist():
            diff = w[i] @ c[j] + b[i] + d[j] - log
            cost += 0.5 * f * diff**2
            gradients = [np.clip(each, -100, 100) for each in (f * diff * c[j], f * diff * w[i], f * diff, f * diff)]
            for value, total, row, gradient in zip((w, c, b, d), sums, (i, j, i, j), gradients, strict=True):
                value[row] -= eta * gradient / np.sqrt(total[row])
                total[row] += gradient**2
        costs.append(cost / len(shuffled))
    return w + c, costs


def compare(corpus: Corpus, scores: Callable[[Vectors], dict[str, float]]) -> dict:
    """The same pairs in the same order from the same start: costs, vectors, scores and rates of both."""
    settings = GloveSettings(dimensions=50, iterations=5, unknown=False)
    model, shuffled = Glove.start(len(corpus.words), settings), records(corpus, settings)
    pairs = len(shuffled) * settings.iterations
    begun = time.perf_counter()
    expected, plain_costs = plain(model, shuffled, settings)
    middle = time.perf_counter()
    costs = fit(model, shuffled, settings)
    ended = time.perf_counter()
    return {
        "pairs": len(shuffled),
        "costs": costs,
        "plain_costs": plain_costs,
        "worst_cost": float(np.max(np.abs(np.array(costs) / plain_costs - 1))),
        "worst_vector": float(np.abs(model.vectors() - expected).max()),
        "pairs_per_second": pairs / (ended - middle),
        "plain_pairs_per_second": pairs / (middle - begun),
        "scores": scores(Vectors(corpus.words, model.vectors())),
        "plain_scores": scores(Vectors(corpus.words, expected.astype(np.float32))),
    }
