"""Each corruption against a slow one that follows the published rules token by token."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trivium.objectives import edits
from trivium.objectives.edits import Edited
from trivium.randomness import Draws

MASK = 900


def texts_of(lengths, fixed=()):
    """Rows of the tokens 0, 1, 2 ...; ``fixed`` places hold control tokens."""
    width = max(lengths)
    tokens = np.tile(np.arange(width), (len(lengths), 1))
    real = np.arange(width) < np.array(lengths)[:, None]
    return Edited.of(tokens, real, np.isin(np.arange(width), fixed)[None].repeat(len(lengths), 0))


def rows_of(texts):
    assert not texts.tokens[~texts.real].any() and not texts.free[~texts.real].any()
    return [texts.tokens[row, :length].tolist() for row, length in enumerate(texts.lengths)]


def numbers(*values):
    return np.array(values)


LENGTHS = [20, 7, 1, 13]
DRAWS = Draws(3, np.arange(4))


def test_masks_are_exact_and_leave_control_tokens():
    texts = edits.mask(texts_of(LENGTHS, fixed=(0, 5)), numbers(6, 2, 0, 3), DRAWS, np.full((4, 20), MASK))
    assert [row.count(MASK) for row in rows_of(texts)] == [6, 2, 0, 3]
    assert (texts.tokens[[0, 1, 3]][:, [0, 5]] == [0, 5]).all()
    assert (texts.origins[0] == np.arange(20)).all()


def test_rates_are_rounded_and_count_text_alone():
    assert edits.counts(texts_of([10, 20, 30]), 0.15).tolist() == [2, 3, 4]  # halves to even
    assert edits.counts(texts_of([10], fixed=(0, 9)), 0.25).tolist() == [2]


def test_substitutes_are_other_tokens():
    vocabulary = np.setdiff1d(np.arange(25), [3])
    texts = edits.substitute(texts_of([20] * 500), np.full(500, 9), Draws(0, np.arange(500)), vocabulary)
    changed = texts.tokens != np.arange(20)
    assert (changed.sum(1) == 9).all() and (~texts.free == changed).all()
    assert set(texts.tokens[changed].tolist()) <= set(vocabulary.tolist())


@pytest.mark.parametrize("window", [0, 3])
def test_reordering_moves_the_chosen_among_themselves(window):
    texts = edits.reorder(texts_of(LENGTHS), numbers(9, 6, 0, 4), DRAWS, window, np.zeros((4, 20), np.int64))
    for row, length in zip(rows_of(texts), LENGTHS, strict=True):
        assert sorted(row) == list(range(length))
        if window:
            assert all(place // 3 == token // 3 for place, token in enumerate(row))
    assert (~texts.free & texts.real).sum(1).tolist() == ([9, 6, 0, 3] if window else [9, 6, 0, 4])
    assert (texts.origins == np.where(texts.real, texts.tokens, -1)).all()


def test_reordering_stays_within_documents():
    documents = np.repeat([[0, 1]], 8, axis=1).reshape(1, -1).repeat(4, 0)
    documents = np.sort(documents, axis=1)
    texts = edits.reorder(texts_of([16] * 4), np.full(4, 16), DRAWS, 0, documents)
    assert all(sorted(row[:8]) == list(range(8)) for row in rows_of(texts))


def test_deletion_removes_exactly_so_many_and_keeps_the_order():
    texts = edits.delete(texts_of(LENGTHS, fixed=(2,)), numbers(8, 3, 0, 5), DRAWS)
    assert texts.lengths.tolist() == [12, 4, 1, 8]
    for row in rows_of(texts):
        assert row == sorted(row) and (2 in row or len(row) == 1)


def test_insertions_are_at_any_gap_and_can_be_taken_out_again():
    texts = edits.insert(texts_of(LENGTHS), numbers(4, 2, 1, 0), DRAWS, np.full((4, 4), MASK))
    assert texts.lengths.tolist() == [24, 9, 2, 13]
    for row, length, count in zip(rows_of(texts), LENGTHS, (4, 2, 1, 0), strict=True):
        assert row.count(MASK) == count and [token for token in row if token != MASK] == list(range(length))
    many = edits.insert(texts_of([3] * 4000), np.ones(4000, int), Draws(0, np.arange(4000)), np.full((4000, 1), MASK))
    gaps = np.bincount((many.tokens == MASK).argmax(1), minlength=4)
    assert ((gaps - 1000) ** 2 / 1000).sum() < 16.3  # chi-square, 3 degrees of freedom, p = 0.001


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5), st.integers(0, 10**6))
def test_origins_align_any_composition(lengths, seed):
    draws, count = Draws(seed, np.arange(len(lengths))), np.array(lengths) // 4
    texts = edits.delete(texts_of(lengths), count, draws)
    texts = edits.reorder(texts, count, draws, 0, np.zeros_like(texts.tokens))
    texts = edits.insert(texts, count, draws, np.full((len(lengths), 30), MASK))
    texts = edits.rotate(texts, count)
    assert (texts.lengths == lengths).all()
    for row, length in enumerate(lengths):
        tokens, origins = texts.tokens[row, :length], texts.origins[row, :length]
        assert ((origins == -1) == (tokens == MASK)).all() and (tokens[origins >= 0] == origins[origins >= 0]).all()
        assert len(set(origins[origins >= 0])) == length - count[row]


def test_rotation_and_back_is_the_identity():
    texts = texts_of(LENGTHS)
    turned = edits.rotate(texts, numbers(5, 3, 0, 12))
    assert rows_of(turned)[1] == [3, 4, 5, 6, 0, 1, 2]
    back = edits.rotate(turned, -numbers(5, 3, 0, 12))
    assert (back.tokens == texts.tokens).all() and (back.origins == texts.origins).all()


def sentences(row, ends):
    """Cut after each run of ends."""
    found, current = [], []
    for place, token in enumerate(row):
        current.append(token)
        if token in ends and not (place + 1 < len(row) and row[place + 1] in ends):
            found.append(tuple(current))
            current = []
    return found + ([tuple(current)] if current else [])


ENDS = {2, 3, 6, 11, 12, 16}


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_sentences_stay_whole(share):
    before = texts_of([20] * 300)
    after = edits.permute_sentences(before, np.isin(before.tokens, list(ENDS)), share, Draws(1, np.arange(300)))
    original = sentences(range(20), ENDS)
    orders = []
    for row in rows_of(after):
        found = [sentence for sentence in original if sentence[0] in row]
        found.sort(key=lambda sentence: row.index(sentence[0]))
        assert [token for sentence in found for token in sentence] == row
        orders.append(tuple(found))
    assert len(original) == 5
    moved = [sum(a != b for a, b in zip(order, original, strict=True)) for order in orders]
    assert max(moved) <= math.ceil(5 * share) and len(set(orders)) > 20


def test_the_lengths_of_spans_are_from_poisson():
    lengths = edits.span_lengths(Draws(0, np.arange(2000)), np.full(2000, 60), 3.0)
    counted = lengths[:, :10].ravel()  # never cut: ten spans of mean 3 hardly reach 60
    expected = np.array([0.049787, 0.149361, 0.224042, 0.224042, 0.168031, 0.100819, 0.050409, 0.021604])
    seen = np.bincount(counted, minlength=9)
    seen = np.append(seen[:8], seen[8:].sum())
    wanted = np.append(expected, 1 - expected.sum()) * counted.size
    assert counted.min() >= 0 and ((seen - wanted) ** 2 / wanted).sum() < 26.1  # 8 degrees of freedom, p = 0.001
    assert (np.maximum(lengths, 0).sum(1) == 60).all()


def slow_infilling(tokens, word, lengths, order, fixed, mask):
    """fairseq's add_whole_word_mask for a row, from drawn lengths and an order of its word starts, without the empty
    spans; also how many tokens it drops."""
    starts = [i for i in range(len(tokens)) if i not in fixed and (i == 0 or word[i] != word[i - 1])]
    spans = [length for length in lengths if length > 0]
    keep, result = [True] * len(tokens), list(tokens)
    for length, which in zip(spans, order, strict=False):
        place = starts[which]
        result[place] = mask
        left = length - 1
        while True:
            place += 1
            if place >= len(tokens) or place in fixed:
                break
            left -= place in starts
            if left < 0:
                break
            keep[place] = False
    return [token for token, kept in zip(result, keep, strict=True) if kept], keep.count(False)


@given(st.integers(0, 10**6), st.integers(2, 40), st.sampled_from([0.1, 0.3, 0.6, 0.95]), st.sampled_from([1.0, 3.0]))
def test_infilling_follows_the_published_code(seed, length, rate, mean):
    random = np.random.default_rng(seed)
    word = np.cumsum(random.random(40) < 0.6)
    fixed = set(np.flatnonzero(random.random(length) < 0.08).tolist()) if length > 5 else set()
    for place in fixed:  # control tokens are words of their own
        word[place:] += 1
        word[place + 1 :] += 1
    texts = texts_of([length, 40], fixed=tuple(fixed))
    draws = Draws(seed, np.arange(2))
    fill = np.full((2, 40), MASK)
    made = edits.infill(texts, np.tile(word, (2, 1)), rate, mean, draws, fill)

    starts = [i for i in range(length) if i not in fixed and (i == 0 or word[i] != word[i - 1])]
    budget = math.ceil(len(starts) * rate - 1e-9)
    lengths = []
    drawn = edits.span_lengths(draws, np.array([10**3, 10**3]), mean)[0].tolist()
    while sum(lengths) < budget:
        lengths.append(drawn[len(lengths)])
    if lengths:
        lengths[-1] -= sum(lengths) - budget
    order = np.argsort(draws.uniform("edits/starts", 40)[0, : len(starts)], kind="stable").tolist()
    expected, dropped = slow_infilling(list(range(length)), word, lengths, order, fixed, MASK)
    empty = min(lengths.count(0), dropped)

    row = rows_of(made)[0]
    assert len(row) == len(expected) + empty <= length
    kept = made.origins[0, : len(row)] >= 0  # what was inserted has no origin
    assert [token for token, old in zip(row, kept, strict=True) if old] == expected
    assert (~kept).sum() == empty and all(token == MASK for token, old in zip(row, kept, strict=True) if not old)


def test_no_words_and_no_budget():
    texts = texts_of([3, 5], fixed=(0, 1, 2))
    made = edits.infill(texts, np.tile(np.arange(5), (2, 1)), 0.3, 3.0, Draws(0, np.arange(2)), np.full((2, 5), MASK))
    assert rows_of(made)[0] == [0, 1, 2] and rows_of(made)[1].count(MASK) == 1


def test_a_row_does_not_depend_on_the_others():
    def run(texts, draws):
        fill = np.full((len(texts.tokens), texts.tokens.shape[1]), MASK)
        texts = edits.permute_sentences(texts, np.isin(texts.tokens, list(ENDS)), 1.0, draws)
        texts = edits.infill(texts, texts.tokens // 2, 0.3, 3.0, draws, fill)
        texts = edits.delete(texts, edits.counts(texts, 0.2), draws)
        return edits.insert(texts, edits.counts(texts, 0.2), draws, fill)

    together = rows_of(run(texts_of(LENGTHS), DRAWS))
    apart = [rows_of(run(texts_of([length]), Draws(3, np.array([i]))))[0] for i, length in enumerate(LENGTHS)]
    assert together == apart
