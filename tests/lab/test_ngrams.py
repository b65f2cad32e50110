"""Kneser-Ney against a slow form of its definition with dictionaries, and as a distribution."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trivium.errors import DataError, SettingsError
from trivium.lab.ngrams import train_ngrams


class Slow:
    """Chen & Goodman's formula (section 2.7), written down as it is printed."""

    def __init__(self, tokens, vocab_size, longest):
        self.size, self.longest, self.counts = vocab_size, longest, {}
        for n in range(1, longest + 1):
            grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
            if n == longest:
                self.counts[n] = Counter(grams)
            else:
                left = defaultdict(set)
                for i in range(len(tokens) - n):
                    left[tuple(tokens[i + 1 : i + 1 + n])].add(tokens[i])
                self.counts[n] = Counter({gram: len(left[gram]) for gram in set(grams)})
        self.discounts = {}
        for n, counts in self.counts.items():
            once, twice = sum(c == 1 for c in counts.values()), sum(c == 2 for c in counts.values())
            self.discounts[n] = once / (once + 2 * twice) if once else 0.5

    def probability(self, history, token):
        n = len(history) + 1
        shorter = self.probability(history[1:], token) if history else 1 / self.size
        following = {gram[-1]: c for gram, c in self.counts[n].items() if gram[:-1] == tuple(history)}
        total = sum(following.values())
        if total == 0:
            return shorter
        spared = self.discounts[n] * sum(c > 0 for c in following.values()) / total
        return max(following.get(token, 0) - self.discounts[n], 0) / total + spared * shorter


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=6, max_size=60), st.lists(st.integers(0, 4), min_size=1, max_size=12),
       st.integers(1, 4))  # fmt: skip
def test_probabilities_are_those_of_the_definition(text, asked, longest):
    model, slow = train_ngrams(np.array(text), 5, longest), Slow(text, 5, longest)
    found = np.exp(model.log_probabilities(np.array(asked)))
    for place, token in enumerate(asked):
        history = asked[max(0, place - longest + 1) : place]
        assert math.isclose(found[place], slow.probability(history, token), rel_tol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 6), min_size=8, max_size=80), st.lists(st.integers(0, 6), max_size=3))
def test_the_next_token_has_a_distribution(text, history):
    model = train_ngrams(np.array(text), 7, 3)
    chances = [np.exp(model.log_probabilities(np.array([*history, token])))[-1] for token in range(7)]
    assert math.isclose(sum(chances), 1, rel_tol=1e-9)
    assert min(chances) > 0


def test_longer_histories_predict_a_regular_text_better():
    text = np.array([0, 1, 2, 1, 3, 1] * 200)  # what follows 1 depends on what stood before it
    losses = [-train_ngrams(text, 4, n).log_probabilities(text).mean() for n in (1, 2, 3)]
    assert losses[0] > losses[1] > 5 * losses[2]


def test_what_cannot_be_learnt_from_is_refused():
    with pytest.raises(DataError, match="too short for 4-grams"):
        train_ngrams(np.array([1, 2, 3]), 5, 4)
    with pytest.raises(DataError, match="outside the vocabulary of 5"):
        train_ngrams(np.array([1, 2, 7, 1, 1, 1]), 5, 2)
    with pytest.raises(SettingsError, match="at least 1"):
        train_ngrams(np.array([1, 2]), 5, 0)
