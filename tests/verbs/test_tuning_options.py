"""Options of a fine-tuning: learning rates by depth against their formula, early stopping, evaluations, truncation."""

import re

import pytest
import torch
from tests.verbs.sentiment import sentiment

from trivium.errors import DataError, SettingsError
from trivium.families import FAMILIES
from trivium.families.bodies import initialise, outline
from trivium.tasks import SequenceClassification
from trivium.text.examples import Labelled
from trivium.tokenizers import train_bpe
from trivium.transformer import Model
from trivium.transformer.lora import Lora
from trivium.verbs.learning_parts import layer_rates
from trivium.verbs.tuning import FineTuning, fit, merit

TRAIN, DEV = sentiment(96, 0), sentiment(40, 1)
TASK = SequenceClassification(("bad", "good"))


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe([example.text for example in TRAIN] * 2, 330)


def body(tokenizer, family="bert", **changes):
    return initialise(Model(FAMILIES[family].size("tiny", tokenizer.vocab_size, dropout=0.0, **changes)), 0)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5", "xlnet", "elmo", "seq2seq"])
def test_each_layer_learns_so_many_times_as_fast_as_the_one_above(family):
    config = FAMILIES[family].size("tiny", 300)
    model = outline(config)
    rates = layer_rates(model, 0.5)
    assert set(rates) == {name for name, _ in model.named_parameters()}
    deepest = max(config.encoder_layers, config.decoder_layers)
    for name, rate in rates.items():
        stack, _, rest = name.partition(".")
        if layer := re.match(r"layers\.(\d+)\.", rest):
            top = {"encoder": config.encoder_layers, "decoder": config.decoder_layers}[stack] - 1
            assert rate == 0.5 ** (top - int(layer[1]))
        elif stack == "tokens" or rest.startswith(("positions", "segments", "embedding_norm")):
            assert rate == 0.5**deepest
    assert min(rates.values()) == 0.5**deepest == rates[next(n for n in rates if n.startswith("tokens."))]
    assert max(rates.values()) == 1


@pytest.mark.parametrize(("method", "precision"), [("full", "float32"), ("lora", "float32"), ("last:1", "bfloat16")])
def test_a_first_step_moves_weights_by_their_rates(method, precision, tokenizer):
    """The gradients of a first step are the same with and without the decay, so its moves are in their proportion."""
    model, states = body(tokenizer), {}
    for decay, rate in ((1.0, 1e-30), (1.0, 1e-3), (0.25, 1e-3)):
        settings = FineTuning(
            method, steps=1, batch=32, learning_rate=rate, weight_decay=0.0, warmup=0.0, layer_decay=decay,
            precision=precision, lora=Lora(targets=("query", "value", "tokens")),
        )  # fmt: skip
        fitted = fit(model, tokenizer, TASK, TRAIN, settings=settings)
        states[decay, rate] = fitted.tuned.model.state_dict()
    start, plain, decayed = states.values()
    expected, seen = layer_rates(fitted.tuned.model, 0.25), set()
    for name in fitted.trained:
        moved = plain[name] - start[name]
        if moved.abs().max() > 1e-5:  # B of an adapter is zero, so A has no gradient yet; nor has the bias of keys
            torch.testing.assert_close(decayed[name] - start[name], expected[name] * moved, rtol=1e-3, atol=1e-7)
            seen.add(expected[name])
    assert seen == {"full": {1, 0.25, 0.0625}, "lora": {1, 0.25, 0.0625}, "last:1": {1}}[method]


def test_no_decay_is_what_it_was(tokenizer):
    model = body(tokenizer)

    def weights(**more):
        settings = FineTuning(steps=3, batch=16, learning_rate=1e-3, precision="float32", **more)
        return fit(model, tokenizer, TASK, TRAIN, settings=settings).tuned.model.state_dict()

    plain, same = weights(), weights(layer_decay=1.0)
    assert all(torch.equal(plain[name], same[name]) for name in plain)


def test_it_stops_when_dev_gains_nothing(tokenizer):
    model = body(tokenizer)
    settings = FineTuning(steps=40, batch=16, learning_rate=1e-9, precision="float32", evaluations=20, patience=3)
    stopped = fit(model, tokenizer, TASK, TRAIN, DEV, settings)  # so slow that accuracy never changes
    best = max(range(len(stopped.evaluations)), key=lambda n: merit(TASK, stopped.evaluations[n].scores))
    assert len(stopped.evaluations) == best + 1 + 3 and stopped.steps == 2 * len(stopped.evaluations)
    assert stopped.best_step == stopped.evaluations[best].step
    assert stopped.planned == 40 > stopped.steps == len(stopped.losses)
    whole = fit(model, tokenizer, TASK, TRAIN, DEV, FineTuning(
        steps=40, batch=16, learning_rate=1e-9, precision="float32", evaluations=20))  # fmt: skip
    assert whole.steps == whole.planned == 40
    assert whole.losses[: stopped.steps] == stopped.losses  # the schedule is that of the whole, not of the part
    with pytest.raises(SettingsError, match="patience = 2 waits for a gain on dev: give dev"):
        fit(model, tokenizer, TASK, TRAIN, settings=FineTuning(patience=2))


def test_dev_is_looked_at_within_an_epoch_where_that_is_asked(tokenizer):
    settings = {"steps": 12, "batch": 8, "learning_rate": 1e-3, "precision": "float32"}  # an epoch is 12 steps
    model = body(tokenizer)
    asked = fit(model, tokenizer, TASK, TRAIN, DEV, FineTuning(evaluations=4, **settings))
    assert [each.step for each in asked.evaluations] == [3, 6, 9, 12]
    default = fit(model, tokenizer, TASK, TRAIN, DEV, FineTuning(**settings))
    assert [each.step for each in default.evaluations] == [12]


def test_too_long_examples_are_refused_where_that_is_asked(tokenizer):
    model = body(tokenizer, context=32)
    long = [*TRAIN, Labelled("wonderful " * 60, "good"), Labelled("dull " * 60, "bad")]
    settings = {"steps": 1, "batch": 8, "precision": "float32"}
    counted = fit(model, tokenizer, TASK, long, [*DEV, long[-1]], FineTuning(**settings))
    cut = sum(len(tokenizer.encode(each.text).ids) > 30 for each in long)
    assert counted.truncated == cut >= 2 and counted.dev_truncated >= 1
    with pytest.raises(DataError, match=f"{cut} examples of train are longer than what is read of one"):
        fit(model, tokenizer, TASK, long, settings=FineTuning(on_truncate="error", **settings))
    with pytest.raises(DataError, match="examples of dev are longer"):
        fit(model, tokenizer, TASK, [Labelled("great", "good"), Labelled("dull", "bad")], long,
            FineTuning(on_truncate="error", **settings))  # fmt: skip


@pytest.mark.parametrize(("settings", "message"), [
    ({"layer_decay": 0.0}, r"layer_decay = 0.0: it must be above 0 and at most 1"),
    ({"layer_decay": 1.5}, r"layer_decay = 1.5"),
    ({"patience": 0}, r"patience = 0: it must be at least 1"),
    ({"evaluations": 0}, r"evaluations = 0"),
    ({"warmup": -0.1}, r"must not be negative"),
])  # fmt: skip
def test_settings_that_cannot_be_used(settings, message):
    with pytest.raises(SettingsError, match=message):
        FineTuning(**settings)
