"""`trivium evaluate --shots`: one table of ways to answer with few examples, from files, suites and puzzles."""

import json
from pathlib import Path
from typing import Any

import pytest

import trivium
from trivium.errors import DataError, SettingsError
from trivium.evaluation.in_context import InContext
from trivium.text.few_shot import Layout
from trivium.verbs.few_shot import few_shot
from trivium.verbs.few_shot_data import read_few_shot, shots_of
from trivium.verbs.few_shot_page import few_shot_page
from trivium.verbs.tuning import FineTuning

TEXTS = [("good list", "positive"), ("bad error", "negative"), ("good model", "positive"), ("bad file", "negative")]
SMALL = Layout("", "{text} is {answer}", "\n")


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


@pytest.fixture
def labelled(tmp_path: Path) -> dict[str, Path]:
    rows = [{"text": f"{text} {n}", "label": label} for n in range(4) for text, label in TEXTS]
    return {"data": written(tmp_path / "dev.jsonl", rows[:8]), "train": written(tmp_path / "train.jsonl", rows[6:])}


def test_the_whole_choice_in_one_table(tiny_models: dict[str, Path], labelled: dict[str, Path]) -> None:
    base = trivium.load(tiny_models["gpt2"])
    settings = InContext(example=SMALL.example, separator="\\n", description="what it is", draws=2, choose="balanced")
    made = few_shot(
        base, **labelled, shots=(0, 2, 1), settings=settings, undescribed=True, beside=("lora", "finetune"),
        tuning=FineTuning(steps=2),
    )  # fmt: skip
    assert [(way.way, way.shots, way.draws) for way in made.ways] == [
        ("most frequent label", 0, 1),
        *(("in context", n, 1 if n == 0 else 2) for n in (0, 1, 2)),
        *(("without description", n, 1 if n == 0 else 2) for n in (0, 1, 2)),
        *(("fine-tuning", n, 2) for n in (1, 2)),
        *(("LoRA", n, 2) for n in (1, 2)),
    ]
    assert made.pool == 8 and "2 examples are among the scored rows, and are never shown" in made.notes
    assert made.prompt.startswith("what it is\n") and made.prompt.endswith(" is") and made.prompt.count("\n") == 3
    for way in made.ways[1:]:
        hits = [[said.hits["accuracy"] for said in draw] for draw in way.said]
        assert way.score.value == pytest.approx(sum(map(sum, hits)) / sum(map(len, hits)))
        assert way.score.low <= way.score.value <= way.score.high  # type: ignore[operator]
    page = few_shot_page(made)
    assert "<script" not in page and "fine-tuning" in page and "Content-Security-Policy" in page
    again = few_shot(base, **labelled, shots=(2,), settings=settings, tokens=64)
    assert [s.answer for s in again.ways[1].said[0]] == [s.answer for s in made.ways[3].said[0]]


def test_most_that_fit_and_what_is_lost_is_said(tiny_models: dict[str, Path], labelled: dict[str, Path]) -> None:
    settings = InContext(example="{text} is in any case {answer}", draws=1)
    made = few_shot(tiny_models["gpt2"], **labelled, shots=(8, None), settings=settings)
    eight, most = made.ways[1:]
    assert eight.shown < 8 == eight.shots and most.shots == most.shown >= int(eight.shown) - 1
    assert any("held" in note and "the furthest from the question were left out" in note for note in made.notes)


@pytest.mark.parametrize("choose", ["similar", "overlap"])
def test_examples_like_the_question(tiny_models: dict[str, Path], labelled: dict[str, Path], choose: Any) -> None:
    settings = InContext(choose=choose, example=SMALL.example)
    made = few_shot(tiny_models["gpt2"], **labelled, shots=(1,), settings=settings)
    assert made.ways[1].draws == 1 and made.ways[1].deviation is None
    assert "good list" in made.prompt.split("\n")[0] or choose == "similar"


@pytest.mark.parametrize("family", ["bert", "t5", "lstm", "xlnet"])
def test_every_kind_of_network_is_asked(tiny_models: dict[str, Path], labelled: dict[str, Path], family: str) -> None:
    made = few_shot(
        tiny_models[family], **labelled, shots=(0, 1), limit=3, settings=InContext(draws=1, example=SMALL.example)
    )
    assert [way.shots for way in made.ways] == [0, 0, 1] and made.rows == 3


def test_rows_of_every_kind(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    model = trivium.load(tiny_models["gpt2"])
    settings = InContext(draws=1, max_tokens=2)
    choices = [{"question": f"q {n}", "options": ["a", "b"], "label": n % 2} for n in range(4)]
    made = few_shot(model, written(tmp_path / "c.jsonl", choices), shots=(1,), settings=settings)
    assert (made.kind, made.metric, made.rows, made.pool) == ("choices", "accuracy", 2, 2)
    questions = [{"question": f"q {n}", "answers": [f"a {n}"]} for n in range(4)]
    made = few_shot(model, written(tmp_path / "q.jsonl", questions), shots=(0, 1), settings=settings)
    assert (made.kind, made.metric) == ("answers", "f1") and set(made.ways[0].others) == {"exact"}
    rewrites = [{"source": f"s {n}", "target": f"t {n}"} for n in range(4)]
    made = few_shot(
        model, written(tmp_path / "r.jsonl", rewrites), shots=(1,), settings=settings, beside=["lora"],
        tuning=FineTuning(steps=1),
    )  # fmt: skip
    assert (made.kind, made.metric) == ("rewriting", "exact") and made.ways[-1].way == "LoRA"
    made = few_shot(model, suite="reversed-words", shots=(0, 1), settings=settings, limit=2)
    assert made.rows == 2 and made.prompt.startswith("Write the word that is reversed.\n")


def test_a_suites_words_and_its_own_scores(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    lines = [f"{t} {n}\t{int(label == 'positive')}" for n in range(2) for t, label in TEXTS]
    (tmp_path / "dev.tsv").write_text("\n".join(["sentence\tlabel", *lines]))
    made = few_shot(tiny_models["gpt2"], tmp_path / "dev.tsv", suite="sst2", shots=(0,))
    assert made.words == {"0": "negative", "1": "positive"} and "Sentiment:" in made.prompt
    read = read_few_shot(tmp_path / "dev.tsv", None, "cola", None, {"text": "sentence"}, None, InContext(), None, False)
    assert read.published([[read.words[case.label] for case in read.rows]])["matthews"].value == pytest.approx(1)


def test_scores_of_written_texts_have_intervals_over_rows_and_draws(
    tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    pytest.importorskip("sacrebleu")
    golds = [f"a list of {word} values" for word in ("good", "bad", "new", "old", "other", "first")]
    path = written(tmp_path / "t.jsonl", [{"source": f"s {n}", "target": gold} for n, gold in enumerate(golds)])
    settings = InContext(draws=2, max_tokens=3)
    made = few_shot(tiny_models["gpt2"], path, suite="translation", shots=(0, 1), settings=settings)
    for way in made.ways:
        assert set(way.others) == {"f1", "bleu", "chrf"}
        assert all(each.low <= each.value <= each.high for each in way.others.values())  # type: ignore[operator]
    read = read_few_shot(path, None, "translation", None, {}, None, settings, None, False)
    right, wrong = golds, ["no"] * 6
    half = [*golds[:3], "no", "no", "no"]
    assert read.published([right])["chrf"].value == pytest.approx(100)
    several, same = read.published([right, wrong]), read.published([half, half])
    assert several["chrf"].value == pytest.approx(50, abs=4)
    assert several["chrf"].high - several["chrf"].low > 90  # type: ignore[operator]  # of other draws, all or nothing
    assert 0 < same["bleu"].low < same["bleu"].value < same["bleu"].high <= 100 + 1e-9  # type: ignore[operator]
    assert read.published([right, right])["bleu"].low == pytest.approx(100)
    page = few_shot_page(made)
    assert "95% interval of chrf" in page and made.ways[-1].others["chrf"].interval in page


def test_suites_with_several_main_scores_have_their_mean(tmp_path: Path) -> None:
    (tmp_path / "dev.jsonl").write_text("\n".join(
        json.dumps({"premise": "p", "hypothesis": f"h {n}", "label": label, "idx": n})
        for n, label in enumerate(["entailment", "contradiction", "neutral"] * 2)
    ))  # fmt: skip
    read = read_few_shot(tmp_path / "dev.jsonl", None, "cb", None, {}, None, InContext(), None, False)
    said = [read.words[case.label] for case in read.rows]
    one, two = read.published([said]), read.published([said, said])
    assert one.keys() == two.keys() >= {"accuracy", "macro_f1", "average"} and two["average"].value == 1


@pytest.mark.parametrize("suite", ["multirc", "record"])
def test_suites_whose_answers_are_no_texts_are_refused(tmp_path: Path, suite: str) -> None:
    answers = [{"idx": 0, "text": "x", "label": 1}, {"idx": 1, "text": "y", "label": 0}]
    question = {"idx": 0, "question": "q?", "answers": answers}
    row: dict[str, Any] = {"idx": 0, "passage": {"text": "x and y", "questions": [question]}}
    if suite == "record":
        row["passage"]["entities"] = [{"start": 0, "end": 0}, {"start": 6, "end": 6}]
        row["qas"] = [{"idx": 0, "query": "@placeholder it is", "answers": [{"start": 0, "end": 0, "text": "x"}]}]
    path = written(tmp_path / "dev.jsonl", [row])
    with pytest.raises(SettingsError, match=f"{suite} has no rows to be asked in prompts"):
        read_few_shot(path, None, suite, None, {}, None, InContext(), None, False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shots": (-1,)}, "shots = -1"),
        ({"shots": (99,)}, "99 examples are to be shown, and there are 8"),
        ({"beside": ["lorra"]}, "did you mean lora?"),
        ({"beside": ["instruction"]}, "has no chat template"),
        ({"suite": "sst"}, "did you mean sst2?"),
        ({"suite": "conll2003"}, "has no rows to be asked|no column|is not"),
        ({"task": "tagging"}, "is not asked in prompts"),
        ({"undescribed": True}, "there is no description to leave out"),
        ({"settings": InContext(words=("good=x",))}, "names the label 'good'"),
        ({"settings": InContext(example="{txt} {answer}")}, r"names \{txt\}"),
        ({"settings": InContext(redraw=True), "beside": ["lora"]}, "learns from one set of examples"),
        ({"limit": 0}, "limit = 0"),
        ({"columns": {"txt": "a"}}, "reads no column 'txt'"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    tiny_models: dict[str, Path], labelled: dict[str, Path], change: dict[str, Any], message: str
) -> None:
    asked: dict[str, Any] = {"shots": (0, 1), **labelled, **change}
    with pytest.raises((SettingsError, DataError), match=message):
        few_shot(tiny_models["gpt2"], **asked)


def test_data_that_cannot_be_asked(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    model = tiny_models["gpt2"]
    with pytest.raises(SettingsError, match="there is no data"):
        few_shot(model)
    with pytest.raises(DataError, match="all rows have the label 'a'"):
        few_shot(model, written(tmp_path / "one.jsonl", [{"text": "x", "label": "a"}] * 4))
    with pytest.raises(DataError, match="one row, which cannot be scored and shown"):
        few_shot(model, written(tmp_path / "row.jsonl", [{"text": "x", "label": "a"}]))
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(DataError, match="is empty"):
        few_shot(model, empty)
    mixed = [{"text": "x", "label": "a"}, {"text": "x", "text2": "y", "label": "b"}]
    with pytest.raises(DataError, match="some rows have one text and some two"):
        few_shot(model, written(tmp_path / "mixed.jsonl", mixed))
    bad = written(tmp_path / "bad.jsonl", [{"question": "q", "answers": 3}])
    with pytest.raises(DataError, match="bad.jsonl:1: the answers in 'answers' are int"):
        few_shot(model, bad)


def test_shots_as_they_are_spelt() -> None:
    assert shots_of("16, 0,max,1") == (0, 1, 16, None)
    for text in ("", "a", "1;2", "-1"):
        with pytest.raises(SettingsError, match="must look like 0,1,4,16"):
            shots_of(text)
