"""Models that write their answers, by T5's casting: they read of each suite what the casting makes of its own rows."""

import json
from pathlib import Path

import pytest

import trivium
from trivium.evaluation import LABELLED
from trivium.evaluation.labels import UNKNOWN
from trivium.tasks import Rewriting
from trivium.verbs.load import load
from trivium.verbs.tuning import Tuned

PREMISE = {"premise": "It fell.", "choice1": "Pushed.", "choice2": "Rose.", "question": "cause", "label": 1, "idx": 0}
MULTIRC = {"passage": {"text": "A b c.", "questions": [{"question": "Q?", "answers": [{"text": "a", "label": 1}]}]}}
RECORD = {
    "passage": {"text": "Ann met Bob.", "entities": [{"start": 0, "end": 2}, {"start": 8, "end": 10}]},
    "qas": [{"query": "@placeholder was met.", "answers": [{"start": 8, "end": 10, "text": "Bob"}]}],
}
WSC = {
    "text": "The old man saw it fall",
    "target": {"span1_index": 0, "span1_text": "The old man", "span2_index": 4, "span2_text": "it"},
    "label": True,
}
WIC = {"word": "run", "sentence1": "I run.", "sentence2": "A run.", "label": False}
READ = [
    ("sst2", "sst2", "sentence\tlabel\nso good\t1", "sst2 sentence: so good"),
    ("mrpc", "mrpc", "Quality\t#1 String\t#2 String\n1\tA b.\tA c.", "mrpc sentence1: A b. sentence2: A c."),
    ("rte", "rte", "index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tentailment", "rte sentence1: A. sentence2: B."),
    ("mnli", "mnli", "sentence1\tsentence2\tgold_label\nA.\tB.\tneutral", "mnli hypothesis: B. premise: A."),
    ("stsb", "stsb", "sentence1\tsentence2\tscore\nA.\tB.\t3.8", "stsb sentence1: A. sentence2: B."),
    ("copa", "copa", PREMISE, "copa choice1: Pushed. choice2: Rose. premise: It fell. question: cause"),
    ("multirc", "multirc", MULTIRC, "multirc question: Q? answer: a paragraph: A b c."),
    ("record", "record", RECORD, "record query: @placeholder was met. entities: Ann, Bob passage: Ann met Bob."),
    ("wic", "wic", WIC, "wic sentence1: I run. sentence2: A run. word: run"),
    ("wsc", "wsc", WSC, "wsc text: * The old man * saw # it # fall"),
]


@pytest.mark.parametrize(("suite", "cast", "content", "wanted"), READ, ids=[each[0] for each in READ])
def test_the_text_that_is_read(suite: str, cast: str, content: object, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / ("data.tsv" if isinstance(content, str) else "data.jsonl")
    path.write_text(f"{content}\n" if isinstance(content, str) else json.dumps(content) + "\n")
    (item,) = LABELLED[suite].read(path, {}, None).items
    assert item.published is not None
    example = Rewriting(cast=cast).example(item.place, item.published, {}, False)
    assert example.source == wanted and example.target == ""  # what is true is not handed over


def test_texts_that_are_no_labels_are_wrong(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv"
    path.write_text("sentence\tlabel\nso good\t1\nso bad\t0\nthe file\t1\n")
    base = load(tiny_models["t5"])
    tuned = Tuned(base.model, base.tokenizer, Rewriting(cast="sst2", target_length=4))
    result = trivium.evaluate(tuned, "sst2", path).results[0]
    assert result.scores["accuracy"].value == 0 and result.scored == 3
    assert result.notes == ("3 predictions are no label of the suite and count as wrong",)
    suite = LABELLED["sst2"]
    assert suite.said("x", {"output": "positive", "label": "positive"}) == "1"
    assert suite.said("x", {"output": "nice", "label": None}) == UNKNOWN == suite.said("x", {"label": None})
    items = LABELLED["copa"].read(_copa(tmp_path), {}, None).items
    said = [LABELLED["copa"].said("x", {"output": text, "label": None}) for text in ("choice2", "choice")]
    assert [LABELLED["copa"].score(items, [each]).scores["accuracy"].value for each in said] == [1, 0]


def _copa(folder: Path) -> Path:
    (folder / "val.jsonl").write_text(json.dumps(PREMISE) + "\n")
    return folder / "val.jsonl"
