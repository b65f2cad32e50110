"""Spans as candidates, in windows, decoded; rows that hold them; batches that do not matter."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trivium.errors import DataError, SettingsError
from trivium.families import FAMILIES
from trivium.families.bodies import initialise
from trivium.metrics import span_scores
from trivium.tasks import SpanLabelling, SpanLabels, SpanRelations, predict_all
from trivium.tasks.span_decoding import chosen, decoding_of
from trivium.tasks.span_items import enumerated, owned
from trivium.tasks.word_pieces import windows
from trivium.text.examples import Located, Related, Relation, Span, Spans
from trivium.transformer import Model

LABELS = ("none", "LOC", "PER")
TEXTS = [
    Spans(("the", "winter", "storm", "warning"), (Span("LOC", 1, 3), Span("PER", 2, 2))),
    Spans(("hairy", "(", "dogs", ")", "drive", "!?", "home-warning", "late"), (Span("PER", 0, 1), Span("LOC", 6, 7))),
    Spans(("cat",), ()),
]
PAIRS = [
    Related(("the", "winter", "storm", "warning"), (Span("", 1, 3), Span("", 0, 0), Span("", 2, 2)),
            (Relation("LOC", 0, 2), Relation("PER", 1, 0))),
    Related(("hairy", "dogs", "drive", "home-warning"), (Span("", 3, 3), Span("", 0, 1)), (Relation("PER", 0, 1),)),
    Related(("cat",), (Span("", 0, 0),)),
]  # fmt: skip


@pytest.mark.parametrize(("words", "longest", "count"), [
    (5, 5, 15), (5, 2, 9), (10, 4, 34), (10, 10, 55), (6, 10, 21), (1, 3, 1),
])  # fmt: skip
def test_how_many_spans_there_are(words, longest, count):
    """T (T + 1) / 2, single words included, where lecture 1 prints T (T - 1) / 2; fewer with a limit."""
    found = enumerated(words, longest)
    assert len(found) == count
    assert set(map(tuple, found.tolist())) == {
        (i, j) for i in range(words) for j in range(i, words) if j - i < longest
    }
    if longest >= words:
        assert count == words * (words + 1) // 2
    assert (np.diff(found[:, 1] - found[:, 0]) >= 0).all()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=30), st.integers(4, 12), st.integers(1, 8))
def test_windows_share_the_spans_without_loss_or_repeat(sizes, room, longest):
    """Each in one window that holds it; left out are those alone that no window holds."""
    found, spans = windows(sizes, room), enumerated(len(sizes), longest)
    parts = owned(spans, found)
    for part, window in zip(parts, found, strict=True):
        assert all(window.first <= first and last < window.last for first, last in spans[part])
    taken = sorted(number for part in parts for number in part.tolist())
    assert len(taken) == len(set(taken))
    for number in set(range(len(spans))) - set(taken):
        first, last = spans[number]
        assert not any(window.first <= first and last < window.last for window in found)


SOME = [Span("A", 0, 3), Span("B", 1, 2), Span("A", 2, 5), Span("C", 6, 6)]


@pytest.mark.parametrize(("decode", "kept"), [("nested", [0, 1, 2, 3]), ("flat", [2, 3]), ("crossing", [1, 3])])
def test_what_may_stand_side_by_side(decode, kept):
    chances = {"nested": [0.5, 0.5, 0.5, 0.5], "flat": [0.7, 0.6, 0.9, 0.5], "crossing": [0.6, 0.9, 0.7, 0.5]}[decode]
    expected = kept if decode != "crossing" else [0, 1, 3]
    if decode == "crossing":
        chances[2] = 0.55  # crosses both of the others, which are more probable
    assert chosen(SOME, np.array(chances), decode) == expected


def test_the_strictest_decoding_of_examples():
    assert decoding_of([[Span("A", 0, 1), Span("B", 2, 3)], []]) == "flat"
    assert decoding_of([[Span("A", 0, 4), Span("B", 2, 4), Span("B", 6, 6)]]) == "crossing"
    assert decoding_of([[Span("A", 0, 4), Span("B", 1, 2), Span("B", 3, 5)]]) == "nested"
    assert decoding_of([[Span("A", 0, 1), Span("B", 1, 2)]]) == "nested"


def built(family, task, tokenizer):
    config = task.configure(FAMILIES[family].size("tiny", tokenizer.vocab_size), FAMILIES[family].heads)
    model = initialise(Model(config, task.heads(config, FAMILIES[family].heads)), 0).eval()
    model.heads[task.head].classifier.bias.data.zero_()  # so that labels are said, too
    return model, task.layout(tokenizer, config)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
@pytest.mark.parametrize(("task", "examples"), [
    (SpanLabelling(LABELS, longest=3, decode="nested"), TEXTS),
    (SpanLabelling(LABELS, longest=5, decode="flat", summary="mean", ends="plain", width_vectors=False), TEXTS),
    (SpanLabelling(LABELS, longest=3, decode="crossing", length=9), TEXTS),
    (SpanRelations(LABELS), PAIRS),
    (SpanRelations(LABELS, loops=True, length=9), PAIRS),
])  # fmt: skip
def test_a_text_does_not_depend_on_its_neighbours(family, task, examples, tokenizer):
    model, tokenizer = built(family, task, tokenizer)
    items = task.encode(examples, tokenizer, model.config)
    assert any("windows" in note for note in items.notes) is (task.length == 9)
    together = predict_all(task, model, examples, items)
    small = predict_all(task, model, examples, items, tokens=1)
    for a, b in zip(together, small, strict=True):
        assert a.found == b.found and (a.asked == b.asked).all()
        np.testing.assert_allclose(a.probabilities, b.probabilities, atol=1e-5)
        np.testing.assert_allclose(a.probabilities.sum(1), 1, atol=1e-5)
    assert any(each.found for each in together)
    whole = task.batch(items, np.arange(len(items)))
    parts = [task.batch(items, np.array([n])) for n in range(len(items))]
    losses = [task.loss(model, batch)[task.head] for batch in (whole, *parts)]
    assert losses[0].count == sum(loss.count for loss in losses[1:])
    torch.testing.assert_close(losses[0].total, sum(loss.total for loss in losses[1:]), rtol=1e-5, atol=1e-4)
    # the loss is that of the very decisions that are scored
    assert task.score(together, examples)["loss"] * losses[0].count == pytest.approx(losses[0].total.item(), rel=1e-4)


def test_scores_and_outcomes_of_what_was_said():
    task = SpanLabelling(LABELS, longest=2, decode="nested")
    example = Spans(("a", "b", "c"), (Span("LOC", 0, 1), Span("PER", 0, 2)))
    asked = enumerated(3, 2)
    chances = np.full((len(asked), 3), 0.1)
    chances[:, 0] = 0.8
    chances[[0, 3]] = [0.2, 0.7, 0.1], [0.1, 0.6, 0.3]  # words 0 to 0 and 0 to 1 are LOC
    said = task._decoded(example, asked, chances)
    assert said.found == (Span("LOC", 0, 1), Span("LOC", 0, 0))
    scores = task.score([said], [example])
    assert scores["f1"] == 0.5 == span_scores([example.spans], [said.found])["f1"]
    assert scores["loss"] == pytest.approx(-np.log([0.2, 0.8, 0.8, 0.6, 0.8]).mean())
    found = [(each.text, each.gold, each.said) for each in task.outcomes([said], [example])]
    assert found == [("a", "none", "LOC"), ("a b", "LOC", "LOC"), ("a b c", "PER", "none")]
    losses = [each.loss for each in task.outcomes([said], [example])]
    assert losses[:2] == pytest.approx([-np.log(0.2), -np.log(0.6)]) and losses[2] > 50  # too long to be found
    assert task.settled([said], [example]) is task


def test_texts_become_words_and_spans_have_characters():
    task = SpanLabelling(LABELS, longest=3)
    row = {"text": "Anna  lives in New York.", "spans": [{"start": 15, "end": 23, "label": "LOC"}]}
    example = task.example("x", row, {}, True)
    assert example.words == ("Anna", "lives", "in", "New", "York", ".") and example.spans == (Span("LOC", 3, 4),)
    said = SpanLabels(example, example.spans, (0.75,), np.array([[3, 4]]), np.array([[0.25, 0.75, 0]]))
    assert said.row() == {
        "words": list(example.words),
        "spans": [{"label": "LOC", "probability": 0.75, "first": 3, "last": 4, "start": 15, "end": 23,
                   "text": "New York"}],
    }  # fmt: skip
    words = task.example("x", {"tokens": ["New", "York"]}, {"words": "tokens"}, False)
    assert words == Spans(("New", "York"))
    wide = {"text": "a  b ", "spans": [{"start": 0, "end": 5, "label": "X"}]}  # spaces at an end belong to no word
    assert task.example("x", wide, {}, True).spans == (Span("X", 0, 1),)


WORDS = {"words": ["a", "b"]}


@pytest.mark.parametrize(("row", "message"), [
    (WORDS, "a.jsonl:7: no column 'spans'"),
    ({**WORDS, "spans": [{"first": 1, "last": 2, "label": "X"}]}, "span 1 in 'spans' is words 1 to 2, and the row has"),
    ({**WORDS, "spans": [{"first": 1, "last": 0, "label": "X"}]}, "span 1 in 'spans' is words 1 to 0"),
    ({**WORDS, "spans": [{"first": True, "last": 1, "label": "X"}]}, "'first' is True, not an integer"),
    ({**WORDS, "spans": [{"first": 0, "label": "X"}]}, "span 1 in 'spans': no column 'last'"),
    ({**WORDS, "spans": [{"first": 0, "last": 0}]}, "span 1 in 'spans': no column 'label'"),
    ({**WORDS, "spans": [[0, 1, "X"]]}, "'spans' is list, not a list of objects"),
    ({**WORDS, "spans": "X"}, "'spans' is str, not a list of objects"),
    ({**WORDS, "spans": [{"start": 0, "end": 1, "label": "X"}]}, "counts characters, and the row has words"),
    ({**WORDS, "tags": ["O"]}, "2 words but 1 tags in 'tags'"),
    ({**WORDS, "tags": ["NN", "O"]}, "column 'tags' does not mark spans: 'NN' is no tag"),
    ({"words": [], "spans": []}, "'words' holds no words"),
    ({"text": "ab c", "spans": [{"start": 1, "end": 4, "label": "X"}]}, "a border inside the word 'ab'"),
    ({"text": "ab c", "spans": [{"start": 3, "end": 9, "label": "X"}]}, "characters 3 to 9, and the text has 4"),
    ({"text": "ab  c", "spans": [{"start": 2, "end": 3, "label": "X"}]}, "spaces alone"),
    ({"text": "  ", "spans": []}, "the text in 'text' is empty"),
])  # fmt: skip
def test_rows_that_hold_no_spans(row, message):
    with pytest.raises(DataError, match=message):
        SpanLabelling().example("a.jsonl:7", row, {}, True)


@pytest.mark.parametrize(("relations", "message"), [
    ([{"head": 0, "tail": 2, "label": "X"}], "between spans 0 and 2, and the row has spans 0 to 1"),
    ([{"head": 0, "tail": 1, "label": "X"}, {"head": 0, "tail": 1, "label": "Y"}], "relation 2 .* is the second one"),
    ([{"head": 0, "label": "X"}], "no column 'tail'"),
    (None, "'relations' is null, not a list"),
])  # fmt: skip
def test_rows_that_hold_no_relations(relations, message):
    row = {**WORDS, "spans": [{"first": 0, "last": 0}, {"first": 1, "last": 1}], "relations": relations}
    with pytest.raises(DataError, match=message):
        SpanRelations().example("a.jsonl:7", row, {}, True)


def test_nested_columns_are_one_set_of_spans():
    row = {"words": list("abcd"), "1": ["B-A", "I-A", "O", "O"], "2": ["O", "I-B", "I-B", "B-B"]}  # the second is IOB1
    example = SpanLabelling(levels=("1", "2")).example("x", row, {}, True)
    assert example.spans == (Span("A", 0, 1), Span("B", 1, 2), Span("B", 3, 3))
    with pytest.raises(DataError, match="x: no column '3' among 'words', '1', '2'"):
        SpanLabelling(levels=("1", "3")).example("x", row, {}, True)


def located(*texts):
    return [Located(Spans(tuple("abcdef"), tuple(spans)), f"a.jsonl:{n}") for n, spans in enumerate(texts)]


def test_learnt_from_the_training_examples():
    train = located([Span("B", 0, 1), Span("A", 1, 1)], [])
    learnt = SpanLabelling().learn(train, [])
    assert (learnt.labels, learnt.longest, learnt.decode) == (("none", "A", "B"), 2, "crossing")
    assert learnt.widths == 2 and SpanLabelling(width_vectors=False).learn(train, []).widths == 0
    many = located(*[[Span("A", 0, 0)]] * 99, [Span("A", 0, 4)])
    assert SpanLabelling().learn(many, []).longest == 1
    for bad, dev, message in [
        ([[Span("A", 0, 6)]], [], "a.jsonl:0: the span 'A' is words 0 to 6, and the example has the words 0 to 5"),
        ([[Span("A", 0, 1)]], [[Span("C", 0, 1)]], "a.jsonl:0: the span of words 0 to 1 has the label 'C', which does"),
        ([[], []], [], "a.jsonl: no span has a label"),
        ([[Span("none", 0, 1), Span("A", 0, 1)]], [], "has the label 'none', and 'none' is what has no label"),
    ]:
        with pytest.raises(DataError, match=message):
            SpanLabelling().learn(located(*bad), located(*dev))


def test_relations_learnt_from_the_training_examples():
    def text(*relations):
        return [Located(Related(("a", "b"), (Span("", 0, 0), Span("", 1, 1)), relations), "a.jsonl:3")]

    assert SpanRelations().learn(text(Relation("B", 0, 1), Relation("A", 1, 0)), []).labels == ("none", "A", "B")
    assert SpanRelations().learn(text(Relation("B", 1, 1)), []).loops
    for train, dev, message in [
        ((), (), "a.jsonl: no pair has a label"),
        ((Relation("B", 0, 1),), (Relation("B", 0, 0),), "a.jsonl:3: span 0 is related to itself"),
        ((Relation("B", 0, 1),), (Relation("C", 0, 1),), "the relation of span 0 to span 1 has the label 'C'"),
        ((Relation("B", 0, 2),), (), "between spans 0 and 2 of 2"),
    ]:
        with pytest.raises(DataError, match=message):
            SpanRelations().learn(text(*train), text(*dev) if dev else [])


def test_what_cannot_be_found_is_told(tokenizer):
    task = SpanLabelling(LABELS, longest=1)
    twice = Spans(("cat", "dog"), (Span("LOC", 0, 1), Span("LOC", 1, 1), Span("PER", 1, 1)))
    items = task.encode([twice], tokenizer, FAMILIES["bert"].size("tiny", 340))
    assert items.notes == (
        "1 of 3 spans are longer than longest = 1 words and not found",
        "1 of 3 spans have a second label, which is not learnt: a span has one",
    )
    assert items.rows[0].labels.tolist() == [0, 1]


@pytest.mark.parametrize(("make", "settings", "message"), [
    (SpanLabelling, {"longest": 0}, "longest = 0"),
    (SpanLabelling, {"labels": ("A", "B")}, "they must be 'none'"),
    (SpanLabelling, {"labels": ("none",)}, "they must be 'none'"),
    (SpanRelations, {"labels": ("none", "A", "A")}, "each once"),
])  # fmt: skip
def test_settings_that_make_no_sense(make, settings, message):
    with pytest.raises(SettingsError, match=message):
        make(**settings)
