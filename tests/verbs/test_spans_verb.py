"""Spans and relations from files to predictions on toy texts: nested entities, coreference, semantic roles, syntax."""

import json
import re

import numpy as np
import pytest

from trivium.cli.run import run
from trivium.errors import DataError
from trivium.families import FAMILIES, huggingface
from trivium.tasks import SpanRelations
from trivium.text.examples import Related, Relation, Span, Spans
from trivium.text.tag_schemes import to_bio
from trivium.tokenizers.wordpiece import train_wordpiece
from trivium.transformer import Model, initialise
from trivium.verbs.finetune import finetune
from trivium.verbs.load import load
from trivium.verbs.predict import load_tuned, predict
from trivium.verbs.tuning import FineTuning, fit

NAMES, PLACES, PLAIN = "anna omar lena ravi".split(), "paris cairo lagos lima".split(), "the a saw went to".split()
WORDS = [*NAMES, *PLACES, *PLAIN, "bank", "of"]
QUICK = {"batch": 16, "learning_rate": 3e-3, "precision": "float32", "device": "cpu"}


def nested(generator):
    """Words, some of them "bank of" and a place: the whole an ORG, with a LOC inside."""
    words, spans = [], []
    for _ in range(generator.integers(1, 4)):
        words += generator.choice(PLAIN, generator.integers(1, 3)).tolist()
        kind = generator.integers(3)
        first = len(words)
        if kind == 0:
            words += ["bank", "of"]
            spans.append(Span("ORG", first, first + 2))
        words.append(str(generator.choice(NAMES if kind == 1 else PLACES)))
        spans.append(Span("PER" if kind == 1 else "LOC", len(words) - 1, len(words) - 1))
    return words, spans


def write(path, count, seed):
    """A column of tags for each level."""
    generator, lines = np.random.default_rng(seed), []
    for _ in range(count):
        words, spans = nested(generator)
        levels = [to_bio([s for s in spans if (s.label == "ORG") is outer], len(words)) for outer in (False, True)]
        lines += ["\t".join(row) for row in zip(words, *levels, strict=True)] + [""]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    return write(folder / "train.conll", 150, 0), write(folder / "dev.conll", 40, 1)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    tokenizer = train_wordpiece([" ".join(WORDS)] * 3, 60)
    config = FAMILIES["bert"].size("tiny", tokenizer.vocab_size, dropout=0.0)
    huggingface.save(initialise(Model(config), 0), FAMILIES["bert"], tokenizer, folder)
    return folder


def test_nested_entities_by_the_command_line(base, files, tmp_path, capsys):
    out, (train, dev) = tmp_path / "out", files
    asked = ["finetune", "--task", "spans", "--set", "levels=1,2", "--model", base, "--train", train, "--dev", dev,
             "--epochs", 8, "--batch", 16, "--learning-rate", "3e-3", "--precision", "float32", "--out", out,
             "--json"]  # fmt: skip
    assert run([str(each) for each in asked]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["scores"]["f1"] > 0.9 and made["labels"] == ["none", "LOC", "ORG", "PER"]
    assert not made["opens_in_transformers"]
    written = json.loads((out / "config.json").read_text())
    assert written["model_type"] == "trivium" and written["heads"]["spans"]["kind"] == "span"
    assert written["id2label"] == {"0": "none", "1": "LOC", "2": "ORG", "3": "PER"}
    (tmp_path / "in.txt").write_text("anna saw the  bank of cairo\n")
    assert run(["predict", "--model", str(out), str(tmp_path / "in.txt"), "--device", "cpu"]) == 0
    row = json.loads(capsys.readouterr().out)
    found = [(each["label"], each["text"], each["start"], each["end"]) for each in row["spans"]]
    assert ("ORG", "bank of cairo", 14, 27) in found and ("LOC", "cairo", 22, 27) in found
    assert all(0 < each["probability"] <= 1 and row["words"][each["first"]] for each in row["spans"])
    with pytest.raises(DataError, match="BIO has one tag a word"):
        to_bio([(each["label"], each["first"], each["last"]) for each in row["spans"]], len(row["words"]))
    (out / "trivium.toml").unlink()  # the head alone says what it does
    (said,) = predict(out, [{"words": row["words"]}], device="cpu")
    assert [s["first"] for s in said.row()["spans"]] == [s["first"] for s in row["spans"]]


@pytest.mark.parametrize("method", ["frozen", "lora"])
def test_other_methods_save_the_head_too(base, files, tmp_path, method):
    settings = FineTuning(method=method, steps=4, **{**QUICK, "learning_rate": 1e-2})
    made = finetune(
        "spans", base, files[0], out=tmp_path / "out", options={"levels": ("1", "2"), "summary": "mean"},
        settings=settings,
    )  # fmt: skip
    assert made.trained_parameters < made.parameters
    example = Spans(("the", "bank", "of", "paris"))
    tuned = load_tuned(tmp_path / "out", "cpu")
    (said,), (again,) = tuned.predict([example]), load_tuned(tmp_path / "out", "cpu").predict([example])
    assert (said.probabilities == again.probabilities).all() and len(said.asked) == 4 + 3 + 2
    fresh = fit(load(base, device="cpu").model, tuned.tokenizer, tuned.task, [
        Spans(("the", "bank", "of", "paris"), (Span("LOC", 3, 3),))
    ], settings=FineTuning(method="frozen", steps=1, **QUICK)).tuned  # fmt: skip
    assert not np.allclose(fresh.predict([example])[0].probabilities, said.probabilities, atol=1e-3)


def coreference(generator):
    """Names are the same where they are spelt alike; the later one points to the earlier."""
    words = []
    for _ in range(4):
        words += [str(generator.choice(NAMES)), str(generator.choice(PLAIN))]
    mentions = [Span("", place, place) for place, word in enumerate(words) if word in NAMES]
    same = [
        Relation("same", later, earlier)
        for later in range(len(mentions)) for earlier in range(later)
        if words[mentions[later].first] == words[mentions[earlier].first]
    ]  # fmt: skip
    return Related(tuple(words), tuple(mentions), tuple(same))


def dependencies(generator):
    """the NAME saw the PLACE: every word is a span, its head is what it points to; the verb is the root, itself."""
    words, arcs = [], []
    for role, kind in (("subject", NAMES), ("object", PLACES)):
        some = generator.integers(2)
        words += ["the"] * some + [str(generator.choice(kind))]
        arcs.append((role, len(words) - 1, some))
        if role == "subject":
            words.append("saw")
    verb = words.index("saw")
    relations = [Relation("root", verb, verb)]
    for role, place, some in arcs:
        relations.append(Relation(role, verb, place))
        relations += [Relation("article", place, place - 1)] * some
    return Related(tuple(words), tuple(Span("", n, n) for n in range(len(words))), tuple(relations))


def semantic_roles(generator):
    """Two clauses, either of which may be turned round ("to WHERE WHO went"): an argument belongs to the predicate of
    its own clause, wherever it stands."""
    words, spans, relations = [], [], []
    for _ in range(2):
        who, where = str(generator.choice(NAMES)), str(generator.choice(PLACES))
        turned = bool(generator.integers(2))
        clause = ["to", where, who, "went"] if turned else [who, "went", "to", where]
        at, first = len(words), len(spans)
        words += [*clause, "a"]
        spans += [Span("", at + clause.index("went"), at + clause.index("went")),
                  Span("", at + clause.index(who), at + clause.index(who)),
                  Span("", at + clause.index("to"), at + clause.index(where))]  # fmt: skip
        relations += [Relation("agent", first, first + 1), Relation("goal", first, first + 2)]
    return Related(tuple(words), tuple(spans), tuple(relations))


@pytest.mark.parametrize("recipe", [coreference, dependencies, semantic_roles])
def test_recipes_of_relations_are_learnt(base, recipe):
    generator = np.random.default_rng(0)
    train, dev = ([recipe(generator) for _ in range(count)] for count in (200, 40))
    loaded = load(base, device="cpu")
    fitted = fit(loaded.model, loaded.tokenizer, SpanRelations(summary="none"), train, dev,
                 FineTuning(epochs=12, evaluations=2, **QUICK))  # fmt: skip
    assert fitted.scores["f1"] > 0.9
    assert fitted.tuned.task.loops is (recipe is dependencies)


def test_relations_from_files(base, tmp_path, capsys):
    rows = [
        {"words": ["anna", "saw", "paris"], "spans": [{"first": 0, "last": 0}, {"first": 2, "last": 2}],
         "relations": [{"head": 0, "tail": 1, "label": "in"}]},
        {"text": "the bank", "spans": [{"start": 4, "end": 8, "label": "ORG"}], "relations": []},
    ]  # fmt: skip
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "out"
    asked = ["finetune", "--task", "relations", "--model", base, "--train", tmp_path / "train.jsonl", "--steps", 30,
             "--learning-rate", "3e-3", "--precision", "float32", "--out", out]  # fmt: skip
    assert run([str(each) for each in asked]) == 0
    capsys.readouterr()
    assert run(["predict", "--model", str(out), str(tmp_path / "train.jsonl"), "--device", "cpu"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    (relation,) = first["relations"]
    assert (relation["label"], relation["head_text"], relation["tail_text"]) == ("in", "anna", "paris")
    assert first["gold"] == rows[0]["relations"] and second["relations"] == []


ROW = '{"words": ["the", "anna"], "spans": [{"first": %d, "last": %d, "label": "%s"}]}'


@pytest.mark.parametrize(("train", "dev", "message"), [
    (ROW % (1, 2, "PER"), "", "train.jsonl:1: span 1 in 'spans' is words 1 to 2, and the row has the words 0 to 1"),
    (ROW % (1, 1, "PER"), ROW % (0, 1, "LOC"), "dev.jsonl:1: the span of words 0 to 1 has the label 'LOC', which does"),
    ('{"words": ["the"], "spans": []}', "", "train.jsonl: no span has a label: nothing to learn"),
    ('{"words": ["the"], "span": []}', "", "train.jsonl:1: no column 'spans'.*did you mean 'span'"),
    ("", "", "train.jsonl is empty"),
])  # fmt: skip
def test_bad_spans_end_with_their_file_and_line(base, tmp_path, capsys, train, dev, message):
    asked = ["finetune", "--task", "spans", "--model", base, "--out", tmp_path / "o"]
    for name, content in {"train": train, "dev": dev}.items():
        if content or name == "train":
            (tmp_path / f"{name}.jsonl").write_text(content + "\n")
            asked += [f"--{name}", tmp_path / f"{name}.jsonl"]
    assert run([str(each) for each in asked]) == 3
    error = " ".join(capsys.readouterr().err.split())
    assert re.search(message, error) and "Traceback" not in error and not (tmp_path / "o").exists()
