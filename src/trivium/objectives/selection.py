"""Which positions of a row a masked language model must predict: exact budgets or coins, single tokens or whole words.

Exact is BERT's (create_pretraining_data.py): max(1, round(n * rate)) of n tokens, special tokens counted in n but never
chosen, halves rounded to even. A coin for each token is the rule of Hugging Face's collator. Everything works on whole
batches; the keys are uniform draws, so a choice depends on its own row alone.
"""

import numpy as np


def budgets(lengths: np.ndarray, rate: float) -> np.ndarray:
    """(B,) token counts to (B,) numbers of targets: 10 -> 2, 20 -> 3, 128 -> 19, 512 -> 77 at 15%."""
    return np.maximum(1, np.rint(lengths * rate).astype(np.int64))


def exact(keys: np.ndarray, candidates: np.ndarray, budget: np.ndarray) -> np.ndarray:
    """The ``budget`` (B,) candidates (B, T) of smallest key (B, T) in each row, or all where there are fewer."""
    ordered = np.sort(np.where(candidates, keys, np.inf), axis=1)
    last = np.minimum(budget, keys.shape[1]) - 1
    highest = np.where(last >= 0, ordered[np.arange(len(keys)), last], -np.inf)
    return candidates & (keys <= highest[:, None])


def whole_words(keys: np.ndarray, candidates: np.ndarray, words: np.ndarray, budget: np.ndarray) -> np.ndarray:
    """Words in the order of their keys, skipping each that would pass the budget, as BERT's whole-word masking does.

    ``keys`` (B, M), ``candidates`` and ``words`` (B, T): the number of the word each token belongs to, below M.
    Instead of one word at a time, each round accepts all words up to the first that does not fit and rejects every
    later one that is larger than what is left, so few rounds settle a whole batch.
    """
    rows, count = keys.shape
    flat = (words + np.arange(rows)[:, None] * count)[candidates]
    sizes = np.bincount(flat, minlength=rows * count).reshape(rows, count)
    order = np.argsort(np.where(sizes > 0, keys, np.inf), axis=1)
    sizes = np.take_along_axis(sizes, order, axis=1)
    alive = sizes > 0
    while True:
        filled = np.cumsum(np.where(alive, sizes, 0), axis=1)  # what is masked after each word, if none is skipped
        fits = filled <= budget[:, None]
        left = budget - np.where(alive & fits, sizes, 0).sum(axis=1)
        rejected = alive & ~fits & (sizes > left[:, None])
        if not rejected.any():
            break
        alive &= ~rejected
    accepted = np.zeros_like(alive)
    np.put_along_axis(accepted, order, alive & fits, axis=1)
    return candidates & np.take_along_axis(accepted, words, axis=1)
