"""`trivium evaluate` as a user meets it: tables, JSON, groups, and one sentence for what cannot be done."""

import json
from pathlib import Path
from typing import Any

import pytest

import trivium
from trivium.tasks import SequenceClassification
from trivium.text.examples import Labelled
from trivium.verbs.tuning import FineTuning, fit

TEXTS = ["good list", "bad error", "good model", "bad file"] * 4
LABELS = ["1", "0"] * 8


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of GLUE with one suite, and predictions for it."""
    (tmp_path / "SST-2").mkdir()
    rows = [f"{text}\t{label}" for text, label in zip(TEXTS, LABELS, strict=True)]
    (tmp_path / "SST-2" / "dev.tsv").write_text("\n".join(["sentence\tlabel", *rows]))
    said = ["1", "0", "1", "1"] * 4
    (tmp_path / "said.jsonl").write_text("\n".join(json.dumps({"label": each}) for each in said))
    return tmp_path


def test_predictions_with_baselines_and_a_signature(trivium_command: Any, folder: Path) -> None:
    data = folder / "SST-2" / "dev.tsv"
    call = ["evaluate", "--suite", "sst2", "--data", data, "--predictions", folder / "said.jsonl", "--baselines", data]
    outcome = trivium_command(*call)
    assert outcome.code == 0, outcome.err
    assert "16 of 16 rows scored" in outcome.out and "majority class" in outcome.out and "0.7500" in outcome.out
    found = json.loads(trivium_command(*call, "--json").out)["results"][0]
    assert found["scores"]["accuracy"]["method"] == "wilson"
    assert [each["scores"]["accuracy"]["value"] for each in found["baselines"]] == [0.5, 1.0]
    assert len(found["signature"]["data"]) == 64 and found["signature"]["version"] == trivium.__version__
    missing = trivium_command(*call[:5], "--predictions", folder / "one.jsonl", "--json")
    assert missing.code == 3 and missing.out == ""


def test_a_group_counts_columns_against_published_rows(trivium_command: Any, folder: Path) -> None:
    said = f"sst2={folder / 'said.jsonl'}"
    outcome = trivium_command("evaluate", "--suite", "glue", "--data", folder, "--predictions", said)
    assert outcome.code == 0, outcome.err
    assert "this model against T5-Base: 0 of 1 columns won, 0 tied, 1 lost" in outcome.out
    assert "no average: it needs cola" in outcome.err and "75.00" in outcome.out


def test_a_fine_tuned_model_whatever_the_batch(tiny_models: dict[str, Path], folder: Path) -> None:
    base = trivium.load(tiny_models["bert"])
    train = [Labelled(text, label) for text, label in zip(TEXTS, LABELS, strict=True)]
    task = SequenceClassification(pooling="mean")
    tuned = fit(base.model, base.tokenizer, task, train, settings=FineTuning(steps=2, learning_rate=1e-3)).tuned
    data = folder / "SST-2" / "dev.tsv"
    found = [trivium.evaluate(tuned, "sst2", data, tokens=tokens).results[0] for tokens in (1, 8192)]
    wanted = [each.label for each in tuned.predict(train)]
    right = sum(a == b for a, b in zip(wanted, LABELS, strict=True)) / 16
    assert [each.scores["accuracy"].value for each in found] == [right, right]
    rounded = trivium.evaluate(tuned, "sst2", data, precision="int8").results[0]
    assert rounded.signature["precision"] == "int8" and 0 <= rounded.scores["accuracy"].value <= 1
    tuned.model.train()  # what was given is as it was


def test_language_models_side_by_side_and_in_a_table(
    trivium_command: Any, tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    text = tmp_path / "wikitext2.txt"
    text.write_text(" = A = \n the model reads tokens , and writes them . \n" * 20)
    call = ["evaluate", "--data", text, "--model", tiny_models["gpt2"], "--json", "--set", "context=32"]
    both = trivium_command(*call, "--model", tiny_models["llama"], "--suite", "text", "--baselines", text)
    assert both.code == 0, both.err
    found = json.loads(both.out)
    assert len(found["results"]) == 2 and len(found["best"]["bits_per_byte"]) == 1
    assert found["results"][0]["signature"]["context"] == "32"
    baseline = found["results"][0]["baselines"][0]
    assert baseline["scores"]["bits_per_byte"]["value"] < found["results"][0]["scores"]["bits_per_byte"]["value"]
    table = trivium_command("evaluate", "--suite", "gpt2-zero-shot", "--data", tmp_path, "--model", tiny_models["gpt2"])
    assert table.code == 0, table.err
    assert "WikiText2 PPL" in table.out and "GPT-2 1542M" in table.out and "lambada: none of" in table.err


def test_int8_says_what_it_costs(trivium_command: Any, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("the model reads tokens, and writes them.\n" * 20)
    call = ["evaluate", "--suite", "text", "--data", text, "--model", tiny_models["llama"], "--set", "context=32"]
    found = {}
    for precision in ("float32", "int8"):
        outcome = trivium_command(*call, "--precision", precision, "--json")
        assert outcome.code == 0, outcome.err
        found[precision] = json.loads(outcome.out)["results"][0]
    exact, rounded = (found[each]["scores"]["perplexity"]["value"] for each in ("float32", "int8"))
    assert 0 < abs(rounded / exact - 1) < 0.05 and found["float32"]["notes"] == []
    cost = f"int8 costs {100 * (rounded / exact - 1):+.2f}% of perplexity: {rounded:.4f}, where float32 has {exact:.4f}"
    assert cost in found["int8"]["notes"]


WRONG = [
    (["--suite", "sst"], 2, "did you mean sst2?"),
    (["--suite", "sst2"], 2, "needs a fine-tuned model or a file of predictions"),
    (["--suite", "glue"], 3, "is not a folder"),
    (["--suite", "text"], 2, "needs a model"),
    (["--suite", "text", "--set", "strid=3", "--model", "x"], 2, "did you mean 'stride'?"),
    (["--suite", "text", "--limit", "0"], 2, "at least 1"),
    (["--suite", "sst2", "--predictions", "none.jsonl"], 3, "none.jsonl is not a file"),
    (["--suite", "sst2", "--model", "none"], 3, "there is no model folder none"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), WRONG)
def test_what_cannot_be_done_is_one_sentence(
    arguments: list[str], code: int, message: str, trivium_command: Any, folder: Path
) -> None:
    outcome = trivium_command("evaluate", "--data", folder / "SST-2" / "dev.tsv", *arguments)
    assert outcome.code == code and message in outcome.err and "Traceback" not in outcome.err


def test_a_fine_tuned_model_is_wanted_where_labels_are(
    trivium_command: Any, tiny_models: dict[str, Path], folder: Path
) -> None:
    call = ["evaluate", "--suite", "sst2", "--data", folder / "SST-2" / "dev.tsv", "--model", tiny_models["gpt2"]]
    outcome = trivium_command(*call)
    assert outcome.code == 2 and "was not fine-tuned for a task" in outcome.err


def test_what_a_model_makes_of_its_context(trivium_command: Any, tiny_models: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("Every model reads tokens and raises an error when the file is missing.\n" * 12)
    call = ("evaluate", "--suite", "context", "--data", path, "--model", tiny_models["gpt2"], "--set", "context=32")
    made = trivium_command(*call, "--limit", 6)
    assert made.code == 0 and "second_copy_bits_per_byte" in made.out, made.err
    assert "gain: of tokens with 16 and more before them, against 8 to 15 alone" in made.out
    refused = trivium_command(*call, "--set", "early=9")
    assert refused.code == 2 and "early is 9: it must be a power of two" in refused.err
