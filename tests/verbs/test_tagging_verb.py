"""Tagging from files to predictions: learnt, saved, opened by transformers, by the command line."""

import json

import numpy as np
import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from trivium.cli.run import run
from trivium.families import FAMILIES, huggingface
from trivium.tokenizers.wordpiece import train_wordpiece
from trivium.transformer import Model, initialise
from trivium.verbs.finetune import finetune
from trivium.verbs.predict import load_tuned, predict
from trivium.verbs.tuning import FineTuning

NAMES, PLACES = "anna omar lena ravi".split(), "paris cairo lagos lima".split()
PLAIN = "the a went to from saw with in and".split()
QUICK = FineTuning(epochs=8, batch=16, learning_rate=3e-3, precision="float32")


def write(path, count, seed):
    generator = np.random.default_rng(seed)
    lines = []
    for _ in range(count):
        for _ in range(generator.integers(2, 5)):
            lines += [f"{word} O" for word in generator.choice(PLAIN, generator.integers(1, 3))]
            kind, words = [("PER", NAMES), ("LOC", PLACES)][generator.integers(2)]
            chosen = generator.choice(words, generator.integers(1, 3))
            lines += [f"{word} {'BI'[n > 0]}-{kind}" for n, word in enumerate(chosen)]
        lines.append("")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return write(folder / "train.conll", 150, 0), write(folder / "dev.conll", 40, 1)


@pytest.fixture(scope="module")
def base(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = train_wordpiece([" ".join(NAMES + PLACES + PLAIN)] * 3, 60)
    config = FAMILIES["bert"].size("tiny", tokenizer.vocab_size, dropout=0.1)
    huggingface.save(initialise(Model(config), 0), FAMILIES["bert"], tokenizer, folder)
    return folder


def test_greedy_is_learnt_and_opens_in_transformers(base, files, tmp_path):
    made = finetune("tagging", base, *files, out=tmp_path / "out", settings=QUICK)
    assert made.opens_in_transformers and made.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert made.scores["f1"] > 0.5 and made.scores["accuracy"] > 0.75  # the majority, O, has F1 0
    theirs = AutoModelForTokenClassification.from_pretrained(tmp_path / "out").eval()
    assert theirs.config.id2label == dict(enumerate(made.labels))
    tuned, words = load_tuned(tmp_path / "out", "cpu"), "anna ravi went to lima".split()
    example = tuned.task.example("x", {"words": words}, {}, False)
    ours = tuned.task.scores(tuned.model, tuned.task.batch(tuned.encode([example]), np.array([0])))
    given = AutoTokenizer.from_pretrained(tmp_path / "out")([words], is_split_into_words=True, return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(ours, theirs(**given).logits, rtol=1e-4, atol=1e-5)
    (tmp_path / "out" / "trivium.toml").unlink()  # as a folder of another program's
    (said,) = predict(tmp_path / "out", [{"words": words}], device="cpu")
    assert said.row()["tags"] == list(tuned.predict([example])[0].tags)


def test_a_chain_by_the_command_line(base, files, tmp_path, capsys):
    train, dev = files
    out = tmp_path / "crf"
    arguments = ["--task", "tagging", "--set", "crf=true", "--epochs", "8", "--batch", "16", "--learning-rate", "3e-3"]
    asked = ["--model", base, "--train", train, "--dev", dev, "--out", out, "--precision", "float32", "--json"]
    assert run(["finetune", *map(str, asked), *arguments]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["scores"]["f1"] > 0.8 and not made["opens_in_transformers"]
    assert json.loads((out / "config.json").read_text())["heads"]["token"]["chained"] is True
    assert load_tuned(out, "cpu").model.heads["token"].chain.transition.abs().max() > 0
    (tmp_path / "in.txt").write_text("the  anna went to paris\n")
    assert run(["predict", "--model", str(out), str(tmp_path / "in.txt"), "--device", "cpu"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["words"] == ["the", "anna", "went", "to", "paris"] and len(row["probabilities"]) == 5
    assert [(each["type"], each["text"], each["start"], each["end"]) for each in row["entities"]] == [
        ("PER", "anna", 5, 9), ("LOC", "paris", 18, 23),
    ]  # fmt: skip


def test_bad_tags_end_with_their_file_and_line(base, tmp_path, capsys):
    wrong = tmp_path / "wrong.conll"
    wrong.write_text("anna B-PER\n\nthe O\nravi I-PER\n")
    asked = ["finetune", "--task", "tagging", "--model", base, "--train", wrong, "--out", tmp_path / "o"]
    assert run([str(each) for each in asked]) == 3
    assert "wrong.conll:3: word 2 ('ravi') has the tag 'I-PER' behind 'O'" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "o").exists()
