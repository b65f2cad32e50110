"""Experiment files: what is wrong with one is told before anything is made, axes, what a cell depends on."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from laboratory import COMMON, WORDS, refuse_training, write_experiments

from trivium.errors import DataError, SettingsError
from trivium.verbs.compare import compare
from trivium.verbs.experiment import Experiment, experiment_names, load_experiment


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_experiments(tmp_path_factory.mktemp("compare"))


@pytest.fixture
def never_trained(monkeypatch):
    refuse_training(monkeypatch)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seeds = 2", "seed = 2", "no setting seed: did you mean seeds"),
        ("tokens = 2000", "tokens = 0", "tokens = 0: it must be at least 1"),
        ("tokens = 2000", "flops = -1.0", "flops = -1.0: it must be above 0"),
        ("tokens = 2000", "", "exactly one of tokens, flops, minutes equal: it has none of them"),
        ("tokens = 2000", "tokens = 5\nminutes = 1.0", "it has tokens = 5, minutes = 1.0"),
        ('name = "wide"', 'name = "narrow"', "two contenders are called 'narrow'"),
        ('name = "wide"', 'name = "../wide"', "cannot be a folder's"),
        ('name = "wide"', 'name = "cells"', "a folder of every comparison"),
        ("model.width=64", "model.widht=64", "model.widht.* did you mean model.width"),
        ('set = ["model.width=64", "model.ffn_width=64"]', "", "narrow and wide are the same cell"),
        ("model.width=64", "training.tokens=64", "training.tokens=64 is held equal by the experiment"),
        ("model.width=64", "data.heldout=0.2", "data.heldout=0.2 is held equal"),
        ("seeds = 2", 'seeds = 2\nreference = "tall"', "'tall' is no contender: choose one of narrow, wide"),
        ('name = "wide"', 'name = "wide"\nshare = -1.0', "share = -1.0"),
        ('name = "wide"', 'name = "wide"\nbaseline = "majority"', "wide needs one of recipe and baseline"),
        ("seeds = 2", 'seeds = 2\ntransfer = [{name = "t", task = "sequense"}]', "did you mean sequence"),
        ("seeds = 2", 'seeds = 2\ntransfer = [{name = "t", train = "a.tsv"}]', "t needs train and dev, or corpus"),
        ("seeds = 2", 'seeds = 2\ntransfer = [{name = "t", corpus = "chapters", set = ["polling=mean"]}]', "pooling"),
        ("seeds = 2", 'seeds = 2\nmatrix = [{name = "m", groups = [{name = "x"}]}]', "'x' of the matrix has 0 recipes"),
    ],
)  # fmt: skip
def test_mistakes_in_an_experiment_are_refused_before_anything_is_made(folder, tmp_path, old, new, said):
    text = (folder / "decoders.toml").read_text()
    assert old in text
    (tmp_path / "bad.toml").write_text(text.replace(old, new))
    with pytest.raises(SettingsError, match=said):
        compare(tmp_path / "bad.toml", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_rivals_are_for_models_that_read_from_left_to_right(folder, tmp_path):
    text = (folder / "decoders.toml").read_text()
    (tmp_path / "masked.toml").write_text(text.replace("gpt2.toml", "bert.toml", 1))
    with pytest.raises(SettingsError, match="narrow predicts no text from left to right, and ngrams is for"):
        compare(tmp_path / "masked.toml", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_files_that_are_not_there_are_told_before_the_first_training(folder, tmp_path, monkeypatch, never_trained):
    (tmp_path / "one.txt").write_text(" ".join(WORDS * 40))
    with pytest.raises(SettingsError, match=r"no text would be held out .* there must be 20"):
        compare(folder / "decoders.toml", tmp_path / "a", data=[tmp_path / "one.txt"])
    with pytest.raises(DataError, match="does not exist"):
        compare(folder / "decoders.toml", tmp_path / "b", data=[tmp_path / "nowhere.txt"])
    with pytest.raises(DataError, match="is empty"):
        (tmp_path / "empty.txt").touch()
        compare(folder / "decoders.toml", tmp_path / "b", data=[tmp_path / "empty.txt"])
    monkeypatch.delenv("LABORATORY", raising=False)
    with pytest.raises(SettingsError, match="the environment variable LABORATORY is not set"):
        compare(folder / "stacks.toml", tmp_path / "c")
    monkeypatch.setenv("LABORATORY", str(tmp_path))
    with pytest.raises(DataError, match="train.jsonl is not a file"):
        compare(folder / "stacks.toml", tmp_path / "d")
    text = (folder / "decoders.toml").read_text()
    named = f'seeds = 2\nminimal_pairs = "{tmp_path / "no.jsonl"}"'
    (tmp_path / "pairs.toml").write_text(text.replace("seeds = 2", named))
    with pytest.raises(DataError, match="minimal_pairs: .*no.jsonl is not there: check the name"):
        compare(tmp_path / "pairs.toml", tmp_path / "e")


def test_tokenizers_are_an_axis_like_any_other(folder):
    values = """
[[matrix]]
name = "vocabulary"
groups = [ { name = "300", set = ["tokenizer.vocab_size=300"] }, { name = "words", set = ["tokenizer.algorithm=words"] } ]
[[matrix]]
name = "objective"
groups = [ { name = "15 %", recipe = "bert-mini", share = 0.5 }, { name = "40 %", recipe = "bert-mini", set = ["objective.rate=0.4"] } ]
"""  # noqa: E501
    text = 'title = "T"\nminutes = 2.0\n' + COMMON.format(text=folder / "text.jsonl") + values
    (folder / "axes.toml").write_text(text)
    made = load_experiment(folder / "axes.toml")
    arms = made.arms()
    assert [arm.name for arm in arms] == ["300, 15 %", "300, 40 %", "words, 15 %", "words, 40 %"]
    recipes = [made.recipe(arm, 3) for arm in arms]
    assert [(r.tokenizer.vocab_size, type(r.tokenizer.algorithm).__name__) for r in recipes[1:3]] == [
        (300, "Bpe"), (320, "Words"),
    ]  # fmt: skip
    assert [(r.training.minutes, r.training.seed) for r in recipes] == [(1.0, 3), (2.0, 3)] * 2
    assert load_experiment(folder / "axes.toml", tokens=5).budget == ("tokens", 5)
    (folder / "again.toml").write_text(made.to_toml())
    assert load_experiment(folder / "again.toml") == made


def test_what_a_cell_depends_on_is_what_the_experiment_says(folder):
    made = load_experiment(folder / "decoders.toml")
    narrow = made.arms()[0]

    def identity(**changes) -> str:
        import dataclasses

        other: Experiment = dataclasses.replace(made, **changes)
        return other.identity(other.arms()[0])

    same = made.identity(narrow)
    assert identity(title="Other", seeds=5, ngrams=0, reference="all") == same
    others = (identity(tokens=3000), identity(tokens=None, flops=2000.0), identity(set=("model.width=8",)))
    assert len({same, *others}) == 4


SHIPPED = ["lstm-and-transformer", "masking-rate", "pair-and-span-objectives", "stacks", "t5-objectives"]


@pytest.mark.parametrize("name", [*SHIPPED, "tokens-and-transfer"])
def test_shipped_experiments_can_be_read(name):
    assert experiment_names() == [*SHIPPED, "tokens-and-transfer"]
    made = load_experiment(name)
    assert made.title
    assert len(made.arms()) > 1
