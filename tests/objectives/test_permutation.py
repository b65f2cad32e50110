"""XLNet's objective: its masks, its choice of targets against the published code's loops, its loss against others."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pytest
import torch
import transformers
from tests.objectives.regularities import CHANCE, FIRST, counting, learnt, noise

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.families.huggingface import load
from trivium.objectives import Causal, Permutation
from trivium.objectives.permutation import _LENGTHS
from trivium.objectives.words import word_numbers
from trivium.randomness import Draws
from trivium.text.rows import Rows
from trivium.transformer import TwoStreamConfig
from trivium.transformer.masks import in_order
from trivium.transformer.two_stream import TwoStream, initialise_two_stream

CONFIG = TwoStreamConfig(400, width=32, heads=2, ffn_width=64, encoder_layers=2, context=64, init_std=0.1)


def made(config=CONFIG):
    return initialise_two_stream(TwoStream(config), 1)


def closed(make_rows, tokenizer, lengths, width, **more):
    """Random rows that end in separator and classify token."""
    rows, draws = make_rows(lengths, width, **more)
    every = np.arange(len(lengths))
    rows.tokens[every, np.array(lengths) - 2] = tokenizer.separator
    rows.tokens[every, np.array(lengths) - 1] = tokenizer.classify
    return rows, draws


def test_the_masks_of_the_order_3_2_4_1(make_rows):
    """Facts of the paper's figure; positions count from 1."""
    rows, _ = make_rows([4], 4)
    batch = Permutation().ordered(rows, np.array([[3, 1, 0, 2]]), np.ones((1, 4), bool))
    order, asked = batch.inputs.source.order, batch.inputs.source.queries
    assert asked.tolist() == [[0, 1, 2, 3]]
    content = in_order(order, order, 0)[0, 0].int().tolist()
    query = in_order(order.gather(1, asked), order, 0, strictly=True)[0, 0].int().tolist()
    assert content == [[1, 1, 1, 1], [0, 1, 1, 0], [0, 0, 1, 0], [0, 1, 1, 1]]
    assert query == [[0, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0], [0, 1, 1, 0]]


def test_the_identity_order_is_the_causal_language_model(make_rows, tokenizer):
    rows, draws = make_rows([20] * 3, 20)
    chosen = np.ones((3, 20), bool)
    chosen[:, 0] = False  # which a causal model is given
    model = made().double().eval()
    order = np.broadcast_to(np.arange(20), (3, 20)).copy()
    ours = Permutation().loss(model, Permutation().ordered(rows, order, chosen))["permutation"]
    causal = Causal().loss(model, Causal().batch(rows, draws, tokenizer))["causal"]
    assert ours.count == causal.count == 57
    torch.testing.assert_close(ours.total, causal.total, rtol=1e-12, atol=0)


@pytest.mark.parametrize(("width", "expected"), [(512, 85), (128, 21), (6, 1), (5, 1)])
@pytest.mark.parametrize("targets", ["spans", "last"])
def test_one_token_of_six_is_predicted_and_no_control_token(width, expected, targets, make_rows, tokenizer):
    rows, draws = closed(make_rows, tokenizer, [width] * 5, width)
    objective = Permutation(targets=targets)
    order, chosen = objective.choose(rows, draws, tokenizer)
    assert chosen.sum(1).tolist() == [expected] * 5
    assert not chosen[:, -2:].any()
    batch = objective.batch(rows, draws, tokenizer)
    assert batch.counts == {"permutation": 5 * expected} and "at" not in batch.targets
    assert (rows.tokens[chosen] == batch.targets["permutation"].numpy()).all()
    for row, which in zip(order, chosen, strict=True):
        assert len(set(row[which])) == expected  # each has its own place in the order
        if targets == "last":
            text = ~np.isin(np.arange(width), [width - 2, width - 1])
            assert sorted(row) == list(range(width)) and row[which].min() > row[text & ~which].max(initial=-1)


def published_spans(starts, lengths, budget, sizes, offsets, alpha, beta):
    """``_sample_mask`` of zihangdai/xlnet, data_utils.py, a row at a time, before it fills up the rest."""
    masks = np.zeros(starts.shape, bool)
    for row, (mask, length) in enumerate(zip(masks, lengths, strict=True)):
        at, predicted, drawn = 0, 0, 0
        while at < length and predicted < budget[row]:
            n = min(sizes[row, drawn], budget[row] - predicted)
            context = n * alpha // beta
            left = int(offsets[row, drawn] * context)
            drawn += 1
            begin = at + left
            while begin < length and not starts[row, begin]:
                begin += 1
            if begin >= length:
                break
            end, grams = begin + 1, 1
            while end < length:
                if starts[row, begin]:  # as it stands there: the span's first token, which is always one
                    grams += 1
                    if grams > n:
                        break
                end += 1
            if end >= length:
                break
            mask[begin:end] = True
            predicted += end - begin
            at = end + context - left
    return masks


@pytest.mark.parametrize(("alpha", "beta"), [(6, 1), (3, 2), (1, 1)])
def test_spans_are_those_of_the_published_loop(alpha, beta, make_rows, tokenizer):
    lengths = [96, 60, 96, 7, 31, 96] * 6
    rows, draws = closed(make_rows, tokenizer, lengths, 96)
    objective = Permutation(alpha=alpha, beta=beta)
    budget = np.maximum(1, np.array(lengths) // 6)
    special = np.isin(rows.tokens, sorted(tokenizer.controls)) | (rows.documents < 0)
    words = word_numbers(rows.tokens, special, tokenizer)
    starts = np.pad(words[:, 1:] != words[:, :-1], ((0, 0), (1, 0)), constant_values=True)
    assert 0.1 < (~starts & ~special).mean()  # there are words of several tokens
    sizes = np.searchsorted(_LENGTHS, draws.uniform("permutation/length", 16), side="right") + 1
    offsets = draws.uniform("permutation/context", 16)
    expected = published_spans(starts, lengths, budget, sizes, offsets, alpha, beta)
    assert (objective._spans(rows, draws, tokenizer, budget) == expected).all()
    _, chosen = objective.choose(rows, draws, tokenizer)
    assert (chosen | special | ~expected).all() and expected.sum() > 200  # what the spans chose stays chosen


def test_a_length_has_a_probability_in_proportion_to_its_inverse():
    expected = [0.437956, 0.218978, 0.145985, 0.109489, 0.087591]
    assert np.diff(_LENGTHS, prepend=0) == pytest.approx(expected, abs=1e-6)
    sizes = np.searchsorted(_LENGTHS, Draws(0, np.arange(10_000)).uniform("permutation/length", 1), side="right") + 1
    for size, share in enumerate(expected, 1):
        assert abs((sizes == size).sum() - 10_000 * share) < 4 * (10_000 * share * (1 - share)) ** 0.5


def published_mask(order, chosen, functional):
    """``_local_perm`` of zihangdai/xlnet: (T, T), 1 where a row may not see a column."""
    plain = ~chosen & ~functional
    index = np.where(plain, -1, order)
    own = np.where(chosen, index, index + 1)
    return (own[:, None] <= index[None, :]) & ~plain[None, :]


def test_losses_and_gradients_are_those_of_transformers(make_rows, tokenizer, tmp_path):
    config = transformers.XLNetConfig(vocab_size=400, d_model=32, n_layer=2, n_head=4, d_inner=48, mem_len=None)
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    theirs = transformers.XLNetLMHeadModel(config).eval()
    for name, parameter in theirs.named_parameters():
        if "layer_norm" not in name:
            parameter.data.normal_(0.0, 0.2)
    theirs.save_pretrained(tmp_path)
    ours = load(tmp_path).model.eval()
    rows, draws = closed(make_rows, tokenizer, [40] * 3, 40)
    objective = Permutation()
    order, chosen = objective.choose(rows, draws, tokenizer)
    batch = objective.batch(rows, draws, tokenizer)
    functional = np.isin(rows.tokens, [tokenizer.separator, tokenizer.classify])
    masks = np.stack([published_mask(*row) for row in zip(order, chosen, functional, strict=True)])
    mapping = np.stack([np.eye(40)[np.flatnonzero(row)] for row in chosen])
    said = theirs(
        torch.from_numpy(rows.tokens),
        perm_mask=torch.from_numpy(masks).float(),
        target_mapping=torch.from_numpy(mapping).float(),
        labels=torch.from_numpy(rows.tokens[chosen].reshape(3, -1)),
    )
    loss = objective.loss(ours, batch)["permutation"]
    mean = loss.total / loss.count
    torch.testing.assert_close(mean, said.loss, rtol=1e-5, atol=1e-6)
    mean.backward()
    said.loss.backward()
    expected = theirs.transformer.word_embedding.weight.grad
    torch.testing.assert_close(ours.tokens.weight.grad, expected, atol=1e-6, rtol=1e-3)


def test_a_prediction_knows_neither_its_own_token_nor_later_ones(make_rows, tokenizer):
    rows, draws = closed(make_rows, tokenizer, [30], 30)
    order, chosen = Permutation().choose(rows, draws, tokenizer)
    model = made().eval()

    def logits(tokens):
        batch = Permutation().ordered(replace(rows, tokens=tokens), order, chosen)
        return model(batch.inputs, at="all").logits[0]

    places = np.flatnonzero(chosen[0])
    for number, place in enumerate(places):
        other = rows.tokens.copy()
        other[0, place] = 301 if other[0, place] != 301 else 302
        changed = ((logits(other) - logits(rows.tokens)).abs().amax(-1) > 1e-6).numpy()
        later = order[0, places] > order[0, place]
        assert not changed[number] and changed[later].all() and not changed[~later].any()


def test_noise_depends_on_no_batch_split_and_padding_is_not_asked(make_rows, tokenizer):
    rows, draws = closed(make_rows, tokenizer, [40, 12, 33, 40], 40)
    whole = Permutation().choose(rows, draws, tokenizer)
    for start in range(4):
        one = rows.part(start, start + 1)
        part = Permutation().choose(one, Draws(draws.seed, one.draws), tokenizer)
        assert all((one == every[start : start + 1]).all() for one, every in zip(part, whole, strict=True))
    batch = Permutation().batch(rows, draws, tokenizer)
    counts = whole[1].sum(1)
    assert counts.tolist() == [6, 2, 5, 6] and batch.inputs.source.queries.shape == (4, 6)
    flat = batch.inputs.source.queries.flatten()[batch.targets["at"]]
    row = batch.targets["at"] // 6
    assert (batch.targets["permutation"].numpy() == rows.tokens[row, flat]).all()
    assert (rows.documents[row, flat] == 0).all()


def test_a_row_of_control_tokens_alone_has_no_target(tokenizer):
    tokens = np.array([[tokenizer.separator, tokenizer.classify, 0, 0]])
    rows = Rows(tokens, np.array([[0, 0, -1, -1]]), np.array([[0, 1, 0, 0]]), np.array([0]))
    batch = Permutation().batch(rows, Draws(0, rows.draws), tokenizer)
    assert batch.counts == {"permutation": 0}
    assert Permutation().loss(made(), batch)["permutation"].total == 0


@dataclass(frozen=True)
class Displaced(Permutation):
    """A planted error: the label is that of the position before the one that is asked."""

    displaced: Literal[True] = True

    def ordered(self, rows, order, chosen):
        batch = super().ordered(rows, order, chosen)
        before = np.concatenate([rows.tokens[:, -1:], rows.tokens[:, :-1]], 1)[chosen]
        return replace(batch, targets=batch.targets | {"permutation": torch.from_numpy(before)})


@pytest.mark.parametrize("targets", ["spans", "last"])
def test_it_learns_to_count_from_both_sides(targets, tokenizer):
    ends = (tokenizer.separator, tokenizer.classify)
    objective = Permutation(k=3, targets=targets)

    def batch(of):
        return lambda draws: of.batch(counting(draws, 16, ends), Draws(0, draws), tokenizer)

    assert learnt(made(), batch(objective), objective.loss, 160)["permutation"] < CHANCE / 3


def test_a_label_that_is_displaced_shows_on_noise(tokenizer):
    ends = (tokenizer.separator, tokenizer.classify)

    def cost(objective):
        rows = lambda draws: objective.batch(noise(draws, 16, ends), Draws(0, draws), tokenizer)  # noqa: E731
        return learnt(made(), rows, objective.loss, 160)["permutation"]

    assert cost(Permutation(k=3)) > CHANCE - 0.02  # nothing can be known
    assert cost(Displaced(k=3)) < CHANCE - 0.3  # the neighbour is often read


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"k": 0}, "objective.k = 0"),
        ({"alpha": 1, "beta": 2}, "objective.alpha = 1 and objective.beta = 2"),
        ({"beta": 0}, "beta must be at least 1"),
        ({"targets": "first"}, "choose spans or last"),
    ],
)
def test_settings_that_cannot_be(settings, said):
    with pytest.raises(SettingsError, match=said):
        Permutation(**settings)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5", "lstm"])
def test_models_without_a_second_stream_are_refused(family):
    with pytest.raises(SettingsError, match='set model.family = "xlnet"'):
        Permutation().heads(FAMILIES[family].size("tiny", 100))
    assert Permutation().heads(FAMILIES["xlnet"].size("tiny", 100)) == {}


def test_a_recipe_of_ours_trains_by_it(tmp_path):
    from trivium.verbs.pretrain import pretrain
    from trivium.verbs.recipe import load_recipe

    sets = ["training.steps=2", "model.size=tiny", "model.context=32", "training.batch_tokens=128"]
    made = load_recipe("xlnet-mini", sets=[*sets, "tokenizer.vocab_size=300"]).recipe
    texts = ["The cat sat on the hill. " * (3 + n) for n in range(30)]
    run = pretrain(made, tmp_path / "run", documents=texts, quiet=True)
    assert {"permutation_perplexity", "hidden_bits_per_byte"} <= set(run.evaluation) and run.flops > 0
    assert type(transformers.AutoModelForCausalLM.from_pretrained(run.directory)) is transformers.XLNetLMHeadModel


def test_the_layout_closes_a_text_with_the_classify_token(tokenizer):
    layout = Permutation().layout(tokenizer, 64)
    assert (layout.mode, layout.length, layout.before) == ("packed", 64, ())
    assert layout.after == (tokenizer.separator, tokenizer.classify)
    assert FIRST > max(layout.after)
