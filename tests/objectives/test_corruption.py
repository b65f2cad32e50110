import numpy as np
import pytest
import torch

from trivium.errors import SettingsError
from trivium.objectives import Corruption, noise
from trivium.objectives.corruption import SCHEMES
from trivium.randomness import Draws
from trivium.text.rows import Rows
from trivium.transformer import Model, TransformerConfig, initialise

T5 = TransformerConfig(vocab_size=400, width=16, heads=2, ffn_width=32, encoder_layers=1, decoder_layers=1, context=64)


@pytest.mark.parametrize(
    ("length", "raw", "target"),
    [(32, 34, 8), (64, 70, 14), (128, 141, 29), (256, 284, 58), (512, 568, 114), (1024, 1137, 229)],
)
def test_the_raw_lengths_of_t5(length, raw, target):
    code = Corruption(t5_code_compat=True)
    assert code.raw_length(length) == raw
    assert code.lengths(raw) == (length, target)
    assert Corruption().lengths(raw) == (length, target + 1)  # the paper's closing sentinel


@pytest.mark.parametrize("compat", [False, True])
def test_full_rows_need_no_padding(compat, tokenizer, make_rows):
    objective = Corruption(t5_code_compat=compat)
    layout = objective.layout(tokenizer, 512)
    assert (layout.mode, layout.length) == ("stream", 568)
    rows, draws = make_rows([568] * 3, 568)
    batch = objective.batch(rows, draws, tokenizer)
    assert batch.inputs.source.ids.shape == (3, 512)
    assert batch.inputs.target.ids.shape == (3, 114 if compat else 115)
    assert batch.inputs.source.documents is None and batch.inputs.target.documents is None and "at" not in batch.targets
    assert batch.counts["corruption"] == batch.inputs.target.ids.numel()
    assert (batch.inputs.source.ids[:, -1] == tokenizer.end).all()
    assert (batch.inputs.target.ids[:, 0] == tokenizer.pad).all()
    wanted = batch.targets["corruption"].reshape(3, -1)
    assert (wanted[:, :-1] == batch.inputs.target.ids[:, 1:]).all() and (wanted[:, -1] == tokenizer.end).all()
    assert (wanted[:, 0] == tokenizer.sentinels[0]).all()
    assert bool((wanted[:, -2] == tokenizer.sentinels[28]).all()) is not compat


@pytest.mark.parametrize("scheme", ["random_spans", "replace_spans"])
def test_the_text_can_be_put_together_again(scheme, tokenizer, make_rows):
    rows, draws = make_rows([40, 17, 1, 33], 40)
    inputs, targets = Corruption(scheme=scheme).corrupt(rows, draws, tokenizer)
    for row, length in enumerate([40, 17, 1, 33]):
        spans: dict[int, list[int]] = {}
        for token in targets.tokens[row, : targets.lengths[row] - 1].tolist():
            if token in tokenizer.sentinels:
                spans[token] = current = []
            else:
                current.append(token)
        assert list(spans) == list(tokenizer.sentinels[: len(spans)]) and not current  # in order, the last one empty
        text: list[int] = []
        for token in inputs.tokens[row, : inputs.lengths[row] - 1].tolist():
            text += spans[token] if token in spans else [token]
        assert text == rows.tokens[row, :length].tolist()


def test_dropping_needs_no_sentinels(tokenizer, make_rows):
    rows, draws = make_rows([300], 300)
    inputs, targets = Corruption(scheme="drop", rate=0.5).corrupt(rows, draws, tokenizer)
    assert sorted([*inputs.tokens[0, :-1], *targets.tokens[0, :-1]]) == sorted(rows.tokens[0])
    assert not np.isin(inputs.tokens, tokenizer.sentinels).any()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_pure_and_independent_of_the_batch(scheme, tokenizer, make_rows):
    objective = Corruption(scheme=scheme)
    rows, draws = make_rows([40, 17, 40, 8, 40, 40, 23, 40], 40)
    inputs, targets = objective.corrupt(rows, draws, tokenizer)
    for part in (slice(0, 4), slice(4, 8)):
        some = Rows(rows.tokens[part], rows.documents[part], rows.positions[part], rows.draws[part])
        for whole, half in zip(
            (inputs, targets), objective.corrupt(some, Draws(draws.seed, some.draws), tokenizer), strict=True
        ):
            assert (whole.lengths[part] == half.lengths).all()
            assert (whole.tokens[part, : half.tokens.shape[1]] == half.tokens).all()
    other, _ = objective.corrupt(rows, Draws(draws.seed, draws.examples + 1000), tokenizer)
    assert other.tokens.shape != inputs.tokens.shape or (other.tokens != inputs.tokens).any()


def texts(ragged, row):
    return ragged.tokens[row, : ragged.lengths[row] - 1].tolist()  # without the end token


LENGTHS = [40, 17, 2, 33]


def corrupted(scheme, tokenizer, make_rows, **settings):
    rows, draws = make_rows(LENGTHS, 40)
    inputs, targets = Corruption(scheme=scheme, **settings).corrupt(rows, draws, tokenizer)
    originals = [row[:length].tolist() for row, length in zip(rows.tokens, LENGTHS, strict=True)]
    return [(text, texts(inputs, row), texts(targets, row)) for row, text in enumerate(originals)]


def test_a_prefix_and_the_rest_are_the_text(tokenizer, make_rows):
    for text, inputs, targets in corrupted("prefix", tokenizer, make_rows):
        assert inputs and targets and inputs + targets == text


def test_deshuffling_keeps_every_token(tokenizer, make_rows):
    for text, inputs, targets in corrupted("deshuffling", tokenizer, make_rows):
        assert sorted(inputs) == sorted(text) and targets == text
        assert len(text) < 10 or inputs != text


@pytest.mark.parametrize("scheme", ["bert_style", "iid_mask"])
def test_the_whole_text_is_written_and_the_first_sentinel_stands_for_noise(scheme, tokenizer, make_rows):
    mark = tokenizer.sentinels[0]
    for text, inputs, targets in corrupted(scheme, tokenizer, make_rows, rate=0.5):
        assert targets == text and len(inputs) == len(text)
        changed = {new for new, old in zip(inputs, text, strict=True) if new != old}
        assert changed <= {mark} if scheme == "iid_mask" else not changed & (tokenizer.controls - {mark})


def test_the_shares_of_noise(tokenizer, make_rows):
    rows, draws = make_rows([500] * 40, 500)
    marks = {}
    for scheme in ("bert_style", "iid_mask", "mass"):
        inputs, _ = Corruption(scheme=scheme).corrupt(rows, draws, tokenizer)
        marks[scheme] = (inputs.tokens == tokenizer.sentinels[0]).sum() / rows.tokens.size
    sigma = (0.15 * 0.85 / rows.tokens.size) ** 0.5
    assert abs(marks["iid_mask"] - 0.15) < 4 * sigma
    assert abs(marks["bert_style"] - 0.15 * 0.9) < 4 * sigma
    assert abs(marks["mass"] - 0.5 * 0.8) < 0.012


def test_mass_writes_the_one_fragment_that_was_hidden(tokenizer, make_rows):
    for text, inputs, targets in corrupted("mass", tokenizer, make_rows):
        assert len(inputs) == len(text) and len(targets) == max(1, round(len(text) / 2))
        places = range(len(text) - len(targets) + 1)
        changed = [i for i in range(len(text)) if inputs[i] != text[i]]
        assert any(
            text[i : i + len(targets)] == targets and all(i <= at < i + len(targets) for at in changed) for i in places
        )


def test_prefixes_of_all_lengths_are_as_likely():
    lengths = np.full(20_000, 6)
    ends = noise.prefix(lengths, 6, Draws(0, np.arange(20_000)), 0.5, 1.0).sum(1)
    counts = np.bincount(ends, minlength=7)
    assert counts[[0, 6]].tolist() == [0, 0]
    assert ((counts[1:6] - 4000) ** 2 / 4000).sum() < 18.5  # chi-square, 4 degrees of freedom, p = 0.001
    short = noise.prefix(lengths, 6, Draws(0, np.arange(20_000)), 0.2, 1.0).sum(1)
    assert set(short.tolist()) == {3, 4, 5}  # round(0.6 * 5) and on
    assert noise.prefix(np.array([1, 2]), 6, Draws(0, np.arange(2)), 0.5, 1.0).sum(1).tolist() == [0, 1]


@pytest.mark.parametrize("scheme", ["prefix", "deshuffling", "drop"])
def test_schemes_without_marks_need_no_sentinels(scheme, word_tokenizer):
    assert Corruption(scheme=scheme).layout(word_tokenizer(["a", "b"]), 16).length == 15
    with pytest.raises(SettingsError, match="sentinels"):
        Corruption(scheme="iid_mask").layout(word_tokenizer(["a", "b"]), 16)


def test_loss_counts_real_targets_only(tokenizer, make_rows):
    model = Model(T5)
    initialise(model, 0)
    model.eval()
    objective = Corruption()
    rows, draws = make_rows([40, 12], 40)
    together = objective.loss(model, objective.batch(rows, draws, tokenizer))["corruption"]
    apart = []
    for row, length in enumerate([40, 12]):
        alone = Rows(*(x[[row], :length] for x in (rows.tokens, rows.documents, rows.positions)), rows.draws[[row]])
        batch = objective.batch(alone, Draws(draws.seed, alone.draws), tokenizer)
        apart.append(objective.loss(model, batch)["corruption"])
    torch.testing.assert_close(together.total, apart[0].total + apart[1].total)
    assert together.count == apart[0].count + apart[1].count


def test_too_few_sentinels_are_told_before_training(tokenizer):
    with pytest.raises(SettingsError, match="needs? .* sentinels"):
        Corruption().layout(tokenizer, 1024)
    assert Corruption(mean_length=10.0).layout(tokenizer, 1024).length > 1024


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"rate": 1.0}, "rate = 1.0"), ({"rate": 0.0}, "rate"), ({"mean_length": 0.5}, "mean_length")],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(SettingsError, match=message):
        Corruption(**settings)


def test_a_span_as_long_as_a_row_is_refused(tokenizer):
    with pytest.raises(SettingsError, match="mean_length = 50"):
        Corruption(mean_length=50.0).layout(tokenizer, 32)


def test_models_that_do_not_fit_are_refused():
    with pytest.raises(SettingsError, match="encoder-decoder"):
        Corruption().heads(TransformerConfig(vocab_size=8, width=8, heads=1, ffn_width=8, decoder_layers=1))
