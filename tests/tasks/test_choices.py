import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from trivium.errors import DataError, SettingsError
from trivium.families import FAMILIES
from trivium.families.bodies import initialise, network
from trivium.tasks import MultipleChoice, predict_all
from trivium.tasks.choices import by_question
from trivium.text.examples import Choices, Located
from trivium.transformer import CHOICE
from trivium.verbs.tuning import tuned_of

EXAMPLES = [
    Choices("", "What fell last night?", ("snow", "a cat on the mat"), 0),
    Choices("The dog is hairy.", "", ("a dog", "a warning of a winter storm", "late", "home"), 2),
    Choices("We drive home after a late night.", "When?", ("day", "night", "never, outside"), 1),
    Choices("", "such", ("a", "b"), None),
]


def built(family, tokenizer, **settings):
    kind = FAMILIES[family]
    body = initialise(network(kind.size("tiny", tokenizer.vocab_size)), 0)
    return tuned_of(body, tokenizer, MultipleChoice(**settings), 1, kind.heads)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "xlnet", "gpt1", "gpt2", "llama", "t5"])
def test_a_question_does_not_depend_on_its_neighbours(family, tokenizer):
    tuned = built(family, tokenizer)
    items = tuned.encode(EXAMPLES)
    assert items.counts.tolist() == [2, 4, 3, 2] and items.truncated == 0
    together = predict_all(tuned.task, tuned.model, EXAMPLES, items)
    for tokens in (1, 60, 10_000):
        said = predict_all(tuned.task, tuned.model, EXAMPLES, items, tokens)
        for each, other, example in zip(said, together, EXAMPLES, strict=True):
            assert each.probabilities == pytest.approx(other.probabilities, abs=1e-6)
            assert len(each.probabilities) == len(example.options) and sum(each.probabilities) == pytest.approx(1)
            assert each.index == other.index and each.choice == example.options[each.index]


def test_loss_by_hand_for_different_numbers_of_choices(tokenizer):
    tuned = built("bert", tokenizer)
    batch = tuned.task.batch(tuned.encode(EXAMPLES[:3]), np.array([2, 0, 1]))
    scores = tuned.model(batch.inputs, heads=(CHOICE,)).heads[CHOICE]
    assert scores.shape == (9, 1)
    parts = [(0, 3, 1), (3, 2, 0), (5, 4, 2)]
    expected = -sum(scores[start : start + count, 0].log_softmax(0)[gold] for start, count, gold in parts)
    loss = tuned.task.loss(tuned.model, batch)
    torch.testing.assert_close(loss[CHOICE].total, expected)
    assert list(loss) == [CHOICE] and loss[CHOICE].count == 3 == batch.counts[CHOICE]
    assert batch.targets["rows"].tolist() == [3, 2, 4]


def test_by_question_is_padding():
    scores = torch.arange(6.0)[:, None].requires_grad_()
    table = by_question(scores, torch.tensor([1, 3, 2]))
    inf = math.inf
    assert table.tolist() == [[0, -inf, -inf], [1, 2, 3], [4, 5, -inf]]
    F.cross_entropy(table, torch.tensor([0, 1, 1])).backward()
    assert scores.grad.isfinite().all() and scores.grad[0] == 0  # one choice alone is certain


def test_what_bert_reads(tokenizer):
    """[CLS] context [SEP] choice [SEP]; a question beside a context goes before the choice."""
    tuned = built("bert", tokenizer)
    items = tuned.encode(EXAMPLES)
    bert = tuned.tokenizer
    pairs = [
        ("What fell last night?", "snow"),
        ("What fell last night?", "a cat on the mat"),
        ("The dog is hairy.", "a dog"),
    ]
    for row, pair in enumerate(pairs):
        whole = bert.encode(*pair, specials=True)
        assert items.ids[row].tolist() == whole.ids and items.segments[row].tolist() == whole.segments
    both = bert.encode("We drive home after a late night.", "When? night", specials=True).ids
    assert items.ids[7].tolist() == both


def test_scores_in_the_users_units(tokenizer):
    tuned = built("bert", tokenizer)
    said = tuned.predict(EXAMPLES[:3])
    gold = [Choices(e.context, e.question, e.options, p.index) for e, p in zip(EXAMPLES[:3], said, strict=True)]
    wrong = Choices(gold[0].context, gold[0].question, gold[0].options, 1 - said[0].index)
    scores = tuned.task.score(said, [wrong, *gold[1:]])
    assert scores["accuracy"] == pytest.approx(2 / 3)
    chances = [said[0].probabilities[wrong.label], *(max(p.probabilities) for p in said[1:])]
    assert scores["loss"] == pytest.approx(-np.mean(np.log(chances)))
    outcome = tuned.task.outcomes(said[:1], [wrong])[0]
    assert (outcome.gold, outcome.said) == (wrong.options[wrong.label], said[0].choice)
    row = said[0].row()
    assert row["choice"] == EXAMPLES[0].options[row["index"]] and len(row["probabilities"]) == 2


def example(row, gold=True, columns=None):
    return MultipleChoice().example("a.jsonl:2", row, columns or {}, gold)


def test_rows_become_examples():
    row = {"question": "q", "options": ["x", "y", "3"], "label": 1}
    assert example(row) == Choices("", "q", ("x", "y", "3"), 1)
    for label, index in [("y", 1), ("3", 2), ("0", 0), ("B", 1), ("C", 2), (0, 0)]:
        assert example({**row, "label": label}).label == index, label
    assert example({"context": "c", "question": "q", "options": ["x", "y"], "label": "x"}).context == "c"
    assert example({"context": "c", "options": ["x", "y"]}, gold=False).label is None
    named = {"premise": "c", "endings": ["x", "y"], "answer": 0}
    columns = {"context": "premise", "options": "endings", "label": "answer"}
    assert example(named, columns=columns) == Choices("c", "", ("x", "y"), 0)


@pytest.mark.parametrize(("row", "message"), [
    ({"options": ["a", "b"], "label": 0}, "a.jsonl:2: no column 'question' and no column 'context'"),
    ({"qestion": "q", "options": ["a", "b"], "label": 0}, "a.jsonl:2: column 'qestion' would be ignored"),
    ({"question": "q", "contex": "c", "options": ["a", "b"], "label": 0}, "column 'contex' would be ignored"),
    ({"question": "q", "option": ["a", "b"], "label": 0}, "no column 'options' .*did you mean 'option'"),
    ({"question": "q", "options": "a, b", "label": 0}, "'options' is str, not a list"),
    ({"question": "q", "options": ["a", ""], "label": 0}, "'options' holds ''"),
    ({"question": "q", "options": ["a"], "label": 0}, "'options' holds 1 of at least two texts"),
    ({"question": "q", "options": ["a", "b"]}, "no column 'label'"),
    ({"question": "q", "options": ["a", "b"], "label": 2}, r"'2' is neither the number of an option \(0 to 1\)"),
    ({"question": "q", "options": ["a", "b"], "label": -1}, "'-1' is neither the number"),
    ({"question": "q", "options": ["a", "b"], "label": True}, "'true' is neither the number"),
    ({"question": "q", "options": ["a", "b"], "label": "c"}, "'c' is neither the number of an option"),
    ({"question": "q", "options": ["a", "b"], "label": "C"}, "'C' is neither the number of an option"),
    ({"question": "q", "options": ["a", "a"], "label": "a"}, "is the text of 2 options: give its number"),
    ({"question": " ", "options": ["a", "b"], "label": 0}, "the text in 'question' is empty"),
    ({"question": "q", "options": ["a", "b"], "label": None}, "the label in 'label' is null"),
])  # fmt: skip
def test_rows_that_are_no_examples(row, message):
    with pytest.raises(DataError, match=message):
        example(row)


@pytest.mark.parametrize(("wrong", "message"), [
    (Choices("", "", ("a", "b"), 0), "question or one of its options is empty"),
    (Choices("", "q", ("a", " "), 0), "question or one of its options is empty"),
    (Choices("", "q", ("a",), 0), "there is 1 option"),
    (Choices("", "q", ("a", "b"), 2), "the label is 2: it must be from 0 to 1"),
    (Choices("", "q", ("a", "b"), None), "the label is None"),
])  # fmt: skip
def test_examples_that_cannot_be_learnt(wrong, message):
    with pytest.raises(DataError, match=r"train\[1\]: .*" + message):
        MultipleChoice().learn([Located(EXAMPLES[0], "train[0]"), Located(wrong, "train[1]")], [])


def test_settings_that_do_not_fit_choices():
    with pytest.raises(SettingsError, match="choices cannot be split"):
        MultipleChoice(on_truncate="split")
    with pytest.raises(SettingsError, match="symmetric"):
        MultipleChoice(symmetric=True)
