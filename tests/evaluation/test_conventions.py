"""Small conventions that figures hang on: what is cut, what counts as wrong, what a signature is of."""

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from trivium.errors import SettingsError
from trivium.evaluation import LABELLED, Item
from trivium.evaluation.labels import UNKNOWN
from trivium.evaluation.scorer import shortened
from trivium.evaluation.suite import fingerprint
from trivium.evaluation.texts import Translations
from trivium.generation.score import Question
from trivium.verbs.evaluation_baselines import labelled_baselines


def test_what_is_too_long_loses_its_beginning() -> None:
    question = Question(tuple(range(1, 11)), (8, 9), (10, 11))
    assert shortened(question, 10) == question == shortened(question, None)
    cut = shortened(question, 4)
    assert (cut.ids, cut.positions, cut.targets) == ((7, 8, 9, 10), (2, 3), (10, 11))
    with pytest.raises(SettingsError, match="a continuation of 2 tokens does not fit into this model's context of 1"):
        shortened(question, 1)


def test_an_option_of_multirc_that_got_no_label_is_wrong_whatever_is_true() -> None:
    items = [Item("x", {}, (("x", number), gold)) for number, gold in enumerate(("1", "0"))]
    scores = LABELLED["multirc"].score(items, [UNKNOWN, UNKNOWN]).scores
    assert scores["exact"].value == scores["f1a"].value == 0


def test_the_signature_is_of_the_data_unzipped(tmp_path: Path) -> None:
    data = b"sentence\tlabel\nso good\t1\n"
    (tmp_path / "a.tsv").write_bytes(data)
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(data))
    wanted = hashlib.sha256(data).hexdigest()
    assert fingerprint(tmp_path / "a.tsv") == fingerprint(tmp_path / "a.tsv.gz") == wanted
    before = fingerprint(tmp_path)
    (tmp_path / "a.tsv").write_bytes(data + b"so bad\t0\n")
    assert fingerprint(tmp_path) != before


def test_an_unknown_word_has_the_tag_of_words_seen_once(tmp_path: Path) -> None:
    train = tmp_path / "train.jsonl"
    rows = [(["the", "cat"], ["DET", "NOUN"]), (["the", "the"], ["DET", "DET"])]
    train.write_text("".join(json.dumps({"words": words, "tags": tags}) + "\n" for words, tags in rows))
    items = [Item("x", {"words": ["the", "dog"]}, ("DET", "NOUN")), Item("y", {"words": ["cat"]}, ("VERB",))]
    suite = LABELLED["ud-pos"]
    (found,) = labelled_baselines(suite, items, train, {"tags": "tags"}, None)
    assert found.scores["accuracy"].value == pytest.approx(2 / 3) and found.chosen == "unknown: NOUN"


def test_capitals_count_unless_told() -> None:
    items, said = [Item("x", {"source": "a"}, ["The Cat sat on the Mat"])] * 2, ["the cat sat on the mat"] * 2
    plain, lower = (Translations(lowercase=flag).score(items, said) for flag in (False, True))
    assert plain.scores["bleu"].value < 90 and lower.scores["bleu"].value == pytest.approx(100)
    assert "case:mixed" in plain.conventions["bleu"] and "case:lc" in lower.conventions["bleu"]
