"""The head for spans against the formula written out, span by span."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from trivium.errors import SettingsError
from trivium.families.bodies import initialise
from trivium.transformer import EachSpan, Learned, Model, SpanHead, SpanPlaces, Tokens, TransformerConfig, make_head
from trivium.transformer.span_head import PRIOR, initialise_spans, span_means

CONFIG = TransformerConfig(20, 8, 2, 16, encoder_layers=1, position=Learned(), dropout=0.0)
WORDS = [[(0, 0), (1, 2), (3, 3), (4, 6)], [(1, 1), (2, 2)]]  # of two rows of 7 tokens: first and last of each word


def listed(longest):
    """Every span of the two rows in order of width as (row, first, last), and the places that the head reads."""
    flat = [(row * 7 + first, row * 7 + last) for row, words in enumerate(WORDS) for first, last in words]
    spans = [
        (row, first, first + more)
        for more in range(longest) for row, words in enumerate(WORDS) for first in range(len(words) - more)
    ]  # fmt: skip
    pieces = [(token, word) for word, (first, last) in enumerate(flat) for token in range(first, last + 1)]
    return spans, SpanPlaces(
        starts=torch.tensor([first for first, _ in flat]),
        stops=torch.tensor([last for _, last in flat]),
        pieces=torch.tensor([token for token, _ in pieces]),
        owners=torch.tensor([word for _, word in pieces]),
        firsts=torch.tensor([len(WORDS[0]) * row + first for row, first, _ in spans]),
        widths=tuple(sum(last - first == more for _, first, last in spans) for more in range(longest)),
    )


def naive(head, states, first, last, more):
    """[start; end; summary; width] of the tokens from ``first`` to ``last``, put side by side."""
    inside = states[first : last + 1]
    parts = [states[first] if head.start is None else F.relu(head.start(states[first]))]
    parts.append(states[last] if head.end is None else F.relu(head.end(states[last])))
    if head.made.summary == "mean":
        parts.append(inside.sum(0) / len(inside))
    elif head.attention is not None:
        parts.append(torch.softmax(head.attention(inside)[:, 0], 0) @ inside)
    if head.widths is not None:
        parts.append(head.widths.weight[min(more, head.made.widths - 1)])
    return torch.cat(parts)


def made(**fields):
    head = make_head(CONFIG, EachSpan(3, 5, **fields)).eval()
    initialise_spans(head, "heads.spans", 3)
    return head


def side(places):
    return Tokens(torch.ones(2, 7, dtype=torch.int64), None, spans=places)


@pytest.mark.parametrize("ends", ["networks", "plain"])
@pytest.mark.parametrize("summary", ["attention", "mean", "none"])
@pytest.mark.parametrize("widths", [0, 2])
def test_split_products_are_those_of_the_concatenation(ends, summary, widths):
    head = made(ends=ends, summary=summary, widths=widths)
    assert head.config == EachSpan(3, 5, ends, summary, widths, dropout=0.0)
    hidden = torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(1))
    spans, places = listed(3)
    assert len(spans) == 9 + 3  # of 4 words at most 3 wide, of 2 words all
    vectors = [
        naive(head, hidden[row], WORDS[row][first][0], WORDS[row][last][1], last - first) for row, first, last in spans
    ]
    expected = head.classifier(F.relu(head.joined(torch.stack(vectors))))
    torch.testing.assert_close(head(hidden, side(places)), expected, rtol=1e-6, atol=1e-6)


def test_pairs_are_two_spans_side_by_side():
    head = made(pairs=True)
    hidden = torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(1))
    spans, places = listed(2)
    pairs = [(0, 5), (5, 0), (2, 2)]
    vectors = [
        naive(head, hidden[row], WORDS[row][first][0], WORDS[row][last][1], last - first) for row, first, last in spans
    ]
    both = torch.stack([torch.cat((vectors[a], vectors[b])) for a, b in pairs])
    asked = SpanPlaces(*(getattr(places, n) for n in "starts stops pieces owners firsts widths".split()),
                       torch.tensor(pairs))  # fmt: skip
    expected = head.classifier(F.relu(head.joined(both)))
    torch.testing.assert_close(head(hidden, side(asked)), expected, rtol=1e-6, atol=1e-6)
    assert not torch.allclose(expected[0], expected[1])  # head and tail are not the same thing


def test_start_and_end_have_networks_of_their_own():
    head, (_, places) = made(summary="none"), listed(3)
    hidden = torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(1))
    before = head(hidden, side(places))
    head.start, head.end = head.end, head.start
    swapped = head(hidden, side(places))
    assert not torch.isclose(before, swapped).all(1).any()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=1, max_size=9), st.integers(0, 9), st.sampled_from([0.0, 3.0, 300.0]))
def test_weights_sum_to_one_inside_a_span_and_are_zero_outside(sizes, seed, spread):
    """Means of one-hot rows are the weights themselves; also where scores lie hundreds apart and their exponents
    vanish beside each other."""
    count = sum(sizes)
    owners = torch.tensor([word for word, size in enumerate(sizes) for _ in range(size)])
    scores = torch.randn(count, generator=torch.Generator().manual_seed(seed)) * spread
    attention = list(span_means(torch.eye(count), scores, owners, len(sizes), len(sizes)))
    means = list(span_means(torch.eye(count), None, owners, len(sizes), len(sizes)))
    for more, first in itertools.product(range(len(sizes)), repeat=2):
        if first + more >= len(sizes):
            continue
        inside = (owners >= first) & (owners <= first + more)
        weights = attention[more][first]
        assert (weights[~inside] == 0).all() and weights.sum().item() == pytest.approx(1, abs=1e-5)
        expected = torch.where(inside, scores, -torch.inf).double().softmax(0).float()
        torch.testing.assert_close(weights, expected, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(means[more][first], inside / inside.sum(), rtol=0, atol=1e-6)


def test_gradients_are_those_of_the_formula():
    head, (spans, places) = made(widths=2), listed(3)
    hidden = torch.randn(2, 7, 8, generator=torch.Generator().manual_seed(1), requires_grad=True)
    weights = list(head.parameters())
    found = torch.autograd.grad(head(hidden, side(places)).sin().sum(), [hidden, *weights])
    vectors = [
        naive(head, hidden[row], WORDS[row][first][0], WORDS[row][last][1], last - first) for row, first, last in spans
    ]
    scores = head.classifier(F.relu(head.joined(torch.stack(vectors))))
    expected = torch.autograd.grad(scores.sin().sum(), [hidden, *weights])
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_at_first_a_span_has_no_label_with_the_prior_probability():
    model = initialise(Model(CONFIG, {"spans": make_head(CONFIG, EachSpan(6))}), 0)
    head = model.heads["spans"]
    assert head.classifier.bias.softmax(0)[0].item() == pytest.approx(PRIOR, abs=1e-6)
    assert head.joined.weight.std().item() == pytest.approx(math.sqrt(2 / head.joined.in_features), rel=0.05)
    again = initialise(Model(CONFIG, {"spans": make_head(CONFIG, EachSpan(6))}), 0).heads["spans"]
    assert all(torch.equal(a, b) for a, b in zip(head.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("summary", ["attention", "mean"])
def test_products_are_made_once_for_each_word(summary):
    """Another span costs the products of the last layer alone, however wide it is."""
    head, hidden, counted = made(summary=summary, widths=3), torch.randn(2, 7, 8), []
    for longest in (1, 2, 3, 4):
        spans, places = listed(longest)
        with FlopCounterMode(display=False) as flops:
            head(hidden, side(places))
        counted.append(flops.get_total_flops() - len(spans) * 2 * 5 * 3)
    assert len(set(counted)) == 1 and counted[0] > 0


@pytest.mark.parametrize("pairs", [False, True])
def test_unasked_every_token_is_a_span(pairs):
    """So that a model can be compared with its copy on any text."""
    head = make_head(CONFIG, EachSpan(3, 5, pairs=pairs)).eval()
    assert isinstance(head, SpanHead)
    assert head(torch.randn(2, 7, 8), Tokens(torch.ones(2, 7, dtype=torch.int64))).shape == (14, 3)


@pytest.mark.parametrize(("fields", "message"), [
    ({"hidden": 0}, "hidden = 0"), ({"widths": -1}, "widths = -1"), ({"hidden": 1 << 20}, "at most|between"),
])  # fmt: skip
def test_sizes_that_no_head_has(fields, message):
    with pytest.raises(SettingsError, match=message):
        EachSpan(3, **fields)
