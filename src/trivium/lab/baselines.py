"""Text classifiers without a neural network, for any comparison that wants to be honest.

The majority class; a bag of words (TF-IDF weights, logistic regression); and latent semantic analysis (Deerwester et
al. 1990): TF-IDF reduced by a truncated SVD that was fitted on unlabelled text, then logistic regression, which is the
rival that may also use the text a language model was pretrained on; and the mean of a text's word vectors, learnt by
word2vec or GloVe on any text, then logistic regression. Each is tuned on the development examples alone.
"""

import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from trivium.extras import extra_module
from trivium.metrics import classification
from trivium.text.examples import Labelled
from trivium.vectors.sentences import PATTERNS
from trivium.vectors.similarity import normalised
from trivium.vectors.vectors import Vectors

_STRENGTHS = (1.0, 10.0, 100.0, 1000.0)
_STANDARD_STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # for columns at deviation 1
_DIMENSIONS = 200


@dataclass(frozen=True)
class BaselineResult:
    """``predicted``: one label for each test example; ``chosen``: the setting that won on the development split."""

    name: str
    predicted: list[str]
    chosen: str


def majority(train: Sequence[Labelled], test: Sequence[Labelled]) -> BaselineResult:
    """The most frequent label of the training examples (the first in alphabetical order among equals)."""
    counts = Counter(example.label for example in train)
    label = min(counts, key=lambda name: (-counts[name], name))
    return BaselineResult("majority class", [label] * len(test), label)


def bag_of_words(train: Sequence[Labelled], dev: Sequence[Labelled], test: Sequence[Labelled]) -> BaselineResult:
    """TF-IDF of words or of words and pairs, with logistic regression; features and strength chosen on ``dev``."""
    text = sklearn_module("feature_extraction.text")
    candidates: list[tuple[str, Any]] = []
    for longest in (1, 2):
        vectors = text.TfidfVectorizer(ngram_range=(1, longest), sublinear_tf=True)
        vectors.fit([example.text for example in train])
        candidates.append((f"1-{longest} grams" if longest > 1 else "words", vectors.transform))
    return _tuned("TF-IDF + logistic regression", candidates, train, dev, test)


def latent_semantics_transform(unlabelled: Sequence[str]) -> Callable[[Sequence[str]], Any]:
    """TF-IDF and its truncated SVD fitted on unlabelled text: a function from texts to (N, dimensions) unit vectors."""
    text, reduction, prepare = (
        sklearn_module(name) for name in ("feature_extraction.text", "decomposition", "preprocessing")
    )
    vectors = text.TfidfVectorizer(sublinear_tf=True, min_df=2)
    counts = vectors.fit_transform(unlabelled)
    svd = reduction.TruncatedSVD(min(_DIMENSIONS, counts.shape[1] - 1), random_state=0)
    svd.fit(counts)
    return lambda texts: prepare.normalize(svd.transform(vectors.transform(texts)))


def tuned_latent_semantics(
    transform: Callable[[Sequence[str]], Any],
    train: Sequence[Labelled],
    dev: Sequence[Labelled],
    test: Sequence[Labelled],
) -> BaselineResult:
    """Logistic regression over vectors of ``latent_semantics_transform``; strength chosen on ``dev``."""
    return _tuned("TF-IDF + SVD of the unlabelled text", [("SVD", transform)], train, dev, test)


def averaged_vectors(
    vectors: Vectors, train: Sequence[Labelled], dev: Sequence[Labelled], test: Sequence[Labelled]
) -> BaselineResult:
    """Logistic regression over the mean of a text's word vectors; strength, and whether rows count by their length,
    chosen on ``dev``."""
    texts = [example.text for example in train]
    candidates = [
        ("mean", _standardised(partial(mean_vectors, vectors), texts)),
        ("mean of directions", _standardised(partial(mean_vectors, vectors, unit=True), texts)),
    ]
    return _tuned("averaged word vectors + logistic regression", candidates, train, dev, test, _STANDARD_STRENGTHS)


def mean_vectors(vectors: Vectors, texts: Sequence[str], unit: bool = False) -> np.ndarray:
    """(N, D): the mean of the rows of each text's known words, 0 where none is known. ``unit``: of rows at length 1."""
    means = np.zeros((len(texts), vectors.dimensions))
    for number, text in enumerate(texts):
        rows = known_rows(vectors, text)
        if len(rows):
            values = np.asarray(vectors.matrix[rows], np.float64)
            vectors.check_finite(values, rows.tolist())
            means[number] = (normalised(values) if unit else values).mean(axis=0)
    return means


def _standardised(
    transform: Callable[[Sequence[str]], np.ndarray], texts: Sequence[str]
) -> Callable[[Sequence[str]], np.ndarray]:
    """``transform`` with each column at mean 0 and deviation 1 over ``texts``: strengths then mean the same for all
    vectors, and a direction that all words share (GloVe's have one) does not hold up the regression."""
    values = transform(texts)
    middle, spread = values.mean(axis=0), values.std(axis=0)
    return lambda others: (transform(others) - middle) / np.where(spread > 0, spread, 1)


def known_rows(vectors: Vectors, text: str) -> np.ndarray:
    """The rows of a text's words that the vectors have, as written or in small letters."""
    index = vectors.index
    found = (index.get(word, index.get(word.lower(), -1)) for word in split_words(text))
    return np.array([row for row in found if row >= 0], np.int64)


def split_words(text: str) -> list[str]:
    """The words of a text without the punctuation around them."""
    return re.findall(PATTERNS["words"], text)


def _tuned(
    name: str,
    candidates: Sequence[tuple[str, Callable[[Sequence[str]], Any]]],
    train: Sequence[Labelled],
    dev: Sequence[Labelled],
    test: Sequence[Labelled],
    strengths: Sequence[float] = _STRENGTHS,
) -> BaselineResult:
    linear, unconverged = sklearn_module("linear_model"), sklearn_module("exceptions").ConvergenceWarning
    labels = [example.label for example in train]
    gold = [example.label for example in dev]
    best: tuple[float, str, Any, Any] | None = None
    for features, transform in candidates:
        inputs, held_out = transform([e.text for e in train]), transform([e.text for e in dev])
        for strength in strengths:
            with warnings.catch_warnings():  # one that did not converge is judged on dev like any other
                warnings.simplefilter("ignore", unconverged)
                model = linear.LogisticRegression(C=strength, max_iter=300).fit(inputs, labels)
            score = classification(list(model.predict(held_out)), gold)["accuracy"]
            if best is None or score > best[0]:
                best = (score, f"{features}, C = {strength:g}", model, transform)
    assert best is not None
    _, chosen, model, transform = best
    return BaselineResult(name, [str(label) for label in model.predict(transform([e.text for e in test]))], chosen)


def sklearn_module(module: str) -> Any:
    """A module of scikit-learn, which only the baselines need."""
    return extra_module(f"sklearn.{module}", "eval", "the baselines need scikit-learn")
