"""Several labels for a text, a number for a text, and what a class counts."""

import json

import numpy as np
import pytest
import sklearn.metrics
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from trivium.errors import DataError, SettingsError
from trivium.families import FAMILIES, huggingface
from trivium.families.bodies import initialise, network
from trivium.tasks import TASKS, Classified, LabelSet, MultiLabel, Regression, SequenceClassification
from trivium.tasks.multi_label import best_f1_threshold
from trivium.text.examples import Labelled, Located, MultiLabelled, Rated
from trivium.transformer import SEQUENCE
from trivium.verbs.finetune import finetune, task_options
from trivium.verbs.predict import load_tuned, predict
from trivium.verbs.tuning import FineTuning, merit

SHORT = FineTuning(steps=3, batch=4, learning_rate=1e-3, precision="float32")
WORDS = "snow storm cat dog night home".split()


@pytest.fixture(scope="module")
def base(tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    model = initialise(network(FAMILIES["bert"].size("tiny", tokenizer.vocab_size)), 0)
    huggingface.save(model, FAMILIES["bert"], tokenizer, folder)
    return folder


def sentences(count, seed):
    """Texts, which words of WORDS are in each, and a number: how many."""
    draw = np.random.default_rng(seed)
    for _ in range(count):
        words = draw.choice(WORDS, draw.integers(0, 4), replace=False).tolist()
        rest = draw.choice(["the", "on", "my", "is"], 7 - len(words)).tolist()
        yield " ".join(draw.permutation([*words, *rest])), tuple(sorted(words)), float(len(words))


LABELLED = [MultiLabelled(text, None, words) for text, words, _ in sentences(200, 0)]
RATED = [Rated(text, None, number) for text, _, number in sentences(200, 0)]


@pytest.mark.parametrize(("name", "examples", "problem"), [
    ("regression", RATED, "regression"), ("multilabel", LABELLED, "multi_label_classification"),
])  # fmt: skip
def test_loss_and_scores_are_those_of_transformers(name, examples, problem, base, tmp_path):
    assert name in TASKS
    report = finetune(name, base, examples, out=tmp_path / "out", settings=SHORT)
    assert report.opens_in_transformers and report.scores is None
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["problem_type"] == problem
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    tokens = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    made = load_tuned(tmp_path / "out")
    some = examples[:7]
    batch = made.task.batch(made.encode(some), np.arange(7))
    gold = torch.tensor([e.value for e in some]) if name == "regression" else batch.targets[SEQUENCE]
    with torch.no_grad():
        said = theirs(**tokens([e.first for e in some], return_tensors="pt", padding=True), labels=gold)
    torch.testing.assert_close(made.task.scores(made.model, batch), said.logits, rtol=1e-4, atol=1e-5)
    loss = made.task.loss(made.model, batch)[SEQUENCE]
    assert (loss.total / loss.count).item() == pytest.approx(said.loss.item(), abs=1e-5)
    (tmp_path / "out" / "trivium.toml").unlink()  # the task is seen from problem_type
    found = load_tuned(tmp_path / "out")
    assert type(found.task) is TASKS[name] and found.predict(some) == made.predict(some)


def test_a_published_cross_encoder_is_a_regression(base, tokenizer, tmp_path):
    """One label and no problem_type: transformers learns it by the square error."""
    config = transformers.BertConfig(
        vocab_size=tokenizer.vocab_size, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, num_labels=1,
    )  # fmt: skip
    theirs = transformers.BertForSequenceClassification(config).eval()
    theirs.save_pretrained(tmp_path)
    tokenizer.with_layout("classify").save(tmp_path)
    (said,) = predict(tmp_path, [{"text": "snow", "text2": "storm"}])
    ids = tokenizer.with_layout("classify").encode("snow", "storm", specials=True)
    with torch.no_grad():
        logit = theirs(torch.tensor([ids.ids]), token_type_ids=torch.tensor([ids.segments])).logits
    assert said.row()["label"] == pytest.approx(logit.item(), abs=1e-5)


def test_toy_numbers_and_labels_are_learnt(base, tmp_path):
    settings = FineTuning(epochs=8, batch=16, learning_rate=3e-3, precision="float32")
    mean = {"pooling": "mean"}
    numbers = finetune(
        "regression", base, RATED[:150], RATED[150:], out=tmp_path / "r", settings=settings, options=mean
    )
    assert numbers.scores["pearson"] > 0.7 and not {"accuracy", "macro_f1"} & set(numbers.scores)
    said = [each.row()["label"] for each in predict(tmp_path / "r", [e.first for e in RATED[150:]])]
    gold = [example.value for example in RATED[150:]]
    assert np.corrcoef(said, gold)[0, 1] == pytest.approx(numbers.scores["pearson"], abs=1e-4)
    options = {**mean, "decide": "dev"}
    longer = FineTuning(epochs=20, batch=16, learning_rate=3e-3, precision="float32")
    labels = finetune(
        "multilabel", base, LABELLED[:150], LABELLED[150:], out=tmp_path / "m", settings=longer, options=options
    )
    assert labels.scores["micro_f1"] > 0.6 and labels.labels == tuple(sorted(WORDS))
    made = load_tuned(tmp_path / "m")
    assert len(made.task.thresholds) == 6  # settled on dev, and kept
    assert made.score(LABELLED[150:]) == pytest.approx(labels.scores)
    row = next(predict(made, [{"text": LABELLED[0].first, "labels": ["cat"]}])).row()
    assert row["gold"] == ["cat"] and set(row["probabilities"]) == set(WORDS)
    least = dict(zip(made.task.labels, made.task.thresholds, strict=True))
    assert row["labels"] == [word for word in made.task.labels if row["probabilities"][word] >= least[word]]


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans()), min_size=1, max_size=30))
def test_thresholds_have_the_best_f1(rows):
    chances, true = np.array([p / 8 for p, _ in rows]), np.array([t for _, t in rows])
    threshold = best_f1_threshold(chances, true)
    if not true.any():
        assert threshold == 0.5
        return

    def f1(at):
        said = chances >= at
        return 2 * (said & true).sum() / (said.sum() + true.sum())

    assert f1(threshold) == pytest.approx(max(f1(at) for at in np.linspace(0, 1, 65)))


def test_settled_thresholds_and_scores():
    task = MultiLabel(labels=("a", "b"), decide="dev")
    chances = [{"a": 0.3, "b": 0.1}, {"a": 0.2, "b": 0.9}, {"a": 0.1, "b": 0.4}]
    examples = [MultiLabelled("x", None, ("a",)), MultiLabelled("y", None, ("a",)), MultiLabelled("z", None, ())]
    said = [LabelSet((), each) for each in chances]
    assert task.settled(said, examples).thresholds == pytest.approx((0.15, 0.5))  # b is not in dev
    assert MultiLabel(labels=("a", "b")).settled(said, examples).thresholds == ()
    outcomes = task.outcomes([LabelSet(("b",), chances[1])], examples[1:2])
    assert [(o.gold, o.said) for o in outcomes] == [("a", "not a"), ("not b", "b")]
    assert [o.loss for o in outcomes] == pytest.approx([-np.log(0.2), -np.log(0.1)])
    scores = MultiLabel(labels=("a", "b"), thresholds=(0.25, 0.5)).score(said, examples)  # a; b; none
    gold, got = np.array([[1, 0], [1, 0], [0, 0]]), np.array([[1, 0], [0, 1], [0, 0]])
    assert scores["micro_f1"] == pytest.approx(sklearn.metrics.f1_score(gold, got, average="micro"))
    assert scores["macro_f1"] == pytest.approx(sklearn.metrics.f1_score(gold, got, average="macro", zero_division=0))
    assert scores["accuracy"] == pytest.approx(sklearn.metrics.accuracy_score(gold, got))


# ---- class weights and the main score ----


def located(*examples):
    return [Located(example, f"train[{n}]") for n, example in enumerate(examples)]


def test_class_weights(base, tokenizer):
    labels = ["a"] * 6 + ["b"] * 3 + ["c"]
    train = located(*(Labelled("x", label) for label in labels))
    learnt = SequenceClassification(class_weights="balanced").learn(train, [])
    expected = compute_class_weight("balanced", classes=np.array(["a", "b", "c"]), y=labels)
    assert list(learnt.class_weights.values()) == pytest.approx(expected)
    assert learnt.learn(train, []) == learnt
    scores, gold = torch.randn(10, 3), torch.tensor([0] * 6 + [1] * 3 + [2])
    weighted = torch.nn.CrossEntropyLoss(torch.tensor(expected, dtype=torch.float32), reduction="sum")
    torch.testing.assert_close(learnt.total(scores, {SEQUENCE: gold}), weighted(scores, gold))
    given = SequenceClassification(class_weights={"b": 5.0}).learn(train, [])
    ones = torch.nn.CrossEntropyLoss(torch.tensor([1.0, 5.0, 1.0]), reduction="sum")
    torch.testing.assert_close(given.total(scores, {SEQUENCE: gold}), ones(scores, gold))
    with pytest.raises(SettingsError, match="class_weights names 'd'"):
        SequenceClassification(class_weights={"d": 5.0}).learn(train, [])
    for wrong in (0.0, -1.0, float("nan")):
        with pytest.raises(SettingsError, match="must be above 0"):
            SequenceClassification(class_weights={"a": wrong})


def test_class_weights_of_several_labels():
    """A true label counts ``pos_weight``: balanced, (examples without it) / (examples with it)."""
    train = located(*(MultiLabelled("x", None, labels) for labels in [("a", "b"), ("a",), ("a",), ()]))
    learnt = MultiLabel(class_weights="balanced").learn(train, [])
    assert learnt.class_weights == pytest.approx({"a": 1 / 3, "b": 3.0}) and learnt.learn(train, []) == learnt
    scores, gold = torch.randn(4, 2), torch.tensor([[1.0, 1], [1, 0], [1, 0], [0, 0]])
    weighted = torch.nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1 / 3, 3.0]), reduction="sum")
    torch.testing.assert_close(2 * learnt.total(scores, {SEQUENCE: gold}), weighted(scores, gold))
    everywhere = located(MultiLabelled("x", None, ("a",)), MultiLabelled("y", None, ("a",)))
    assert MultiLabel(class_weights="balanced").learn(everywhere, []).class_weights is None
    with pytest.raises(SettingsError, match="class_weights names 'd'"):
        MultiLabel(class_weights={"d": 5.0}).learn(train, [])
    with pytest.raises(SettingsError, match="must be above 0"):
        MultiLabel(class_weights={"a": 0.0})


def test_settings_are_spelt_on_the_command_line_and_kept(base, tmp_path):
    assert task_options("sequence", ["class_weights=balanced"]) == {"class_weights": "balanced"}
    assert task_options("sequence", ["class_weights={a = 2.0, b = 1}"]) == {"class_weights": {"a": 2.0, "b": 1}}
    train = [Labelled("snow", "a"), Labelled("storm", "not a"), Labelled("cat", "a")]
    options = {"class_weights": "balanced", "metric": "macro_f1"}
    finetune("sequence", base, train, train, out=tmp_path / "out", options=options, settings=SHORT)
    task = load_tuned(tmp_path / "out").task
    assert task.class_weights == pytest.approx({"a": 0.75, "not a": 1.5}) and task.main == "macro_f1"
    with pytest.raises(SettingsError, match="metric = 'f1'"):
        finetune("sequence", base, train, out=tmp_path / "o", options={"metric": "f1"})


def test_the_metric_chooses_among_weights():
    """Ten examples, nine of one class: always saying that class has the better accuracy and the worse macro F1."""
    examples = [Labelled("x", "a")] * 9 + [Labelled("x", "b")]

    def said(labels):
        return [Classified(label, {"a": 0.5, "b": 0.5}) for label in labels]

    lazy, fair = said("aaaaaaaaaa"), said("aaaaaaabbb")
    for metric, better in [("accuracy", lazy), ("macro_f1", fair), ("matthews", fair)]:
        task = SequenceClassification(("a", "b"), metric=metric)
        assert max((lazy, fair), key=lambda each: merit(task, task.score(each, examples))) is better


# ---- rows ----


def read(task, row, gold=True):
    return task.example("a.csv:2", row, {}, gold)


def test_rows_become_examples():
    assert read(Regression(), {"text": "a", "text2": "b", "label": "3.8"}) == Rated("a", "b", 3.8)
    assert read(Regression(), {"text": "a", "label": 3}) == Rated("a", None, 3.0)
    assert read(Regression(), {"text": "a"}, gold=False) == Rated("a", None, None)
    assert read(MultiLabel(), {"text": "a", "labels": ["y", "x", "y"]}) == MultiLabelled("a", None, ("x", "y"))
    assert read(MultiLabel(), {"text": "a", "labels": "27, 3"}) == MultiLabelled("a", None, ("27", "3"))
    assert read(MultiLabel(), {"text": "a", "labels": ""}).labels == ()
    assert read(MultiLabel(), {"text": "a", "labels": []}).labels == ()
    assert read(MultiLabel(), {"text": "a"}, gold=False).labels is None


@pytest.mark.parametrize(("task", "row", "message"), [
    (Regression(), {"text": "a", "label": "nan"}, "a.csv:2: the number in 'label' is nan"),
    (Regression(), {"text": "a", "label": float("inf")}, "a.csv:2: the number in 'label' is inf"),
    (Regression(), {"text": "a", "label": "-inf"}, "a.csv:2: the number in 'label' is -inf"),
    (Regression(), {"text": "a", "label": 10**400}, "a.csv:2: the number in 'label' is 1000"),
    (Regression(), {"text": "a", "label": "good"}, "the number in 'label' is 'good': a number is wanted"),
    (Regression(), {"text": "a", "label": ""}, "the number in 'label' is '': a number is wanted"),
    (Regression(), {"text": "a", "label": True}, "the number in 'label' is bool"),
    (Regression(), {"text": "a", "label": None}, "the number in 'label' is null"),
    (Regression(), {"text": "a", "lable": 1}, "no column 'label' .*did you mean 'lable'"),
    (MultiLabel(), {"text": "a", "labels": 3}, "'labels' is int, not a list of labels"),
    (MultiLabel(), {"text": "a", "labels": ["x", ""]}, "the label in 'labels' is empty"),
    (MultiLabel(), {"text": "a", "labels": [0.5]}, "the label in 'labels' is float"),
    (MultiLabel(), {"text": "a", "label": ["x"]}, "no column 'labels' .*did you mean 'label'"),
])  # fmt: skip
def test_rows_that_are_no_examples(task, row, message):
    with pytest.raises(DataError, match=message):
        read(task, row)


@pytest.mark.parametrize(("task", "examples", "message"), [
    (Regression(), [Rated("a", None, 1.0), Rated("b", None, float("nan"))], r"train\[1\]: the label is nan"),
    (Regression(), [Rated("a", None, 1.0), Rated("b", None, None)], r"train\[1\]: the label is None"),
    (Regression(), [Rated("a", None, 1.0), Rated("b", None, 1.0)], "all 2 examples have the label 1.0"),
    (MultiLabel(), [MultiLabelled("a", None, ()), MultiLabelled("b", None, ())], "no example has a label"),
    (MultiLabel(), [MultiLabelled("a", None, ("x",)), MultiLabelled("b", None, None)], r"train\[1\]: the labels are"),
    (MultiLabel(labels=("x",)), [MultiLabelled("a", None, ("y",))], r"train\[0\]: 'y' in the label field does not"),
])  # fmt: skip
def test_examples_that_cannot_be_learnt(task, examples, message):
    with pytest.raises(DataError, match=message):
        task.learn(located(*examples), [])
