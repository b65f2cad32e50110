import numpy as np
import pytest
import torch
from torch.nn import functional as F

from trivium.errors import DataError, SettingsError
from trivium.families import FAMILIES
from trivium.families.bodies import initialise, network
from trivium.tasks import Classified, SequenceClassification, predict_all
from trivium.text.examples import Labelled, Located, Pair
from trivium.transformer import SEQUENCE, TransformerConfig

LABELS = ("entails", "contradicts", "neutral")
TEXTS = ["It's a snow day!", "cat", "my dog is hairy, after such a late night we drive home", "There is snow outside."]


def built(family, pooling, tokenizer):
    task = SequenceClassification(LABELS, pooling=pooling)
    published = FAMILIES[family].heads
    config = task.configure(FAMILIES[family].size("tiny", tokenizer.vocab_size), published)
    model = initialise(network(config, task.heads(config, published)), 0).eval()
    return task, model, task.layout(tokenizer, config)


@pytest.mark.parametrize(("family", "pooling", "summary"), [
    ("bert", "family", "first"), ("bert", "mean", "mean"), ("gpt2", "family", "last"), ("gpt2", "mean", "mean"),
    ("xlnet", "family", "last"), ("roberta", "family", "first"), ("t5", "family", "last"), ("bart", "family", "last"),
])  # fmt: skip
def test_a_row_does_not_depend_on_its_neighbours(family, pooling, summary, tokenizer):
    task, model, tokenizer = built(family, pooling, tokenizer)
    assert model.heads[SEQUENCE].pooling == summary
    examples = [Labelled(text, "neutral") for text in TEXTS]
    encoded = task.encode(examples, tokenizer, model.config)
    together = task.scores(model, task.batch(encoded, np.arange(4)))
    alone = torch.cat([task.scores(model, task.batch(encoded, np.array([n]))) for n in range(4)])
    assert together.shape == (4, 3)
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    for tokens in (1, 20, 10_000):  # batches of one, some, all
        predicted = predict_all(task, model, examples, encoded, tokens)
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
    assert task.answers(model, batch)[0].tolist() == pytest.approx(by_hand.tolist(), abs=1e-6)


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
    examples = [Labelled(text, "") for text in TEXTS]
    predicted = predict_all(task, model, examples, task.encode(examples, tokenizer, model.config))
    gold = [predicted[0].label, *(p.label for p in predicted[1:3]), next(x for x in LABELS if x != predicted[3].label)]
    scores = task.score(predicted, [Labelled(text, label) for text, label in zip(TEXTS, gold, strict=True)])
    assert scores["accuracy"] == 0.75
    chances = [each.probabilities[label] for each, label in zip(predicted, gold, strict=True)]
    assert scores["loss"] == pytest.approx(-np.mean(np.log(chances)))
    assert Classified("b", {"a": 0.25, "b": 0.75}).row() == {"label": "b", "probabilities": {"b": 0.75, "a": 0.25}}


def example(row, columns=None, gold=True):
    return SequenceClassification().example("a.csv:2", row, columns or {}, gold)


def test_rows_become_examples():
    assert example({"text": "so excited", "label": 0}) == Labelled("so excited", "0")
    assert example({"text": "so excited", "label": True}) == Labelled("so excited", "true")
    assert example({"text": "a", "text2": "b", "label": " c "}) == Pair("a", "b", "c")
    names = {"text": "sentence1", "text2": "sentence2", "label": "gold"}
    assert example({"sentence1": "a", "sentence2": "b", "gold": "c"}, names) == Pair("a", "b", "c")
    assert example({"text": "a"}, gold=False) == Labelled("a", "")
    assert example({"text": "a", "label": "x"}, gold=False) == Labelled("a", "x")


@pytest.mark.parametrize(("row", "message"), [
    ({"text": "a", "lable": "b"}, "a.csv:2: no column 'label' .*did you mean 'lable'"),
    ({"txt": "a", "label": "b"}, "a.csv:2: no column 'text' .*did you mean 'txt'"),
    ({"text": "a", "text_2": "b", "label": "c"}, "a.csv:2: column 'text_2' would be ignored: call it 'text2'"),
    ({"text": " ", "label": "c"}, "a.csv:2: the text in 'text' is empty"),
    ({"text": None, "label": "c"}, "a.csv:2: the text in 'text' is null"),
    ({"text": "a", "text2": "", "label": "c"}, "a.csv:2: the text in 'text2' is empty"),
    ({"text": "b", "label": None}, "a.csv:2: the label in 'label' is null"),
    ({"text": "b", "label": ""}, "a.csv:2: the label in 'label' is empty"),
    ({"text": "a", "label": 0.5}, "a.csv:2: the label in 'label' is float"),
    ({"text": "\ud800", "label": "x"}, "a.csv:2: half a surrogate pair in 'text'"),
])  # fmt: skip
def test_rows_that_are_no_examples(row, message):
    with pytest.raises(DataError, match=message):
        example(row)


def located(*examples):
    return [Located(each, f"train[{number}]") for number, each in enumerate(examples)]


def test_labels_are_those_of_the_training_examples():
    train = located(Labelled("a", "10"), Labelled("b", "9"), Labelled("c", "10"))
    assert SequenceClassification().learn(train, []).labels == ("9", "10")
    assert SequenceClassification(("10", "9", "8")).learn(train, []).labels == ("10", "9", "8")
    for wrong, message in [
        (located(Labelled("a", "x"), Labelled("b", "x")), "all 2 examples have the label 'x'"),
        (located(Labelled("a", "x"), Pair("b", "c", "y")), r"train\[1\]: train and dev must both have one text"),
        (located(Labelled("a", "x"), Labelled(" ", "y")), r"train\[1\]: the text is empty"),
    ]:
        with pytest.raises(DataError, match=message):
            SequenceClassification().learn(wrong, [])
    with pytest.raises(DataError, match=r"dev\[0\]: 'z' in the label field does not occur"):
        SequenceClassification().learn(train, [Located(Labelled("a", "z"), "dev[0]")])


def test_what_cannot_be_a_classifier_is_refused():
    with pytest.raises(SettingsError, match="only one class"):
        SequenceClassification(("yes",))
    both = TransformerConfig(vocab_size=8, width=8, heads=1, ffn_width=8, encoder_layers=1, decoder_layers=1)
    with pytest.raises(SettingsError, match="encoder-decoder"):
        SequenceClassification(LABELS).heads(both, {})
