"""Two runs, paired: language models on a text, fine-tuned models and predictions on labelled examples."""

import json
import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from tests.verbs.sentiment import sentiment

import trivium
from trivium.errors import DataError, SettingsError
from trivium.evaluation.comparison import lower_is_better
from trivium.verbs.compare_runs import compare_runs
from trivium.verbs.finetune import finetune
from trivium.verbs.load import load
from trivium.verbs.predict import load_tuned
from trivium.verbs.pretrain import pretrain
from trivium.verbs.recipe import load_recipe
from trivium.verbs.tuning import FineTuning

TRAIN, DEV = sentiment(120, 0), sentiment(60, 1)


@pytest.fixture(scope="module")
def dev(tmp_path_factory):
    path = tmp_path_factory.mktemp("dev") / "dev.jsonl"
    path.write_text("".join(json.dumps({"text": each.text, "label": each.label}) + "\n" for each in DEV))
    return path


@pytest.fixture(scope="module")
def tuned(tmp_path_factory, tiny_models):
    folder = tmp_path_factory.mktemp("tuned")
    for name, family, steps in (("long", "bert", 40), ("short", "gpt2", 1)):
        settings = FineTuning(steps=steps, batch=24, learning_rate=3e-3, precision="float32")
        finetune("sequence", tiny_models[family], TRAIN, out=folder / name, settings=settings)
    finetune("sequence", tiny_models["bert"], [e.__class__(e.text, e.label * 2) for e in TRAIN],
             out=folder / "others", settings=FineTuning(steps=1))  # fmt: skip
    return folder


def test_two_decoders_cost_the_same_text(tiny_models, text_file):
    made = trivium.compare_runs(tiny_models["gpt2"], tiny_models["llama"], data=text_file)
    models = [load(tiny_models[name]) for name in ("gpt2", "llama")]
    text = [line for line in text_file.read_text().splitlines() if line][made.apart[0].index]
    assert made.unit == "line" and text.startswith(made.apart[0].text[:50])
    costs = [model.surprise(text) for model in models]
    assert float(made.apart[0].first) == pytest.approx(costs[0].nats / math.log(2) / costs[0].bytes, abs=1e-4)
    assert (made.first, made.second, made.measure) == ("gpt2", "llama", "bits_per_byte")
    assert made.items == 200
    assert made.difference.low <= made.difference.value <= made.difference.high
    swapped = compare_runs(tiny_models["llama"], tiny_models["gpt2"], data=[text_file])
    assert swapped.difference.value == pytest.approx(-made.difference.value) and swapped.better == made.better


def test_what_costs_less_is_better(tmp_path):
    """Of two encoders alike but for training, the one that was trained on the text; by cost and in words."""
    recipe = load_recipe("bert-mini", sets=[
        "model.size=tiny", "model.context=32", "training.batch_tokens=256", "tokenizer.vocab_size=300",
        "training.precision=float32", "training.evaluate_every=0", "data.heldout=0.0",
    ], flags={"training.steps": 60}).recipe  # fmt: skip
    documents = ["one two three four five six seven eight nine ten"] * 60
    for name, steps in (("trained", 60), ("begun", 1)):
        asked = replace(recipe, training=replace(recipe.training, steps=steps, minutes=None))
        pretrain(asked, tmp_path / name, documents=documents, quiet=True)
    text = tmp_path / "text.txt"
    text.write_text("\n".join(documents[:20]))
    for pair in (("trained", "begun"), ("begun", "trained")):
        made = compare_runs(*(tmp_path / name for name in pair), data=text)
        values = dict(zip(pair, made.values, strict=True))
        assert values["trained"] < values["begun"] and made.better == "trained"
        assert made.verdict.startswith("trained is better than begun")


@pytest.mark.parametrize("name", ["loss", "masked_loss", "pseudo_bits_per_byte", "passages, pseudo bits per byte",
                                  "word_perplexity", "mse", "ece"])  # fmt: skip
def test_costs_are_better_when_low(name):
    assert lower_is_better(name) and not lower_is_better("accuracy") and not lower_is_better("macro_f1")


def test_what_is_of_one_file_or_document_is_resampled_together(tiny_models, tmp_path):
    """Lines of several text files by file, rows with lines in them by row, rows of a line each by themselves."""
    lines = [f"The model reads line {number} of every file, and raises no error." for number in range(12)]
    for book in range(3):
        (tmp_path / f"{book}.txt").write_text("\n".join(lines[4 * book : 4 * book + 4]))
    rows = [json.dumps({"text": f"{lines[n]}\n{lines[n + 1]}"}) for n in range(0, 12, 2)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    alone = [json.dumps({"text": f"{n} {line}"}) for n in (1, 2) for line in lines]
    (tmp_path / "alone.jsonl").write_text("\n".join(alone))
    pair = (tiny_models["gpt2"], tiny_models["llama"])
    made = compare_runs(*pair, data=[tmp_path / f"{book}.txt" for book in range(3)])
    assert (made.items, made.unit, made.clusters, made.cluster) == (12, "line", 3, "file")
    assert "over 12 lines of 3 files" in made.verdict and made.test == "sign flips by file"
    gaps = np.array([each.gap for each in sorted(made.apart, key=lambda each: each.index)])
    sizes = np.array([len(line.encode()) for line in lines])
    sums = (gaps * sizes).reshape(3, 4).sum(1)
    flips = [abs(np.dot(signs, sums)) for signs in product((1, -1), repeat=3)]
    assert made.p == pytest.approx(np.mean(np.array(flips) >= abs(sums.sum()) - 1e-6))
    made = compare_runs(*pair, data=tmp_path / "rows.jsonl")
    assert (made.items, made.unit, made.clusters, made.cluster) == (12, "line", 6, "document")
    made = compare_runs(*pair, data=tmp_path / "alone.jsonl")
    assert (made.items, made.unit, made.clusters) == (24, "document", None)
    made = compare_runs(*pair, data=tmp_path / "0.txt")
    assert made.clusters is None and made.notes == (
        "all lines are of one document, and are taken to be independent: it says little about others",
    )


def test_two_encoders_are_marked_as_pseudo(tiny_models, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("The model reads every token of the file.\nThe file has two lines.")
    made = compare_runs(tiny_models["bert"], tiny_models["roberta"], data=text)
    assert (made.measure, made.unit, made.items) == ("pseudo_bits_per_byte", "line", 2)


def test_what_has_no_common_measure_is_refused(tiny_models, text_file, tuned, dev):
    for first, second, said in (
        ("bert", "gpt2", "a pseudo-likelihood and a probability do not compare"),
        ("t5", "gpt2", "an encoder-decoder, which gives no probability to a text alone"),
        ("gpt2", "gpt2", "are the same: give two runs"),
    ):
        with pytest.raises(SettingsError, match=said):
            compare_runs(tiny_models[first], tiny_models[second], data=text_file)
    with pytest.raises(SettingsError, match="was fine-tuned for a task and .* was not"):
        compare_runs(tuned / "long", tiny_models["gpt2"], data=dev)
    with pytest.raises(SettingsError, match="labels differ"):
        compare_runs(tuned / "long", tuned / "others", data=dev)
    with pytest.raises(SettingsError, match="does not say what text it was trained on"):
        compare_runs(tiny_models["gpt2"], tiny_models["llama"])
    with pytest.raises(SettingsError, match="need one labelled file, and 0 were given"):
        compare_runs(tuned / "long", tuned / "short")
    with pytest.raises(DataError, match="nothing.jsonl"):
        compare_runs(tuned / "long", tuned / "short", data=dev.parent / "nothing.jsonl")


def test_two_fine_tuned_models_of_two_stacks(tuned, dev):
    made = compare_runs(tuned / "long", tuned / "short", data=dev)
    said = [[each.label for each in load_tuned(tuned / name).predict(DEV)] for name in ("long", "short")]
    right = [[one == each.label for one, each in zip(answers, DEV, strict=True)] for answers in said]
    assert made.values == pytest.approx(tuple(sum(each) / len(DEV) for each in right))
    assert (made.measure, made.unit, made.items, made.first) == ("accuracy", "example", len(DEV), "long")
    flipped = [i for i in range(len(DEV)) if right[0][i] != right[1][i]]
    assert [each.index for each in made.apart] == flipped and flipped
    one = made.apart[0]
    assert (one.gold, one.first, one.second) == (DEV[one.index].label, said[0][one.index], said[1][one.index])
    assert made.counts is not None and made.counts.only_first + made.counts.only_second == len(flipped)


def test_two_files_of_predictions(tmp_path):
    data, first, second = (tmp_path / name for name in ("dev.tsv", "a.jsonl", "b.jsonl"))
    data.write_text("sentence\tlabel\n" + "".join(f"film {n}\t{n % 2}\n" for n in range(30)))
    first.write_text("".join(json.dumps({"label": str(n % 2)}) + "\n" for n in range(30)))
    second.write_text("".join(json.dumps({"label": "1"}) + "\n" for n in range(30)))
    made = compare_runs(first, second, data=data, suite="sst2")
    assert made.values == (1.0, 0.5) and made.better == "a.jsonl" and made.p == pytest.approx(2 / 2**15)
    assert [each.index for each in made.apart] == list(range(0, 30, 2))
    mcc = tmp_path / "cola.tsv"
    mcc.write_text("".join(f"x\t{n % 2}\t\tfilm {n}\n" for n in range(30)))
    matthews = compare_runs(first, second, data=mcc, suite="cola")
    assert matthews.measure == "matthews" and matthews.values == (1.0, 0.0)
    assert matthews.test == "answers swapped at random" and matthews.better == "a.jsonl"
    with pytest.raises(SettingsError, match="is a file of predictions: say by --suite"):
        compare_runs(first, second, data=data)
    with pytest.raises(SettingsError, match="did you mean sst2"):
        compare_runs(first, second, data=data, suite="sst3")
    second.write_text('{"label": "1"}\n')
    with pytest.raises(DataError, match="has 1 predictions, and the data 30 rows"):
        compare_runs(first, second, data=data, suite="sst2")
