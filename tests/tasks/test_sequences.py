import numpy as np
import pytest
import torch
from torch.nn import functional as F

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.tasks import SequenceClassification
from trivium.text.examples import Labelled, Pair
from trivium.transformer import SEQUENCE, Model, TransformerConfig, initialise

LABELS = ("entails", "contradicts", "neutral")
TEXTS = ["It's a snow day!", "cat", "my dog is hairy, after such a late night we drive home", "There is snow outside."]


def built(family, pooling, tokenizer):
    task = SequenceClassification(LABELS, pooling)
    config = task.configure(FAMILIES[family].size("tiny", tokenizer.vocab_size))
    model = initialise(Model(config, task.heads(config)), 0).eval()
    return task, model, task.layout(tokenizer, config)


@pytest.mark.parametrize(("family", "pooling", "summary"), [
    ("bert", "family", "first"), ("bert", "mean", "mean"), ("gpt2", "family", "last"), ("gpt2", "mean", "mean"),
])  # fmt: skip
def test_a_row_does_not_depend_on_its_neighbours(family, pooling, summary, tokenizer):
    task, model, tokenizer = built(family, pooling, tokenizer)
    assert task.summary(model.config) == summary
    examples = [Labelled(text, "neutral") for text in TEXTS]
    encoded = task.encode(examples, tokenizer, model.config)
    together = task.scores(model, task.batch(encoded, np.arange(4)))
    alone = torch.cat([task.scores(model, task.batch(encoded, np.array([n]))) for n in range(4)])
    assert together.shape == (4, 3)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    for tokens in (1, 20, 10_000):  # batches of one, some, all
        predicted = list(task.predict_all(model, encoded, tokens))
        expected = together.softmax(-1)
        assert [p.label for p in predicted] == [LABELS[i] for i in expected.argmax(-1)]
        assert [list(p.probabilities.values()) for p in predicted] == [
            pytest.approx(row, abs=1e-5) for row in expected.tolist()
        ]


def test_the_head_is_softmax_of_w_h(tokenizer):
    """Lecture 1: y = softmax(W_C h_CLS), W_C of labels x width; BERT: h is the pooled first token."""
    task, model, tokenizer = built("bert", "family", tokenizer)
    batch = task.batch(task.encode([Labelled(TEXTS[0], "entails")], tokenizer, model.config), np.array([0]))
    head = model.heads[SEQUENCE]
    assert head.classifier.weight.shape == (3, model.config.width)
    hidden = model(batch.inputs).hidden[0, 0]
    pooled = torch.tanh(model.pooler.dense.weight @ hidden + model.pooler.dense.bias)
    by_hand = (head.classifier.weight @ pooled + head.classifier.bias).softmax(-1)
    assert list(task.predict(model, batch)[0].probabilities.values()) == pytest.approx(by_hand.tolist(), abs=1e-6)


def test_loss_is_a_sum_with_a_count(tokenizer):
    task, model, tokenizer = built("gpt2", "family", tokenizer)
    examples = [Labelled(text, LABELS[n % 3]) for n, text in enumerate(TEXTS)]
    encoded = task.encode(examples, tokenizer, model.config)
    batch = task.batch(encoded, np.arange(4))
    loss = task.loss(model, batch)[SEQUENCE]
    expected = F.cross_entropy(task.scores(model, batch), torch.tensor([0, 1, 2, 0]), reduction="sum")
    assert loss.count == 4 and batch.counts == {SEQUENCE: 4} and batch.tokens == encoded.lengths.sum()
    torch.testing.assert_close(loss.total, expected)


def test_pairs_have_segments_where_the_model_has_them(tokenizer):
    task, model, tokenizer = built("bert", "family", tokenizer)
    encoded = task.encode([Pair(TEXTS[0], TEXTS[3], "entails")], tokenizer, model.config)
    segments = task.batch(encoded, np.array([0])).inputs.source.segments[0].tolist()
    assert sorted(segments) == segments and set(segments) == {0, 1}
    task, model, tokenizer = built("gpt2", "family", tokenizer)
    encoded = task.encode([Pair(TEXTS[0], TEXTS[3], "entails")], tokenizer, model.config)
    assert task.batch(encoded, np.array([0])).inputs.target.segments is None


def test_score_in_the_users_units(tokenizer):
    task, model, tokenizer = built("bert", "mean", tokenizer)
    predicted = list(task.predict_all(model, task.encode([Labelled(t, "") for t in TEXTS], tokenizer, model.config)))
    gold = [predicted[0].label, *(p.label for p in predicted[1:3]), next(x for x in LABELS if x != predicted[3].label)]
    assert task.score(predicted, gold)["accuracy"] == 0.75


def test_what_cannot_be_a_classifier_is_refused():
    with pytest.raises(SettingsError, match="only one class"):
        SequenceClassification(("yes",))
    both = TransformerConfig(vocab_size=8, width=8, heads=1, ffn_width=8, encoder_layers=1, decoder_layers=1)
    with pytest.raises(SettingsError, match="encoder-decoder"):
        SequenceClassification(LABELS).heads(both)
