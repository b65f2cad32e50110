"""Comparisons: the same tokens for all, figures that are the runs' own, resumed, refused."""

import json
import math
import random

import pytest

from trivium.errors import DataError, SettingsError
from trivium.verbs.compare import compare, plain
from trivium.verbs.experiment import experiment_names, load_experiment

WORDS = "the cat dog sat ran on under a mat hill and then it saw one red old bird while we were away from home".split()
EXPERIMENT = """
title = "Two <b>decoders</b>"
tokens = 2000
seeds = 2
ngrams = 3
lengths = [8, 16]

[data]
files = ["{text}"]
heldout = 0.1

[tokenizer]
vocab_size = 320

[[contenders]]
name = "narrow"
recipe = "{recipe}"

[[contenders]]
name = "wide"
recipe = "{recipe}"
set = ["model.width=64", "model.ffn_width=64"]
"""
RECIPE = """
[data]
corpus = "python-docs"
[tokenizer]
vocab_size = 320
[model]
family = "gpt2"
size = "tiny"
context = 16
[objective]
kind = "causal"
[training]
steps = 1
batch_tokens = 128
evaluate_every = 5
precision = "float32"
device = "cpu"
optimizer = { kind = "adamw", learning_rate = 0.01 }
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A text, a recipe, an experiment, and what came of it."""
    made = tmp_path_factory.mktemp("compare")
    draw = random.Random(0)
    lines = [json.dumps({"text": " ".join(draw.choices(WORDS, k=draw.randrange(20, 60)))}) for _ in range(80)]
    (made / "text.jsonl").write_text("\n".join(lines))
    (made / "recipe.toml").write_text(RECIPE)
    content = EXPERIMENT.format(text=made / "text.jsonl", recipe=made / "recipe.toml")
    (made / "experiment.toml").write_text(content)
    return made


@pytest.fixture(scope="module")
def comparison(folder):
    return compare(folder / "experiment.toml", folder / "out")


def test_every_contender_sees_the_same_tokens_of_the_same_vocabulary(comparison, folder):
    assert [s.name for s in comparison.standings] == ["narrow", "wide"]
    for standing in comparison.standings:
        assert len(standing.loss) == len(standing.directories) == 2
        for seed, directory in enumerate(standing.directories):
            lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
            last = [line for line in lines if line["kind"] == "evaluation"][-1]
            assert last["loss"] == standing.loss[seed]
            assert math.isclose(standing.perplexity[seed], math.exp(last["loss"]))
            assert last["step"] * 128 >= 2000 > (last["step"] - 1) * 100
            assert (directory / "tokenizer.json").read_bytes() == (folder / "out/tokenizer/tokenizer.json").read_bytes()
    narrow, wide = comparison.standings
    assert narrow.parameters < wide.parameters
    assert comparison.differences[0].nats.value == pytest.approx(sum(wide.loss) / 2 - sum(narrow.loss) / 2)


def test_the_rival_and_the_costs_are_there(comparison):
    assert comparison.ngrams is not None
    assert 1 < comparison.ngrams["perplexity"] < 320
    for standing in comparison.standings:
        assert [(c.length, c.rows) for c in standing.costs] == [(8, 512), (16, 256)]
        assert all(c.microseconds > 0 for c in standing.costs)
        # Attention keeps T scores a token and head: more for longer rows, and by that alone.
        assert standing.costs[1].kilobytes > standing.costs[0].kilobytes


def test_the_page_shows_the_figures_and_escapes_names(comparison):
    page = comparison.report.read_text()
    assert "Two &lt;b&gt;decoders&lt;/b&gt;" in page
    assert "<b>decoders" not in page
    assert f"{comparison.standings[0].parameters:,}" in page
    assert "µs a token" in page


def test_it_goes_on_where_it_was(comparison, folder):
    again = compare(None, folder / "out")
    assert [s.loss for s in again.standings] == [s.loss for s in comparison.standings]
    assert again.ngrams == comparison.ngrams
    json.dumps({k: str(v) for k, v in plain(again).items()})


def test_what_cannot_be_compared_is_refused(folder, tmp_path):
    with pytest.raises(SettingsError, match="no experiment 'lstm-and-transformr': did you mean lstm-and-transformer"):
        compare("lstm-and-transformr", tmp_path / "out")
    with pytest.raises(SettingsError, match="holds no experiment"):
        compare(None, tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="holds another experiment"):
        compare(folder / "experiment.toml", folder / "out", tokens=999)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("x")
    with pytest.raises(SettingsError, match="is in use"):
        compare(folder / "experiment.toml", tmp_path / "used")
    text = (folder / "experiment.toml").read_text()
    for old, new, message in (
        ("seeds = 2", "seed = 2", "no setting seed: did you mean seeds"),
        ("tokens = 2000", "tokens = 0", "tokens = 0: it must be at least 1"),
        ('name = "wide"', 'name = "narrow"', "a name of its own"),
        ('name = "wide"', 'name = "../wide"', "cannot be a folder's"),
        ("model.width=64", "model.widht=64", "model.widht.* did you mean model.width"),
    ):
        (tmp_path / "bad.toml").write_text(text.replace(old, new))
        with pytest.raises(SettingsError, match=message):
            compare(tmp_path / "bad.toml", tmp_path / "out")


def test_a_model_that_does_not_read_from_left_to_right_is_refused_before_anything_is_trained(folder, tmp_path):
    text = (folder / "experiment.toml").read_text()
    (tmp_path / "masked.toml").write_text(text.replace(f'"{folder / "recipe.toml"}"', '"bert-mini"', 1))
    with pytest.raises(SettingsError, match="narrow predicts no text from left to right"):
        compare(tmp_path / "masked.toml", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_text_of_one_document_is_refused_after_the_first_run(folder, tmp_path):
    (tmp_path / "one.txt").write_text(" ".join(WORDS * 40))
    told = []
    with pytest.raises(SettingsError, match="no text was held out .* whole documents"):
        compare(folder / "experiment.toml", tmp_path / "out", data=[tmp_path / "one.txt"], tell=told.append)
    assert told == ["learning the tokenizer that all share", "narrow, seed 0"]


def test_a_folder_in_which_nothing_was_made_yet_takes_the_corrected_experiment(folder, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        compare(folder / "experiment.toml", tmp_path / "out", data=[tmp_path / "nowhere.txt"])
    with pytest.raises(DataError, match="is empty"):
        (tmp_path / "empty.txt").touch()
        compare(folder / "experiment.toml", tmp_path / "out", data=[tmp_path / "empty.txt"])


def test_shipped_experiments_can_be_read():
    for name in experiment_names():
        made = load_experiment(name)
        assert made.title
        assert len(made.contenders) > 1
