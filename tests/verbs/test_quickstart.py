"""The quickstart: its text, its comparison and the whole of it at a tiny size."""

import json

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from trivium.errors import RefusedError, SettingsError
from trivium.lab.baselines import bag_of_words, latent_semantics_transform, majority, tuned_latent_semantics
from trivium.text.examples import Labelled
from trivium.verbs.quickstart import quickstart, transfer
from trivium.verbs.quickstart.stations import unigram_entropy
from trivium.verbs.quickstart.story import BLANK, own_text
from trivium.verbs.quickstart.transfer import PRETRAINED, SCRATCH, Difference, Outcome, Transfer

_SEA = "The ship sailed over the grey sea and the crew pulled the ropes while waves broke at the bow number {}"
_FARM = "The farmer led the brown cow over the field and the hens ran from the barn to the gate number {}"


@pytest.fixture
def two_files(tmp_path):
    """Two texts of about 80 sections each."""
    for name, sentence in (("sea", _SEA), ("farm", _FARM)):
        sections = ["\n".join(sentence.format(90 * k + i) + "." for i in range(24)) for k in range(80)]
        (tmp_path / f"{name}.txt").write_text("\n\n".join(sections), "utf-8")
    return [tmp_path / "sea.txt", tmp_path / "farm.txt"]


def test_several_files_give_a_task_whose_dev_and_test_text_is_not_pretrained_on(two_files, tmp_path):
    story = own_text(two_files, tmp_path / "text")
    assert story.task is not None and story.task.labels == ("farm", "sea")
    pretrained_on = [json.loads(line)["text"] for line in story.file.open()]
    assert story.documents == len(pretrained_on)
    for example in [*story.task.dev, *story.task.test]:
        assert not any(" ".join(text.split()).startswith(example.text) for text in pretrained_on)
    shown = {example.text for example in story.task.train}
    assert shown.isdisjoint(example.text for example in [*story.task.dev, *story.task.test])
    assert story.sentences and all(sentence.count(BLANK) == 1 for sentence, _ in story.sentences)


def test_one_file_gives_no_task_and_says_why(two_files, tmp_path):
    story = own_text(two_files[:1], tmp_path / "text")
    assert story.task is None and "only one file" in story.no_task


def test_baselines_learn_what_words_tell_and_the_majority_is_scikit_learns():
    train = [Labelled(_SEA.format(i), "sea") for i in range(5)] + [Labelled(_FARM.format(i), "farm") for i in range(4)]
    test = [Labelled(_FARM.format(99), "farm"), Labelled(_SEA.format(98), "sea")]
    assert bag_of_words(train, train, test).predicted == ["farm", "sea"]
    project = latent_semantics_transform([example.text for example in train] * 2)
    assert tuned_latent_semantics(project, train, train, test).predicted == ["farm", "sea"]
    labels = [example.label for example in train]
    constant = DummyClassifier(strategy="most_frequent").fit(np.zeros((len(train), 1)), labels)
    assert majority(train, test).predicted == list(constant.predict(np.zeros((2, 1))))


def test_unigram_entropy_of_equally_frequent_tokens_is_the_log_of_their_number():
    class Characters:
        def encode_batch(self, texts):
            return [[ord(c) for c in text] for text in texts]

    assert unigram_entropy(["abcd", "dcba"])(Characters()) == pytest.approx(np.log(4))


@pytest.mark.parametrize(("better", "holds"), [(30, True), (0, False), (-30, False)])
def test_the_benefit_holds_only_where_the_interval_is_above_zero(better, holds):
    rng = np.random.default_rng(1)
    scratch = rng.random((3, 400)) < 0.4
    pretrained = rng.random((3, 400)) < 0.4 + better / 100
    outcomes = [Outcome(PRETRAINED, 16, pretrained, ""), Outcome(SCRATCH, 16, scratch, "")]
    difference = transfer._difference(outcomes, 16)
    assert difference.holds is holds
    assert difference.examples.value == pytest.approx(pretrained.mean() - scratch.mean())


def test_all_of_it_on_own_text(two_files, tmp_path, monkeypatch):
    """Every station runs, the folders open in transformers, and the report tells what the JSON tells."""
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

    monkeypatch.setattr(transfer, "STEPS", 4)
    monkeypatch.setattr(transfer, "RATES", (1e-3,))
    out, said = tmp_path / "out", []
    made = quickstart(out, 0.04, two_files, quiet=True, tell=said.append)
    for folder, opener in (
        ("encoder", AutoModelForMaskedLM),
        ("decoder", AutoModelForCausalLM),
        ("encoder-decoder", AutoModelForSeq2SeqLM),
    ):
        opened = opener.from_pretrained(out / folder)
        assert sum(p.numel() for p in opened.parameters()) == next(
            t.result.parameters for t in made.trained if t.station.name == folder
        )
    told = json.loads((out / "quickstart.json").read_text())
    page = (out / "report.html").read_text("utf-8")
    assert set(told["training"]) == {"encoder", "decoder", "encoder-decoder"}
    assert isinstance(made.transfer, Transfer) and made.transfer.differences
    assert set(made.transfer.methods) >= {PRETRAINED, SCRATCH, "majority class", "TF-IDF + logistic regression"}
    for difference in made.transfer.differences:
        assert isinstance(difference, Difference)
        assert f"{100 * difference.examples.value:+.1f}" in page
    assert "What to type next" in page and "<script" not in page
    stuck = [each for each in made.trained if each.stuck]
    assert len([text for text in said if "stuck" in text]) == len(stuck)


def test_refusals(tmp_path, two_files):
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("x")
    with pytest.raises(SettingsError, match="is in use"):
        quickstart(tmp_path / "used", 1, two_files)
    with pytest.raises(SettingsError, match="above 0"):
        quickstart(tmp_path / "new", 0, two_files)
    (tmp_path / "short.txt").write_text("A few words only.")
    with pytest.raises(RefusedError, match="too few to learn"):
        quickstart(tmp_path / "new", 1, [tmp_path / "short.txt"])
