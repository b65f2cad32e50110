"""Labelled suites: files as distributed and simple ones, against scikit-learn, scipy and worked numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics as sk

from trivium.errors import DataError, SettingsError
from trivium.evaluation import LABELLED
from trivium.evaluation.answers import answers_measure
from trivium.evaluation.predictions import read_predictions
from trivium.evaluation.resampling import DRAWS, means, resampled, scored
from trivium.evaluation.similarity import correlations
from trivium.evaluation.tagging import entity_measure
from trivium.metrics import entity_scores, squad


def lines(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def objects(path: Path, *rows: object) -> Path:
    return lines(path, *(json.dumps(row) for row in rows))


AS_DISTRIBUTED = {
    "cola": ("gj04\t1\t\tThe car ran.", "gj04\t0\t*\tCar the ran."),
    "sst2": ("sentence\tlabel", "so good\t1", "so bad\t0"),
    "mrpc": ("Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", "1\t7\t8\tIt rains.\tRain falls.", '0\t9\t6\t"Hi\tNo.'),
    "stsb": (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore",
        "0\tm\tf\t2012\t1\tn\tn\tA man.\tA person.\t3.800",
        "1\tm\tf\t2012\t2\tn\tn\tA cat.\tA tree.\t0.000",
    ),
    "qqp": ("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "1\t2\t3\tWhy?\tHow?\t1", "2\t4\t5\tA?\tB?\t0"),
    "mnli": (
        "index\tpromptID\tpairID\tgenre\tsentence1\tsentence2\tlabel1\tgold_label",
        "0\t1\t1n\tx\tIt rains.\tIt is wet.\tneutral\tentailment",
        "1\t1\t1n\tx\tIt rains.\tIt is dry.\tneutral\tcontradiction",
        "2\t1\t1n\tx\tIt rains.\tMaybe.\tneutral\t-",
    ),
    "qnli": ("index\tquestion\tsentence\tlabel", "0\tWho?\tAnn did.\tentailment", "1\tWho?\tIt rains.\tnot_entailment"),
    "rte": ("index\tsentence1\tsentence2\tlabel", "0\tA b.\tB.\tentailment", "1\tA b.\tC.\tnot_entailment"),
    "wnli": ("index\tsentence1\tsentence2\tlabel", "0\tA b.\tB.\t1", "1\tA b.\tC.\t0"),
    "ax": (
        "Lexical Semantics\tLogic\tPremise\tHypothesis\tLabel",
        "x\t\tA.\tB.\tneutral",
        "\ty\tA.\tC.\tcontradiction",
    ),
}


def test_mnli_mismatched_is_read_as_the_matched_half(tmp_path: Path) -> None:
    path = lines(tmp_path / "dev.tsv", *AS_DISTRIBUTED["mnli"])
    assert LABELLED["mnli-mm"].read(path, {}, None) == LABELLED["mnli"].read(path, {}, None)


@pytest.mark.parametrize("name", AS_DISTRIBUTED)
def test_glue_as_distributed(name: str, tmp_path: Path) -> None:
    suite = LABELLED[name]
    reading = suite.read(lines(tmp_path / "dev.tsv", *AS_DISTRIBUTED[name]), {}, None)
    assert len(reading.items) == 2 and reading.read == 2 + sum(reading.skipped.values())
    assert reading.skipped == ({"no gold label": 1} if name == "mnli" else {})
    measured = suite.score(reading.items, [item.gold for item in reading.items])
    assert all(measured.scores[score].value == pytest.approx(1) for score in suite.main)
    pair = name not in ("cola", "sst2")
    assert all(set(item.row) == ({"text", "text2"} if pair else {"text"}) for item in reading.items)


SUPER = {
    "boolq": {"question": "is it", "passage": "It is.", "label": True, "idx": 0},
    "cb": {"premise": "It rains.", "hypothesis": "Wet.", "label": "contradiction"},
    "copa": {"premise": "It fell.", "choice1": "Pushed.", "choice2": "Rose.", "question": "cause", "label": 1},
    "multirc": {
        "passage": {
            "text": "A b c.",
            "questions": [
                {"question": "Q?", "answers": [{"text": "a", "label": 1}, {"text": "b", "label": 0}]},
                {"question": "P?", "answers": [{"text": "c", "label": 0}]},
            ],
        }
    },
    "record": {
        "passage": {"text": "Ann met Bob.", "entities": [{"start": 0, "end": 2}, {"start": 8, "end": 10}]},
        "qas": [{"query": "@placeholder was met.", "answers": [{"start": 8, "end": 10, "text": "Bob"}]}],
    },
    "superglue-rte": {"premise": "A b.", "hypothesis": "B.", "label": "not_entailment"},
    "wic": {"word": "run", "sentence1": "I run.", "sentence2": "A run.", "label": False},
    "wsc": {
        "text": "The old man saw it fall",
        "target": {"span1_index": 0, "span1_text": "The old man", "span2_index": 4, "span2_text": "it"},
        "label": True,
    },
}


@pytest.mark.parametrize("name", SUPER)
def test_superglue_as_distributed(name: str, tmp_path: Path) -> None:
    suite = LABELLED[name]
    reading = suite.read(objects(tmp_path / "val.jsonl", SUPER[name]), {}, None)
    said: list[object] = [item.gold for item in reading.items]
    if name == "copa":
        assert reading.items[0].row["options"] == ["Pushed.", "Rose."] and [said[0]] == [1]
        for said_so, right in (({"choice": "Rose.", "index": 1}, 1), ({"label": 0}, 0), ({"output": "choice2"}, 1)):
            each = suite.said("here", said_so)
            assert suite.score(reading.items, [each]).scores["accuracy"].value == right
        said = ["choice2"]
    if name == "multirc":
        assert reading.read == 3 and [item.gold[1] for item in reading.items] == ["1", "0", "0"]
        said = ["1", "0", "1"]  # the second question is wrong as a whole: F1a 2 / 3
        scores = suite.score(reading.items, said).scores
        assert scores["f1a"].value == pytest.approx(2 / 3) and scores["exact"].value == 0.5
        return
    if name == "record":
        assert reading.items[0].row["options"] == ["Ann", "Bob"]
        said = ["the Bob"]
    if name == "wsc":
        assert reading.items[0].row["text"] == "*The old man* saw #it# fall"
    scores = suite.score(reading.items, said).scores
    assert all(scores[each].value == 1 and scores[each].low is None for each in suite.main)


@pytest.mark.parametrize("name", ["mrpc", "cola", "cb", "mnli"])
def test_classification_is_scikit_learns_also_when_resampled(name: str) -> None:
    suite, rng = LABELLED[name], np.random.default_rng(0)
    labels = [each[0] for each in suite.labels]  # type: ignore[attr-defined]
    gold, said = (list(rng.choice(labels, 40)) for _ in range(2))
    measure = suite.measure(gold, said)  # type: ignore[attr-defined]
    for _ in range(30):
        drawn = rng.integers(0, 40, 40)
        counts = np.bincount(drawn, minlength=40)[None].astype(float)
        found = {each: value[0] for each, value in measure(counts).items()}
        g, s = [gold[i] for i in drawn], [said[i] for i in drawn]
        wanted = {
            "accuracy": sk.accuracy_score(g, s),
            "f1": sk.f1_score(g, s, labels=labels, average=None)[-1] if name == "mrpc" else 0,
            "macro_f1": sk.f1_score(g, s, average="macro"),
            "matthews": sk.matthews_corrcoef(g, s),
        }
        assert found == pytest.approx({each: wanted[each] for each in found})
        assert set(suite.main) <= set(found)


def test_worked_numbers_of_glue() -> None:
    gold, said = list("11100010"), list("10101010")
    assert LABELLED["cola"].measure(gold, said)(np.ones((1, 8)))["matthews"][0] == pytest.approx(0.5)  # type: ignore[attr-defined]
    assert LABELLED["cola"].measure(gold, ["1"] * 8)(np.ones((1, 8)))["matthews"][0] == 0  # type: ignore[attr-defined]
    x, y = np.arange(1.0, 6), np.array([2.0, 1, 4, 3, 6])
    found = correlations(x, y)(np.ones((1, 5)))
    assert found["pearson"][0] == pytest.approx(0.821995, abs=1e-6) and found["spearman"][0] == pytest.approx(0.8)


def test_correlations_of_draws_are_scipys() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 6, 30).astype(float), rng.integers(0, 6, 30).astype(float)
    measure = correlations(x, y)
    for _ in range(50):
        drawn = rng.integers(0, 30, 30)
        found = measure(np.bincount(drawn, minlength=30)[None].astype(float))
        assert found["pearson"][0] == pytest.approx(scipy.stats.pearsonr(x[drawn], y[drawn])[0])
        assert found["spearman"][0] == pytest.approx(scipy.stats.spearmanr(x[drawn], y[drawn])[0])


def test_a_prediction_that_is_no_label_is_wrong_and_counted(tmp_path: Path) -> None:
    suite = LABELLED["sst2"]
    items = suite.read(lines(tmp_path / "d.tsv", *AS_DISTRIBUTED["sst2"]), {}, None).items
    path = objects(tmp_path / "said.jsonl", {"output": "Positive"}, {"output": "banana"})
    measured = suite.score(items, read_predictions(path, suite, items))
    assert measured.scores["accuracy"].value == 0.5 and "1 predictions are no label" in measured.notes[0]


def test_entities_and_answers_are_the_metrics(tmp_path: Path) -> None:
    gold = [("I-PER", "I-PER", "O"), ("B-LOC", "O", "B-LOC"), ("O", "O")]
    said = [("B-PER", "I-PER", "O"), ("B-LOC", "I-LOC", "O"), ("O", "B-ORG")]
    found = {name: value[0] for name, value in entity_measure(gold, said)(np.ones((1, 3))).items()}
    wanted = entity_scores([("B-PER", "I-PER", "O"), *gold[1:]], said)  # IOB1 is no other truth, for words neither
    assert found == pytest.approx({name: wanted[name] for name in found})
    conll = lines(tmp_path / "eng.testb", "-DOCSTART- -X- O O", "", "U.N. NNP I-NP I-ORG", "met VBD I-VP O", "")
    for name in ("conll2003", "conll2000"):
        reading = LABELLED[name].read(conll, {}, None)
        scores = LABELLED[name].score(reading.items, [("B-ORG", "O")]).scores
        assert scores["f1"].value == scores["accuracy"].value == 1
    golds = [["a cat", "cat"], [], ["dog"]]
    each = answers_measure(np.array([1.0, 0, 0]), np.array([1.0, 0, 0.5]), np.array([True, False, True]))
    official = squad(["The cat", "x", "dog house barks"], golds)
    found = {name: value[0] for name, value in each(np.ones((1, 3))).items()}
    assert found == pytest.approx(official)


def test_parts_of_speech(tmp_path: Path) -> None:
    row = "1\tHi\thi\tINTJ\tUH\t_\t0\troot\t_\t_"
    reading = LABELLED["ud-pos"].read(lines(tmp_path / "en.conllu", row, ""), {}, None)
    assert reading.items[0].row == {"words": ["Hi"]}
    assert LABELLED["ud-pos"].score(reading.items, [("NOUN",)]).scores["accuracy"].value == 0


def test_squad_files_and_the_official_predictions(tmp_path: Path) -> None:
    answers = [{"text": "Bob", "answer_start": 8}]
    asked = [
        {"id": "a", "question": "Who?", "answers": answers, "is_impossible": False},
        {"id": "b", "question": "When?", "answers": [], "is_impossible": True},
    ]
    held = {"version": "v2.0", "data": [{"paragraphs": [{"context": "Ann met Bob.", "qas": asked}]}]}
    path = tmp_path / "dev.json"
    path.write_text(json.dumps(held))
    assert LABELLED["squad1"].read(path, {}, None).skipped == {"no answer": 1}
    suite = LABELLED["squad2"]
    items = suite.read(path, {}, None).items
    said = tmp_path / "said.json"
    said.write_text(json.dumps({"b": "", "a": "the Bob"}))
    scores = suite.score(items, read_predictions(said, suite, items)).scores
    assert scores["exact"].value == 1 and scores["unanswerable_f1"].value == 1
    said.write_text(json.dumps({"b": ""}))
    with pytest.raises(DataError, match="no prediction for 'a'"):
        read_predictions(said, suite, items)


def test_summaries_with_lead_and_translations_with_a_signature(tmp_path: Path) -> None:
    rows = [{"document": f"First {i}. Second. Third. Fourth.", "summary": f"First {i}."} for i in range(3)]
    suite = LABELLED["summarisation"]
    items = suite.read(objects(tmp_path / "d.jsonl", *rows), {}, None).items
    assert suite.score(items, [f"First {i}." for i in range(3)]).scores["average"].value == pytest.approx(1)
    lead = suite.lead(items)  # type: ignore[attr-defined]
    assert lead.name == "Lead-3" and 0 < lead.scores["rouge1"].value < 1
    suite = LABELLED["translation"]
    path = lines(tmp_path / "d.tsv", "en\tde", "x\tthe cat sat on the mat", "y\thello there , world !")
    items = suite.read(path, {}, None).items
    measured = suite.score(items, ["the cat is on the mat", "hello there world !"])
    assert measured.scores["bleu"].value == pytest.approx(29.770825, abs=1e-5)
    assert "tok:13a" in measured.conventions["bleu"] and "nc:6" in measured.conventions["chrf"]
    assert measured.scores["bleu"].low < measured.scores["bleu"].high  # type: ignore[operator]
    sacrebleu = pytest.importorskip("sacrebleu.metrics")
    said, golds = ["the cat is on the mat", "hello there world !"], [item.gold[0] for item in items]
    weights = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 3.0], [1.0, 4.0]])
    assert measured.measure is not None
    found = measured.measure(weights)
    for row, often in enumerate(weights.astype(int)):  # a text that is drawn twice counts as two texts
        drawn = [i for i, count in enumerate(often) for _ in range(count)]
        texts, wanted = [said[i] for i in drawn], [[golds[i] for i in drawn]]
        for name, metric in (("bleu", sacrebleu.BLEU()), ("chrf", sacrebleu.CHRF())):
            assert found[name][row] == pytest.approx(metric.corpus_score(texts, wanted).score, abs=1e-9), (name, row)


def test_the_bootstrap_covers_the_mean_and_repeats_itself() -> None:
    values = np.random.default_rng(0).normal(size=200)
    measure = means({"mean": values})
    score = scored(200, measure, ("mean",))["mean"]
    half = 1.96 * values.std() / 200**0.5
    assert score.low == pytest.approx(values.mean() - half, abs=0.02)
    assert score.high == pytest.approx(values.mean() + half, abs=0.02)
    assert score == scored(200, measure, ("mean",))["mean"]
    assert resampled(3, means({"x": np.ones(3)}))["x"] == pytest.approx(np.ones(DRAWS))
    assert scored(4, means({"a": np.array([1.0, 1, 1, 0])}), ("a",), shares={"a": np.array([1, 1, 1, 0])})[
        "a"
    ].method == "wilson"


BAD = [
    ("sst2", "sentence\tlabel\nfine\t7\n", "'7' in 'label' is no label of this suite, whose labels are 0, 1"),
    ("sst2", "sentence\tlabel\nfine\n", ":2: 1 columns where the header has 2"),
    ("sst2", "sentense\tlabel\nfine\t1\n", "no column 'sentence' or 'text'"),
    ("cola", "gj04\t1\tThe car ran.\n", ":1: 3 columns where 4 are wanted"),
    ("stsb", "sentence1\tsentence2\tscore\na\tb\tgood\n", "'good' in 'score' is no number"),
    ("sst2", "", "empty"),
    ("copa", '{"premise": "a", "choice1": "b", "choice2": "c", "question": "why", "label": 0}\n', "or 'effect'"),
    ("multirc", '{"passage": "a"}\n', "'passage' is str, not an object"),
    ("wsc", '{"text": "a b", "target": {"span1_index": 9, "span1_text": "a"}, "label": true}\n', "span1_index is 9"),
]


@pytest.mark.parametrize(("name", "text", "message"), BAD)
def test_bad_files_are_one_sentence(name: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "dev.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=message.replace("(", r"\(")) as caught:
        LABELLED[name].read(path, {}, None)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_the_wrong_number_of_predictions(tmp_path: Path) -> None:
    suite = LABELLED["sst2"]
    items = suite.read(lines(tmp_path / "d.tsv", *AS_DISTRIBUTED["sst2"]), {}, None).items
    with pytest.raises(DataError, match="has 1 predictions, and the data 2 rows"):
        read_predictions(objects(tmp_path / "p.jsonl", {"label": "1"}), suite, items)
    with pytest.raises(DataError, match="no prediction: it is looked for in 'label'"):
        read_predictions(objects(tmp_path / "p.jsonl", {"lable": "1"}), suite, items)


def test_labels_of_another_task_are_refused() -> None:
    from trivium.evaluation.labels import check_model

    check_model("sst2", ("NEGATIVE", "POSITIVE"), LABELLED["sst2"].labels)  # type: ignore[attr-defined]
    with pytest.raises(SettingsError, match="labels 'joy' are none of sst2's"):
        check_model("sst2", ("1", "joy"), LABELLED["sst2"].labels)  # type: ignore[attr-defined]
