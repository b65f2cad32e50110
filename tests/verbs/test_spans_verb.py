"""Spans and relations from files to predictions: learnt, saved, opened again, by the command line."""

import json
import re

import numpy as np
import pytest
import torch

from trivium.cli.run import run
from trivium.families import FAMILIES, huggingface
from trivium.tasks import SpanLabelling, SpanRelations
from trivium.text.examples import Span
from trivium.tokenizers.wordpiece import train_wordpiece
from trivium.transformer import EachSpan, Model, initialise, make_head
from trivium.verbs.finetune import finetune
from trivium.verbs.predict import load_tuned, predict
from trivium.verbs.tuning import FineTuning

NAMES, PLACES, KINDS = "anna omar lena ravi".split(), "paris cairo lagos lima".split(), "bank school club".split()
PLAIN = "the a went to from saw with in and".split()
QUICK = FineTuning(epochs=16, batch=16, learning_rate=3e-3, precision="float32")


def nested(count, seed):
    """``bank of paris`` is an ORG and ``paris`` inside it a LOC, as is any other place; and somebody is a PER."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        name, (place, other) = generator.choice(NAMES), generator.choice(PLACES, 2)
        words = [*generator.choice(PLAIN, 2), name, "saw", generator.choice(KINDS), "of", place, "and", other]
        outer = ["O", "O", "B-PER", "O", "B-ORG", "I-ORG", "I-ORG", "O", "B-LOC"]
        inner = ["O", "O", "O", "O", "O", "O", "B-LOC", "O", "O"]
        yield [*map(str, words)], outer, inner


def related(count, seed):
    """A name and two places: the person is from the place behind ``from``, and ``she`` is that person."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        name, (place, other) = generator.choice(NAMES), generator.choice(PLACES, 2)
        spans = [(2, 2), (4, 4), (6, 6), (8, 8)]
        words = [*generator.choice(PLAIN, 2), name, "from", place, "to", other, "with", "she"]
        relations = [{"head": 0, "tail": 1, "label": "from"}, {"head": 3, "tail": 0, "label": "same"}]
        yield {"words": [*map(str, words)], "spans": [{"first": a, "last": b} for a, b in spans],
               "relations": relations}  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    for name, count, seed in (("train", 96, 1), ("dev", 25, 2)):
        blocks = ["\n".join("\t".join(row) for row in zip(*each, strict=True)) for each in nested(count, seed)]
        (folder / f"{name}.conll").write_text("\n\n".join(blocks) + "\n")
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in related(count, seed)))
    return folder


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = train_wordpiece([" ".join([*NAMES, *PLACES, *KINDS, *PLAIN, "of she"])] * 3, 80)
    config = FAMILIES["bert"].size("tiny", tokenizer.vocab_size, dropout=0.1)
    huggingface.save(initialise(Model(config), 0), FAMILIES["bert"], tokenizer, folder)
    return folder


def test_nested_entities_are_learnt_and_read_again(base, files, tmp_path):
    made = finetune("spans", base, files / "train.conll", files / "dev.conll", out=tmp_path / "out", settings=QUICK,
                    options={"levels": ("1", "2")})  # fmt: skip
    assert not made.opens_in_transformers and set(made.scores) == {"precision", "recall", "f1", "loss"}
    assert made.scores["f1"] > 0.9
    tuned = load_tuned(tmp_path / "out", "cpu")
    assert isinstance(tuned.task, SpanLabelling) and tuned.task.labels == ("none", "LOC", "ORG", "PER")
    assert tuned.task.longest == 3 and tuned.task.decode == "crossing"  # as the training examples have them
    assert tuned.model.heads["spans"].config == EachSpan(4, 256, widths=3, dropout=0.1)
    words = "the a anna saw bank of paris and lima".split()
    (said,) = predict(tmp_path / "out", [{"words": words}], device="cpu")
    assert said.found == (Span("PER", 2, 2), Span("ORG", 4, 6), Span("LOC", 6, 6), Span("LOC", 8, 8))
    (tmp_path / "out" / "trivium.toml").unlink()  # the head alone says what the task is
    (alone,) = predict(tmp_path / "out", [{"words": words}], device="cpu")
    assert alone.found == said.found and alone.chances == pytest.approx(said.chances, abs=1e-6)


def test_relations_are_learnt_by_the_command_line(base, files, tmp_path, capsys):
    asked = ["--task", "relations", "--model", base, "--train", files / "train.jsonl", "--dev", files / "dev.jsonl"]
    more = ["--out", tmp_path / "out", "--epochs", 8, "--batch", 8, "--learning-rate", 3e-3, "--set", "summary=mean"]
    assert run(["finetune", *map(str, asked), *map(str, more), "--precision", "float32", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["scores"]["f1"] > 0.9
    task = load_tuned(tmp_path / "out", "cpu").task
    assert isinstance(task, SpanRelations) and task.labels == ("none", "from", "same") and task.summary == "mean"
    row = {"words": "the anna from lima to cairo".split(), "spans": [{"first": n, "last": n} for n in (1, 3, 5)]}
    (tmp_path / "new.jsonl").write_text(json.dumps(row) + "\n")
    assert run(["predict", "--model", str(tmp_path / "out"), str(tmp_path / "new.jsonl"), "--device", "cpu"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["words"] == row["words"]
    assert [(each["label"], each["head_text"], each["tail_text"]) for each in said["relations"]] == [
        ("from", "anna", "lima")
    ]


def test_a_saved_head_is_the_same(base, files, tmp_path):
    """Both kinds of ends and of pairs, bit for bit."""
    for number, head in enumerate((EachSpan(3, 7, "plain", "none", 2), EachSpan(3, 7, pairs=True))):
        loaded = huggingface.load(base)
        config = loaded.model.config
        name = "relations" if head.pairs else "spans"
        model = initialise(Model(config, {name: make_head(config, head)}), 5)
        folder = tmp_path / str(number)
        huggingface.save(model, FAMILIES["bert"], loaded.tokenizer, folder, labels=["none", "A", "B"])
        again = huggingface.load(folder).model
        for key, value in model.state_dict().items():
            assert torch.equal(value, again.state_dict()[key])


ROW = '{"words": ["the", "anna"], "spans": [{"first": %d, "last": %d, "label": "%s"}]}'


@pytest.mark.parametrize(("train", "dev", "message"), [
    (ROW % (1, 2, "PER"), None, "train.jsonl:1: span 1 in 'spans' is words 1 to 2, and the row has the words 0 to 1"),
    ('{"words": ["the"], "spans": []}', None, "train.jsonl: no span has a label: nothing to learn"),
    (ROW % (1, 1, "PER"), ROW % (0, 1, "LOC"), "dev.jsonl:1: the span of words 0 to 1 has the label 'LOC', which does"),
    ('{"words": ["the"], "span": []}', None, "train.jsonl:1: no column 'spans'.*did you mean 'span'"),
    ("", None, "train.jsonl is empty"),
])  # fmt: skip
def test_bad_files_are_refused_in_one_sentence(base, tmp_path, capsys, train, dev, message):
    (tmp_path / "train.jsonl").write_text(train + "\n")
    asked = ["--task", "spans", "--model", base, "--train", tmp_path / "train.jsonl", "--out", tmp_path / "out"]
    if dev:
        (tmp_path / "dev.jsonl").write_text(dev + "\n")
        asked += ["--dev", tmp_path / "dev.jsonl"]
    assert run(["finetune", *map(str, asked)]) == 3
    error = capsys.readouterr().err
    assert re.search(message, error) and "Traceback" not in error and not (tmp_path / "out").exists()
