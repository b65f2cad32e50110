"""Suites of fine-tuned models of every kind: the scores are those of the task itself on the same examples."""

import json
from pathlib import Path

import pytest

import trivium
from trivium.tasks import TASKS
from trivium.verbs.examples import file_rows
from trivium.verbs.load import load
from trivium.verbs.tuning import FineTuning, Tuned, fit

QUICK = FineTuning(steps=12, learning_rate=3e-3, precision="float32")
CONLL = "the DT O O\nmodel NN O B-LOC\n\nreads VBZ O O\nevery DT O B-PER\ntoken NN O I-PER\n\n" * 6


def tuned(kind: str, path: Path, base: Path) -> tuple[Tuned, list[object]]:
    task = TASKS[kind]()
    examples = [task.example(place, row, {}, True) for place, row in file_rows(path)]
    model = load(base)
    return fit(model.model, model.tokenizer, task, examples, settings=QUICK).tuned, examples


def squad(path: Path) -> Path:
    context, asked = "the model reads every token of the file", []
    for number, answer in enumerate(("model", "token", "file", "")):
        found = [{"text": answer, "answer_start": context.index(answer)}] if answer else []
        asked.append({"id": str(number), "question": f"which {answer}", "answers": found, "is_impossible": not found})
    path.write_text(json.dumps({"version": "2.0", "data": [{"paragraphs": [{"context": context, "qas": asked}]}]}))
    return path


def test_tags(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "eng.conll"
    path.write_text(CONLL)
    model, examples = tuned("tagging", path, tiny_models["bert"])
    found, wanted = trivium.evaluate(model, "conll2003", path).results[0], model.score(examples)
    for name in ("f1", "precision", "recall", "accuracy"):
        assert found.scores[name].value == pytest.approx(wanted[name])
    assert 0 < wanted["accuracy"] and found.scored == 12


def test_answers(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    path = squad(tmp_path / "dev.json")
    model, examples = tuned("answers", path, tiny_models["bert"])
    found, wanted = trivium.evaluate(model, "squad2", path).results[0], model.score(examples)
    shared = [name for name in found.scores if name in wanted]
    assert {"exact", "f1", "answerable_f1", "unanswerable_f1"} <= set(shared)
    assert {name: found.scores[name].value for name in shared} == pytest.approx({name: wanted[name] for name in shared})


def test_choices(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    path, rows, own = tmp_path / "val.jsonl", tmp_path / "rows.jsonl", []
    with path.open("w") as file:
        for number in range(8):
            options, label = [f"the file {number}", f"the token {number}"], number % 2
            row = {"premise": "the model reads.", "choice1": options[0], "choice2": options[1], "question": "effect"}
            file.write(json.dumps({**row, "label": label}) + "\n")
            asked = {"context": row["premise"], "question": "What happened as a result?"}
            own.append(json.dumps({**asked, "options": options, "label": label}))
    rows.write_text("\n".join(own) + "\n")
    model, examples = tuned("choices", rows, tiny_models["bert"])
    found = trivium.evaluate(model, "copa", path).results[0]
    assert found.scores["accuracy"].value == pytest.approx(model.score(examples)["accuracy"])


def test_a_task_of_another_kind_is_refused(tiny_models: dict[str, Path], tmp_path: Path) -> None:
    path, texts = tmp_path / "eng.conll", tmp_path / "dev.tsv"
    path.write_text(CONLL)
    texts.write_text("sentence\tlabel\nthe file\t1\n")
    model, _ = tuned("tagging", path, tiny_models["bert"])
    with pytest.raises(trivium.SettingsError, match="the model's labels 'O', 'B-LOC', .* are none of sst2's"):
        trivium.evaluate(model, "sst2", texts)
    model, _ = tuned("answers", squad(tmp_path / "dev.json"), tiny_models["bert"])
    with pytest.raises(trivium.SettingsError, match="gives text to read, and the model's task reads question, context"):
        trivium.evaluate(model, "sst2", texts)
