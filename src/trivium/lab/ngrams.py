"""An n-gram language model, the rival that every neural one should be held against: interpolated Kneser-Ney.

Chen & Goodman 1999, section 2.7 (Kneser & Ney 1995, interpolated): the probability of a word is its discounted share of
what followed its history, plus the discounted mass times the same model of a shorter history; shorter histories count
in how many DIFFERENT contexts a word was seen, not how often. One discount per order, n1 / (n1 + 2 n2). The shortest
history of all is the uniform distribution, so that no token has probability 0.

Everything is arrays: an n-gram is a number (its history's number times V plus its last token), found by binary search.
"""

from dataclasses import dataclass

import numpy as np

from trivium.errors import DataError, SettingsError


@dataclass(frozen=True, eq=False)
class Order:
    """The n-grams of one length, sorted by key; M of them, H histories."""

    keys: np.ndarray  # (M,) int64: number of the history * V + last token
    counts: np.ndarray  # (M,) int64: occurrences for the longest, different left neighbours for the others
    history_totals: np.ndarray  # (H,) int64: sum of the counts by history
    history_kinds: np.ndarray  # (H,) int64: how many different tokens followed
    discount: float


@dataclass(frozen=True, eq=False)
class NGrams:
    """A trained model; ``orders[k]`` are the (k + 1)-grams."""

    orders: tuple[Order, ...]
    vocab_size: int

    def log_probabilities(self, tokens: np.ndarray) -> np.ndarray:
        """(T,) natural logarithms of P(token | the up to n - 1 tokens before it in ``tokens`` (T,))."""
        tokens = _checked(tokens, self.vocab_size)
        probability = np.full(len(tokens), 1 / self.vocab_size)
        history = np.zeros(len(tokens), np.int64)  # the empty history has number 0 everywhere
        for order in self.orders:
            key = np.where(history >= 0, history * self.vocab_size + tokens, -1)
            place = np.minimum(np.searchsorted(order.keys, key), len(order.keys) - 1)
            found = np.where(order.keys[place] == key, place, -1)
            seen = (history >= 0) & (history < len(order.history_totals))
            seen &= order.history_totals[np.where(seen, history, 0)] > 0
            total = np.maximum(order.history_totals[np.where(seen, history, 0)], 1)
            count = np.where(found >= 0, order.counts[np.maximum(found, 0)], 0)
            kept = np.maximum(count - order.discount, 0) / total
            spared = order.discount * order.history_kinds[np.where(seen, history, 0)] / total
            probability = np.where(seen, kept + spared * probability, probability)
            history = np.concatenate([[-1], found[:-1]])  # what ends before a place is the next order's history there
        return np.log(probability)


def train_ngrams(tokens: np.ndarray, vocab_size: int, longest: int = 4) -> NGrams:
    """From one stream of token ids (T,), documents joined by their end tokens.

    Raises SettingsError for a length below 1, DataError for a text shorter than ``longest`` tokens.
    """
    if longest < 1:
        raise SettingsError(f"n-grams of {longest} tokens: the length must be at least 1")
    tokens = _checked(tokens, vocab_size)
    if len(tokens) <= longest:
        raise DataError(f"a text of {len(tokens)} tokens is too short for {longest}-grams: give more text")
    numbered: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    history = np.zeros(len(tokens), np.int64)
    for k in range(longest):
        # Places before k have no (k + 1)-gram: they begin in the middle of nothing and are left out.
        key = history[k:] * vocab_size + tokens[k:]
        keys, first, inverse, counts = np.unique(key, return_index=True, return_inverse=True, return_counts=True)
        numbered.append((keys, first + k, inverse, counts))
        history = np.concatenate([np.full(k + 1, -1), inverse[:-1]])
    orders = []
    for k, (keys, _, inverse, occurrences) in enumerate(numbered):
        counts = occurrences.astype(np.int64)
        if k + 1 < longest:  # how many different tokens stood to the left: each longer n-gram once, by its ending
            ends = numbered[k + 1][1]
            counts = np.bincount(inverse[ends - k], minlength=len(keys)).astype(np.int64)
        histories = keys // vocab_size
        size = int(histories.max()) + 1
        orders.append(
            Order(
                keys=keys,
                counts=counts,
                history_totals=np.bincount(histories, weights=counts, minlength=size).astype(np.int64),
                history_kinds=np.bincount(histories[counts > 0], minlength=size).astype(np.int64),
                discount=_discount(counts),
            )
        )
    return NGrams(tuple(orders), vocab_size)


def _discount(counts: np.ndarray) -> float:
    """n1 / (n1 + 2 n2); 0.5 where nothing was seen once (a text without rare n-grams)."""
    once, twice = int((counts == 1).sum()), int((counts == 2).sum())
    return once / (once + 2 * twice) if once else 0.5


def _checked(tokens: np.ndarray, vocab_size: int) -> np.ndarray:
    tokens = np.asarray(tokens, np.int64)
    if len(tokens) and not 0 <= tokens.min() <= tokens.max() < vocab_size:
        raise DataError(f"a token id is outside the vocabulary of {vocab_size}: use the tokenizer that made the ids")
    return tokens
