"""Answers from files to predictions: learnt, saved, opened by transformers, by the command line."""

import json
import re

import numpy as np
import peft
import pytest
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

from trivium.cli.run import run
from trivium.families import FAMILIES, huggingface
from trivium.tokenizers.wordpiece import train_wordpiece
from trivium.transformer import Model, initialise
from trivium.verbs.finetune import finetune
from trivium.verbs.predict import load_tuned, predict
from trivium.verbs.tuning import FineTuning

NAMES, PLACES = "anna omar lena ravi".split(), "paris cairo lagos lima".split()
PLAIN = "the a went to from saw with in and".split()
QUICK = FineTuning(epochs=20, batch=16, learning_rate=3e-3, precision="float32")


def articles(count, seed, silent=0.0):
    """SQuAD's layout: a passage has a name and, unless it is ``silent``, a place; who and where are asked."""
    generator = np.random.default_rng(seed)
    paragraphs = []
    for number in range(count):
        name, place = generator.choice(NAMES), generator.choice(PLACES)
        words = [*generator.choice(PLAIN, 3), name, *generator.choice(PLAIN, 2)]
        known = generator.random() >= silent
        context = " ".join([*words, *([place] if known else []), *generator.choice(PLAIN, 2)])
        qas = []
        for asked, answer, told in (("who", name, True), ("where", place, known)):
            answers = [{"text": str(answer), "answer_start": context.index(f" {answer} ") + 1}] if told else []
            identity = {"id": f"{asked}{number}", "question": f"{asked} ?"}
            qas.append({**identity, "answers": answers, "is_impossible": not told})
        paragraphs.append({"context": context, "qas": qas})
    return {"version": "2.0", "data": [{"title": "toy", "paragraphs": paragraphs}]}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, found = tmp_path_factory.mktemp("toy"), []
    for name, count, silent in (("train", 80, 0.0), ("dev", 25, 0.0), ("train2", 80, 0.4), ("dev2", 25, 0.4)):
        found.append(folder / f"{name}.json")
        found[-1].write_text(json.dumps(articles(count, len(found), silent)))
    return found


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = train_wordpiece([" ".join([*NAMES, *PLACES, *PLAIN, "who where ?"])] * 3, 75)
    config = FAMILIES["bert"].size("tiny", tokenizer.vocab_size, dropout=0.1)
    huggingface.save(initialise(Model(config), 0), FAMILIES["bert"], tokenizer, folder)
    return folder


def test_answers_are_learnt_and_open_in_transformers(base, files, tmp_path):
    train, dev, *_ = files
    made = finetune("answers", base, train, dev, out=tmp_path / "out", settings=QUICK)
    assert made.opens_in_transformers and made.train_examples == 160 and set(made.scores) == {"exact", "f1", "loss"}
    assert made.scores["exact"] > 0.7  # a word of a passage taken by chance: 0.11
    tuned = load_tuned(tmp_path / "out", "cpu")
    row = {"question": "where ?", "context": "the omar went to saw lima and a"}
    theirs = AutoModelForQuestionAnswering.from_pretrained(tmp_path / "out").eval()
    given = AutoTokenizer.from_pretrained(tmp_path / "out")(*row.values(), return_tensors="pt")
    example = tuned.task.example("x", row, {}, False)
    ours = tuned.task.scores(tuned.model, tuned.task.batch(tuned.encode([example]), np.array([0])))
    with torch.no_grad():
        said = theirs(**given)
    torch.testing.assert_close(ours, torch.stack([said.start_logits, said.end_logits], -1), rtol=1e-4, atol=1e-5)
    (tmp_path / "out" / "trivium.toml").unlink()  # as a folder of another program's
    (alone,) = predict(tmp_path / "out", [row], device="cpu")
    assert alone.row()["answer"] == tuned.predict([example])[0].answer.text


def test_questions_without_an_answer_by_the_command_line(base, files, tmp_path, capsys):
    *_, train, dev = files
    asked = ["--task", "answers", "--model", base, "--train", train, "--dev", dev, "--out", tmp_path / "out"]
    more = ["--epochs", 6, "--batch", 16, "--learning-rate", 3e-3, "--precision", "float32", "--set", "n_best=5"]
    assert run(["finetune", *map(str, asked), *map(str, more), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert {"exact", "f1", "answerable_f1", "unanswerable_exact"} <= set(made["scores"])
    task = load_tuned(tmp_path / "out", "cpu").task
    assert task.unanswerable and task.null_threshold is not None and task.n_best == 5
    assert run(["predict", "--model", str(tmp_path / "out"), str(dev), "--device", "cpu"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 50 and [row["id"] for row in rows[:2]] == ["who0", "where0"]
    for row in rows:
        assert 0 <= row["no_answer_probability"] <= 1
        assert row["answer"] == ("" if row["start"] is None else row["context"][row["start"] : row["end"]])
    right = [row["answer"] in ([each["text"] for each in row["answers"]] or [""]) for row in rows]
    assert float(np.mean(right)) == pytest.approx(made["scores"]["exact"])


def test_adapters_open_in_peft(base, files, tmp_path):
    quick = FineTuning(method="lora", epochs=2, batch=16, learning_rate=3e-3, precision="float32")
    made = finetune("answers", base, files[2], files[3], out=tmp_path / "out", settings=quick)
    assert made.opens_in_transformers and made.adapter_bytes
    whole = peft.PeftModel.from_pretrained(AutoModelForQuestionAnswering.from_pretrained(base), tmp_path / "out").eval()
    row = {"question": "where ?", "context": "the omar went to saw lima and a"}
    given = AutoTokenizer.from_pretrained(tmp_path / "out")(*row.values(), return_tensors="pt")
    with torch.no_grad():
        said = whole.base_model.model(**given)  # the wrapper around it drops the segments
    tuned = load_tuned(tmp_path / "out", "cpu")
    batch = tuned.task.batch(tuned.encode([tuned.task.example("x", row, {}, False)]), np.array([0]))
    ours = tuned.task.scores(tuned.model, batch)
    torch.testing.assert_close(ours, torch.stack([said.start_logits, said.end_logits], -1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("content", "message"), [
    ('{"question": "who ?", "context": "the anna", "answers": [{"text": "omar", "answer_start": 4}], "id": "q1"}',
     "train.jsonl:1: question 'q1': the answer 'omar' in 'answers' is not in its passage"),
    ('{"question": "who ?", "contxt": "the anna", "answers": []}', "no column 'context'.*did you mean 'contxt'"),
    ("", "train.jsonl is empty"),
    ('{"question": "who ?", "context": "the anna", "answers": []}', "none of the 1 questions has an answer"),
])  # fmt: skip
def test_bad_files_are_refused_in_one_sentence(base, tmp_path, capsys, content, message):
    (tmp_path / "train.jsonl").write_text(content + "\n")
    asked = ["--task", "answers", "--model", base, "--train", tmp_path / "train.jsonl", "--out", tmp_path / "out"]
    assert run(["finetune", *map(str, asked)]) == 3
    error = capsys.readouterr().err
    assert re.search(message, error) and "Traceback" not in error and not (tmp_path / "out").exists()
