"""The strings are those of T5's code (its docstrings' examples and the facts of the paper's appendix D)."""

import numpy as np
import pytest
from sklearn import metrics

from trivium.errors import DataError
from trivium.tasks import Rewriting, Rewritten
from trivium.tasks.casting import CASTS
from trivium.text.examples import Rewrite

ROWS = [
    ("cola", {"sentence": "The cat sat.", "label": 1}, "cola sentence: The cat sat.", "acceptable"),
    ("cola", {"text": "Cat the sat.", "label": "0"}, "cola sentence: Cat the sat.", "unacceptable"),
    ("sst2", {"label": "1", "sentence": "a lovely film"}, "sst2 sentence: a lovely film", "positive"),
    ("mrpc", {"sentence2": "B.", "sentence1": "A.", "label": 0}, "mrpc sentence1: A. sentence2: B.", "not_equivalent"),
    ("mrpc", {"text": "A.", "text2": "B.", "label": 1}, "mrpc sentence1: A. sentence2: B.", "equivalent"),
    ("qqp", {"question1": "Why do I easily get bored of my friends?",
             "question2": "Why do I get bored of friends so quickly?", "label": 1, "idx": 10},
     "qqp question1: Why do I easily get bored of my friends? question2: Why do I get bored of friends so quickly?",
     "duplicate"),
    ("stsb", {"sentence1": "Three more US soldiers killed in Afghanistan",
              "sentence2": "NATO Soldier Killed in Afghanistan", "label": 1.8},
     "stsb sentence1: Three more US soldiers killed in Afghanistan sentence2: NATO Soldier Killed in Afghanistan",
     "1.8"),
    ("stsb", {"sentence1": "A.", "sentence2": "B.", "score": "3.790"}, "stsb sentence1: A. sentence2: B.", "3.8"),
    ("stsb", {"sentence1": "A.", "sentence2": "B.", "label": 5}, "stsb sentence1: A. sentence2: B.", "5.0"),
    ("mnli", {"premise": "P.", "hypothesis": "H.", "label": 1}, "mnli hypothesis: H. premise: P.", "neutral"),
    ("mnli", {"text": "P.", "text2": "H.", "label": "contradiction"}, "mnli hypothesis: H. premise: P.",
     "contradiction"),
    ("qnli", {"sentence": "S.", "question": "Q?", "label": 0}, "qnli question: Q? sentence: S.", "entailment"),
    ("rte", {"sentence1": "A.", "sentence2": "B.", "label": 1}, "rte sentence1: A. sentence2: B.", "not_entailment"),
    ("rte", {"premise": "A.", "hypothesis": "B.", "label": "entailment"}, "rte hypothesis: B. premise: A.",
     "entailment"),  # SuperGLUE's names
    ("wnli", {"sentence1": "A.", "sentence2": "B.", "label": 1}, "wnli sentence1: A. sentence2: B.", "entailment"),
    ("boolq", {"question": "is it", "passage": "It is.", "label": True}, "boolq passage: It is. question: is it",
     "True"),
    ("cb", {"premise": "P.", "hypothesis": "H.", "label": 2}, "cb hypothesis: H. premise: P.", "neutral"),
    ("copa", {"premise": "P.", "choice1": "A.", "choice2": "B.", "question": "cause", "label": 0},
     "copa choice1: A. choice2: B. premise: P. question: cause", "choice1"),
    ("multirc", {"paragraph": "<b>Sent 1: </b>It rained.<br>", "question": "Did it?", "answer": "Yes", "label": 1,
                 "idx": {"paragraph": 3, "question": 7, "answer": 0}},
     "multirc question: Did it? answer: Yes paragraph: Sent 1: It rained. ", "True"),
    ("wic", {"word": "wash", "sentence1": "We wash it.", "sentence2": "He washed.", "start1": 3, "label": False},
     "wic sentence1: We wash it. sentence2: He washed. word: wash", "False"),
    ("wsc", {"text": "This is a test sentence .", "span1_text": "test", "span1_index": 3, "span2_text": "This",
             "span2_index": 0, "label": 0}, "wsc text: # This # is a * test * sentence .", "False"),
    ("wsc", {"text": "Tina came because she could .", "label": True,
             "target": {"span1_text": "Tina", "span1_index": 0, "span2_text": "she", "span2_index": 3}},
     "wsc text: * Tina * came because # she # could .", "True"),
    ("record", {"passage": "This is the passage.", "query": "A @placeholder is a bird.",
                "entities": ["penguin", "potato", "pigeon"], "answers": ["penguin", "pigeon"]},
     "record query: A @placeholder is a bird. entities: penguin, potato, pigeon passage: This is the passage.",
     "penguin"),
    ("record", {"passage": "It won.\n@highlight\nIt did\n@highlight\nSo", "query": "@placeholder", "entities": ["a"],
                "answers": ["a"]}, "record query: @placeholder entities: a passage: It won. It did. So", "a"),
    ("squad", {"question": "Who (if any)?", "context": "A U.S.  firm.", "answers": {"text": ["U.S."]}},
     "question: Who ( if any ) ? context: A U . S . firm . ", "U . S . "),
    ("squad", {"question": "Who?", "context": "A firm", "answers": [{"text": "firm", "answer_start": 2}]},
     "question: Who ? context: A firm", "firm"),
    ("translate_en_de", {"en": "That is good.", "de": "Das ist gut."},
     "translate English to German: That is good.", "Das ist gut."),
    ("translate_en_fr", {"source": "Good.", "target": "Bon."}, "translate English to French: Good.", "Bon."),
    ("translate_en_ro", {"source": "Good.", "target": "Bun."}, "translate English to Romanian: Good.", "Bun."),
    ("summarize", {"article": "A long text.", "highlights": "A text."}, "summarize: A long text.", "A text."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "row", "source", "target"), ROWS)
def test_rows_become_t5s_strings(name, row, source, target):
    task = Rewriting(cast=name)
    example = task.example("a.jsonl:1", row, {}, True)
    assert (task._prefix + example.source, example.target) == (source, target)
    unlabelled = {k: v for k, v in row.items() if k not in ("label", "score", "answers", "target", "de", "highlights")}
    again = task.example("a.jsonl:1", {**unlabelled, **({"target": row["target"]} if name == "wsc" and "target" in row
                         else {})}, {}, False)  # fmt: skip
    assert (again.source, again.target) == (example.source, "")


def test_every_cast_is_tested():
    assert {name for name, *_ in ROWS} == set(CASTS)


def test_names_of_the_users_own():
    task = Rewriting(cast="mnli")
    row = {"a": "P.", "b": "H.", "gold": "neutral", "premise": "no", "hypothesis": "no"}
    example = task.example("x:1", row, {"text": "a", "text2": "b", "label": "gold"}, True)
    assert example == Rewrite("mnli hypothesis: H. premise: P.", "neutral")
    row = {"q": "Good.", "z": ["Gut.", "Schön."]}
    example = Rewriting(cast="translate_en_de").example("x:1", row, {"source": "q", "target": "z"}, True)
    assert example == Rewrite("Good.", "Gut.", ("Schön.",))


@pytest.mark.parametrize(("name", "row", "message"), [
    ("sst2", {"sentence": "a", "label": 2}, "the label in 'label' is '2': it must be negative or positive, or a numb"),
    ("sst2", {"sentence": "a", "label": -1}, "which means that it is not known"),
    ("sst2", {"sentence": "a"}, "no column 'label'"),
    ("sst2", {"sentense": "a", "label": 1}, "no column 'sentence' .* did you mean 'sentense'"),
    ("mnli", {"text": "a", "label": 1}, "no column 'text2'"),
    ("stsb", {"sentence1": "a", "sentence2": "b", "label": "6"}, "must be a number from 0 to 5"),
    ("stsb", {"sentence1": "a", "sentence2": "b", "label": float("nan")}, "must be a number from 0 to 5"),
    ("stsb", {"sentence1": "a", "sentence2": "b"}, "the score in 'score' is None"),
    ("squad", {"question": "a", "context": "b", "answers": []}, "'answers' is empty"),
    ("squad", {"question": "a", "context": "b"}, "'answers' is null, not a list"),
    ("record", {"passage": "a", "query": "b", "entities": "c", "answers": ["c"]}, "'entities' is str"),
    ("wsc", {"text": "a", "label": 1}, "span1_index is None: it must be the number of a word"),
])  # fmt: skip
def test_rows_that_are_no_examples(name, row, message):
    with pytest.raises(DataError, match=f"a.jsonl:1: .*{message}"):
        Rewriting(cast=name).example("a.jsonl:1", row, {}, True)


def scored(name, gold, said, keys=None):
    examples = [Rewrite("x", word, key=key) for word, key in zip(gold, keys or [""] * len(gold), strict=True)]
    task = Rewriting(cast=name)
    scores = task.score([Rewritten(text, 1.0) for text in said], examples)
    assert task.main in scores and scores.pop("loss") == 0
    return scores


def test_an_output_that_is_no_label_is_wrong():
    assert scored("sst2", ["positive"] * 2 + ["negative"], ["positive", "good", ""]) == {"accuracy": 1 / 3}
    yes, no = "equivalent", "not_equivalent"
    # T5's f1_score_with_invalid: an invalid output is the other label than the true one
    gold, said = [yes, yes, no, no, yes], [yes, "maybe", "", no, no]
    sides = [yes, no, yes, no, no]
    assert scored("mrpc", gold, said) == pytest.approx(
        {"f1": metrics.f1_score(gold, sides, pos_label=yes), "accuracy": 0.4}
    )


def test_scores_are_the_published_ones():
    words = ("unacceptable", "acceptable")
    gold = [words[n] for n in (1, 1, 1, 0, 0, 0, 1, 0)]
    said = [words[n] for n in (1, 0, 1, 0, 1, 0, 1, 0)]
    assert scored("cola", gold, said)["matthews"] == pytest.approx(0.5)  # the facts' worked example
    said[0] = "acceptible"
    numbers = [2, *[words.index(text) for text in said[1:]]]
    assert scored("cola", gold, said)["matthews"] == pytest.approx(
        metrics.matthews_corrcoef([words.index(text) for text in gold], numbers)
    )
    labels = ("entailment", "contradiction", "neutral")
    gold, said = ([labels[n] for n in row] for row in ((0, 0, 1, 2, 1), (0, 1, 1, 2, 1)))
    assert scored("cb", gold, said) == pytest.approx({"macro_f1": 0.822222, "accuracy": 0.8}, abs=1e-6)
    truth = ("False", "True")
    gold, said = ([truth[n] for n in row] for row in ((1, 0, 1, 0, 1), (1, 0, 0, 0, 1)))
    assert scored("multirc", gold, said, ["1"] * 3 + ["2"] * 2) == pytest.approx({"f1a": 0.8, "exact": 0.5})
    found = scored("stsb", ["1.0", "2.0", "3.0", "4.0", "5.0"], ["2.0", "1.0", "4.0", "3.0", "6"],
                   ["1", "2", "3", "4", "5"])  # fmt: skip
    assert found == pytest.approx({"pearson": 0.821995, "spearman": 0.8, "correlation": 0.810997}, abs=1e-6)
    worse = scored("stsb", ["1.0", "2.0", "3.0"], ["1.0", "two", "nan"], ["1.1", "2", "3"])
    assert worse["pearson"] == pytest.approx(np.corrcoef([1.1, 2, 3], [1, -1, -1])[0, 1])


def test_answers_count_against_every_answer():
    task = Rewriting(cast="squad")
    examples = [Rewrite("q", "the Denver Broncos", ("Broncos",)), Rewrite("q", "Sweden")]
    scores = task.score([Rewritten("broncos", 1.0), Rewritten("in Sweden", 1.0)], examples)
    assert scores["exact"] == 0.5 and scores["f1"] == pytest.approx((1 + 2 / 3) / 2)


def test_the_first_sentences_stand_beside_a_summary():
    source = "It rained. The cat sat on the mat. A dog barked. Nobody came."
    examples = [Rewrite(source, "The cat sat on the mat. A dog barked.")]
    for task in (Rewriting(), Rewriting(cast="summarize")):
        scores = task.score([Rewritten("A dog barked. The cat sat on the mat.", 1.0)], examples)
        assert scores["rougeLsum"] == 1.0 and scores["rougeL"] < 1  # sentences are lines
        assert scores["lead3_rougeLsum"] == pytest.approx(2 * 9 / (9 + 11))
        assert task.main == "rougeLsum"


def test_translations_say_how_they_are_scored(tokenizer):
    from trivium.families import FAMILIES

    config = FAMILIES["t5"].size("tiny", tokenizer.vocab_size, pad_token=tokenizer.pad, start_token=tokenizer.pad)
    examples = [Rewrite("the cat", "the cat sat on the mat", ("a cat",))]
    for task in (Rewriting(metric="bleu", target_length=9), Rewriting(cast="translate_en_de", target_length=9)):
        (note,) = task.encode(examples, tokenizer, config).notes
        assert "nrefs:2|case:mixed|eff:no|tok:13a|smooth:exp" in note
        scores = task.score([Rewritten("the cat is on the mat", 1.0)], [Rewrite("x", "the cat sat on the mat")])
        assert scores["bleu"] == pytest.approx(37.991784) and task.main == "bleu"
    assert Rewriting(metric="chrf").main == "chrf"


def test_a_written_label_is_told_apart():
    task = Rewriting(cast="sst2")
    assert CASTS["sst2"].label("positive") == "positive" and CASTS["sst2"].label("good") is None
    assert task.columns[-1] == "label"
