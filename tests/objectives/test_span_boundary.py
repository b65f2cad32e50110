"""SpanBERT's objective against the published loop, written out and fed the same random numbers, and by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.families.bodies import initialise, network
from trivium.objectives import OBJECTIVES, SpanBoundary
from trivium.objectives.span_boundary import _Spans
from trivium.objectives.words import word_numbers
from trivium.randomness import Draws
from trivium.text.rows import Rows
from trivium.training.settings import AdamW, TrainingSettings
from trivium.training.trainer import Trainer
from trivium.transformer import SPAN_BOUNDARY

SHARES = [0.224058, 0.179246, 0.143397, 0.114718, 0.091774, 0.073419, 0.058735, 0.046988, 0.037591, 0.030073]


def model_for(tokenizer, family="spanbert", objective=SpanBoundary(), **changes):  # noqa: B008 (frozen)
    config = FAMILIES[family].size("tiny", tokenizer.vocab_size, **changes)
    return initialise(network(config, objective.heads(config)), 0)


def test_a_recipe_names_it():
    assert OBJECTIVES["span_boundary"] is SpanBoundary and SpanBoundary().kind == SPAN_BOUNDARY


def test_lengths_are_geometric_up_to_ten_words():
    lengths = SpanBoundary().lengths
    assert lengths == pytest.approx(SHARES, abs=5e-7)
    assert (lengths * np.arange(1, 11)).sum() == pytest.approx(3.797098, abs=5e-7)
    drawn = SpanBoundary().span_lengths(Draws(0, np.arange(1000)).uniform("lengths", 100))
    counts, expected = np.bincount(drawn.ravel(), minlength=11)[1:], np.array(SHARES) * drawn.size
    assert len(counts) == 10 and ((counts - expected) ** 2 / expected).sum() < 27.9  # chi-square, 9 degrees, p = 0.001


def published(starts, anchors, lengths, budget):
    """``PairWithSpanMaskingScheme.mask``: the merged spans. ``starts``: which tokens begin a word."""
    n, mask, spans = len(starts), set(), []

    def word_end(at):
        at += 1
        while at < n and not starts[at]:
            at += 1
        return at

    number = 0
    while len(mask) < budget:
        anchor = next(anchors)
        if anchor in mask:
            continue
        length, left = lengths[number], anchor
        number += 1
        while left > 0 and not starts[left]:
            left -= 1
        right, words, last = left, 0, left
        while words < length and right < n and len(mask) < budget:
            begin, right = right, word_end(right)
            words += 1
            for i in range(begin, right):
                if len(mask) >= budget:
                    break
                mask.add(i)
                last = i
        spans.append([left, last])
    merged = []
    for begin, end in sorted(spans):
        if not merged or merged[-1][1] + 1 < begin:
            merged.append([begin, end])
        else:
            merged[-1][1] = max(merged[-1][1], end)
    return merged


@pytest.mark.parametrize("rate", [0.15, 0.5])
def test_the_published_loop_hides_the_same_spans(rate, tokenizer, make_rows):
    rows, draws = make_rows([120, 64, 9, 31, 2], 120, framed=True)
    objective = SpanBoundary(rate=rate)
    chosen = objective.choose(rows, draws, tokenizer)
    batch = objective.batch(rows, draws, tokenizer)
    keys = draws.uniform("span_boundary/where", 120)
    most = max(1, max(math.ceil((n - 2) * rate - 1e-9) for n in (120, 64, 9, 31, 2)))
    lengths = 1 + np.searchsorted(np.cumsum(objective.lengths)[:-1], draws.uniform("span_boundary/length", most))
    expected = []
    for row, n in enumerate([118, 62, 7, 29, 0]):
        words = word_numbers(rows.tokens[row : row + 1, 1 : n + 1], np.zeros((1, n), bool), tokenizer)[0] if n else []
        starts = [i == 0 or words[i] != words[i - 1] for i in range(n)]
        spans = published(starts, iter(np.argsort(keys[row, 1 : n + 1])), lengths[row], math.ceil(n * rate))
        hidden = [1 + i for begin, end in spans for i in range(begin, end + 1)]
        assert np.flatnonzero(chosen[row]).tolist() == hidden
        assert len(hidden) == math.ceil(n * rate)
        for begin, end in spans:
            if 0 < begin and end < n - 1:  # in the text's numbers: neither end
                flat = row * 120 + 1
                expected += [[flat + begin - 1, flat + end + 1, i] for i in range(min(20, end + 1 - begin))]
    assert batch.inputs.source.borders.tolist() == expected
    assert batch.counts == {"masked": int(chosen.sum()), SPAN_BOUNDARY: len(expected)}
    places = [left + 1 + i for left, _, i in expected]
    assert batch.targets[SPAN_BOUNDARY].tolist() == rows.tokens.ravel()[places].tolist()


def test_spans_stay_within_a_text_of_a_row(tokenizer, make_rows):
    rows, draws = make_rows([60] * 200, 60, framed=True)
    rows.tokens[:, 30], rows.tokens[:, 31] = tokenizer.separator, tokenizer.classify
    chosen = SpanBoundary(rate=0.6).choose(rows, draws, tokenizer)
    assert not chosen[:, [0, 30, 31, 59]].any() and chosen[:, [29, 32]].any(1).all(0) <= 1
    borders = SpanBoundary(rate=0.6).batch(rows, draws, tokenizer).inputs.source.borders
    assert not np.isin(borders[:, :2] % 60, [0, 30, 31, 59]).any()


def test_a_span_is_masked_random_or_kept_as_a_whole(tokenizer, make_rows):
    rows, draws = make_rows([100] * 600, 100)
    batch = SpanBoundary().batch(rows, draws, tokenizer)
    chosen = SpanBoundary().choose(rows, draws, tokenizer)
    ids, spans = batch.inputs.source.ids.numpy(), _Spans.of(chosen, rows.documents < 0)
    assert (ids[~chosen] == rows.tokens[~chosen]).all() and chosen.sum() == 600 * 15
    kinds = {"mask": 0, "kept": 0, "random": 0}
    for row, first in zip(*np.nonzero(chosen & (spans.first == np.arange(100))), strict=True):
        here = slice(first, spans.last[row, first] + 1)
        seen, text = ids[row, here], rows.tokens[row, here]
        if len(text) < 3:  # by chance a random token can be the mask or the same
            continue
        kind = "mask" if (seen == tokenizer.mask).all() else "kept" if (seen == text).all() else "random"
        assert kind != "random" or ((seen != tokenizer.mask).sum() >= len(text) - 1 and (seen != text).any())
        kinds[kind] += 1
    n = sum(kinds.values())
    for kind, share in (("mask", 0.8), ("kept", 0.1), ("random", 0.1)):
        assert abs(kinds[kind] - n * share) < 4 * (n * share * (1 - share)) ** 0.5, kinds


def test_football_is_the_third_of_its_span():
    """'an American football game': x_5 .. x_8 hidden, borders x_4 and x_9, football is p_3."""
    chosen = np.zeros((1, 12), bool)
    chosen[0, 4:8] = True
    predicted, borders = _Spans.of(chosen, np.zeros((1, 12), bool)).borders(20)
    assert predicted[0].tolist() == chosen[0].tolist()
    assert borders.tolist() == [[3, 8, 0], [3, 8, 1], [3, 8, 2], [3, 8, 3]]  # counted from 0
    assert _Spans.of(chosen, np.zeros((1, 12), bool)).borders(3)[1].tolist() == borders.tolist()[:3]
    at_the_end = np.roll(chosen, 4, axis=1)
    assert not _Spans.of(at_the_end, np.zeros((1, 12), bool)).borders(20)[0].any()


def test_winter_driving_is_hidden_and_predicted_as_one(tokenizer):
    """Two words that are one span: [MASK] [MASK]."""
    ids = tokenizer.encode("my dog is hairy after such late winter driving snow home we").ids
    tokens = np.array([ids] * 300)
    rows = Rows(tokens, np.zeros_like(tokens), np.tile(np.arange(len(ids)), (300, 1)), np.arange(300))
    objective = SpanBoundary(mask=1.0, random=0.0, geometric=0.9999, longest=2, rate=0.3)
    seen = objective.batch(rows, Draws(0, rows.draws), tokenizer).inputs.source.ids
    hidden = (seen == tokenizer.mask).numpy()
    assert (hidden.sum(1) == math.ceil(len(ids) * 0.3)).all()


@pytest.fixture(scope="module")
def made(tokenizer, make_rows):
    rows, draws = make_rows([64, 50, 64, 33], 64, framed=True)
    return SpanBoundary(rate=0.3, random=0.0).batch(rows, draws, tokenizer)  # a random token can be padding to RoBERTa


def test_the_losses_by_hand(made, tokenizer):
    """L = L_MLM + L_SBO, with the head's formula in plain torch."""
    model = model_for(tokenizer).eval()
    with torch.no_grad():
        for parameter in model.heads[SPAN_BOUNDARY].parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        losses = SpanBoundary(rate=0.3).loss(model, made)
        weights = dict(model.heads[SPAN_BOUNDARY].named_parameters())
        states = model(made.inputs).hidden.flatten(0, 1)
        total = 0.0
        for (left, right, place), target in zip(
            made.inputs.source.borders.tolist(), made.targets[SPAN_BOUNDARY].tolist(), strict=True
        ):
            h = torch.cat([states[left], states[right], weights["places.weight"][place]])
            assert h.shape == (2 * 32 + 200,)
            for layer in ("first", "second"):
                h = F.gelu(weights[f"{layer}.weight"] @ h + weights[f"{layer}.bias"])
                h = (h - h.mean()) / (h.var(unbiased=False) + 1e-12).sqrt()
                h = h * weights[f"{layer}_norm.weight"] + weights[f"{layer}_norm.bias"]
            scores = model.tokens.weight @ h + weights["bias"]
            total -= scores.log_softmax(0)[target].item()
        logits = model(made.inputs, at=made.targets["at"]).logits
        masked = F.cross_entropy(logits, made.targets["masked"], reduction="sum").item()
    assert losses[SPAN_BOUNDARY].total.item() == pytest.approx(total, rel=1e-4)
    assert losses["masked"].total.item() == pytest.approx(masked, rel=1e-4)
    assert losses[SPAN_BOUNDARY].count == len(made.inputs.source.borders) > 20


def test_only_the_borders_states_are_learnt_from(made, tokenizer, monkeypatch):
    model = model_for(tokenizer).eval()
    kept = {}
    head = model.heads[SPAN_BOUNDARY]
    inner = head.forward

    def forward(hidden, tokens, embeddings):
        kept["hidden"] = hidden.detach().requires_grad_()
        return inner(kept["hidden"], tokens, embeddings)

    monkeypatch.setattr(head, "forward", forward)
    SpanBoundary().loss(model, made)[SPAN_BOUNDARY].total.backward()
    touched = kept["hidden"].grad.flatten(0, 1).abs().sum(-1).nonzero()[:, 0].tolist()
    assert touched == sorted(set(made.inputs.source.borders[:, :2].flatten().tolist()))
    assert not set(touched) & set(made.targets["at"].tolist())  # what is seen is never what is hidden


def test_batches_do_not_depend_on_how_they_are_split(tokenizer, make_rows):
    rows, draws = make_rows([40, 31, 40, 8], 40, framed=True)
    whole = SpanBoundary().batch(rows, draws, tokenizer)
    parts = []
    for at in (0, 2):
        some = rows.part(at, at + 2)
        parts.append(SpanBoundary().batch(some, Draws(draws.seed, some.draws), tokenizer))
    assert torch.equal(torch.cat([p.inputs.source.ids for p in parts]), whole.inputs.source.ids)
    borders = [p.inputs.source.borders + torch.tensor([80 * i, 80 * i, 0]) for i, p in enumerate(parts)]
    assert torch.equal(torch.cat(borders), whole.inputs.source.borders)


class Wrong(SpanBoundary):
    """Forgets which token of the span is meant."""

    def batch(self, rows, draws, tokenizer):
        batch = super().batch(rows, draws, tokenizer)
        source = batch.inputs.source
        lost = replace(source, borders=source.borders * torch.tensor([1, 1, 0]))
        return replace(batch, inputs=replace(batch.inputs, source=lost))


def border_loss(objective, tokenizer, steps=120):
    """Nats a token after some seconds on texts that count upwards: a border and the place tell the token."""
    model = model_for(tokenizer, dropout=0.0, attention_dropout=0.0, context=32, init_std=0.1)

    def feed(number):
        draws = Draws(3, np.arange(number * 32, number * 32 + 32))
        tokens = 300 + (draws.integers("start", 1, 20) + np.arange(32)) % 20
        same = np.zeros_like(tokens)
        rows = Rows(tokens, same, same + np.arange(32), draws.examples)
        return [objective.batch(rows, Draws(4, rows.draws), tokenizer)]

    settings = TrainingSettings(steps=steps, optimizer=AdamW(learning_rate=5e-3), precision="float32", device="cpu")
    losses = [step.losses[SPAN_BOUNDARY] for step in Trainer(model, objective.loss, feed, settings, steps=steps)]
    return sum(losses[-10:]) / 10


def test_spans_are_learnt_from_their_borders_and_not_without_their_places(tokenizer):
    chance = math.log(20)
    assert border_loss(SpanBoundary(rate=0.3), tokenizer) < 0.15 * chance
    assert border_loss(Wrong(rate=0.3), tokenizer) > 0.3 * chance


@pytest.mark.parametrize("family", ["bert", "roberta", "spanbert", "distilbert"])
def test_the_head_is_saved_and_transformers_opens_the_encoder(family, tokenizer, made, tmp_path):
    import transformers

    from trivium.families.huggingface import load, save

    model = model_for(tokenizer, family, **({"pad_token": tokenizer.pad} if family == "roberta" else {})).eval()
    assert save(model, FAMILIES[family], tokenizer, tmp_path).name == family
    theirs, info = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and all(key.startswith("heads.span_boundary.") for key in info["unexpected_keys"])
    ids, documents = made.inputs.source.ids, made.inputs.source.documents
    with torch.no_grad():
        found = theirs.eval()(ids, attention_mask=(documents >= 0).long()).logits
        expected = model(made.inputs, at="all").logits
        torch.testing.assert_close(found[documents >= 0], expected[documents >= 0], rtol=1e-4, atol=1e-4)
        plain = load(tmp_path)
        assert not plain.model.heads and len(plain.left_out) == 10
        again = load(tmp_path, heads=SpanBoundary().heads(model.config)).model.eval()
        for name, loss in SpanBoundary().loss(again, made).items():
            assert torch.equal(loss.total, SpanBoundary().loss(model, made)[name].total)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate": 1.0}, "objective.rate = 1.0"),
        ({"geometric": 0.0}, "objective.geometric = 0.0"),
        ({"longest": 0}, "objective.longest = 0"),
        ({"max_targets": 0}, "objective.max_targets = 0"),
        ({"mask": 0.9, "random": 0.2}, "sum must not pass 1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        SpanBoundary(**settings)


def test_a_decoder_is_refused():
    with pytest.raises(SettingsError, match="the span_boundary objective trains an encoder alone"):
        SpanBoundary().heads(FAMILIES["gpt2"].size("tiny", 50))
