"""``trivium inspect text --word``: what is printed, written and refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from trivium.errors import DataError
from trivium.text.examples import Document
from trivium.vectors.files import save_vectors
from trivium.vectors.vectors import Vectors

BANKS = ("She sat on the bank.", "The bank was closed.", "A bank lends.")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("\n".join(BANKS), encoding="utf-8")
    return tmp_path / "text.txt"


@pytest.fixture
def vectors(tmp_path: Path) -> Path:
    words = sorted({word.strip(".") for text in BANKS for word in text.split()})
    matrix = np.random.default_rng(0).normal(size=(len(words), 6)).astype(np.float32)
    save_vectors(Vectors(words, matrix), tmp_path / "static.txt", format="text")
    return tmp_path / "static.txt"


def test_occurrences_are_listed_with_neighbours_and_cosines(trivium_command, tiny_models, data, tmp_path) -> None:
    page = tmp_path / "word.html"
    outcome = trivium_command(
        "inspect", "text", "--word", "bank", "--model", tiny_models["bert"], "--data", data, "--html", page
    )
    assert outcome.code == 0 and "She sat on the [bank]." in outcome.out and "near: " in outcome.out
    assert "cosines between occurrences" in outcome.out and "3 occurrences of 'bank' in 3 lines" in outcome.out
    assert "wrote" in outcome.err
    written = page.read_text(encoding="utf-8")
    assert "<svg" in written and "<script" not in written and str(tmp_path) not in written


def test_static_vectors_give_ones(trivium_command, vectors, data) -> None:
    found = trivium_command("inspect", "text", "--word", "bank", "--model", vectors, "--data", data, "--json")
    view = json.loads(found.out)
    assert view["static"] and view["layer"] is None and not view["more"]
    np.testing.assert_allclose(view["cosines"], 1.0)
    assert [one["number"] for one in view["occurrences"]] == [1, 2, 3]


def test_sentences_may_be_given_in_place_of_files(trivium_command, tiny_models) -> None:
    arguments = ("--word", "Bank", "--ignore-case", "--model", tiny_models["elmo"], "--layer", "1", "--neighbours", "1")
    view = json.loads(trivium_command("inspect", "text", *BANKS, *arguments, "--most", "2", "--json").out)
    assert view["layer"] == 1 and view["more"] and len(view["occurrences"]) == 2
    assert [len(one["nearest"]) for one in view["occurrences"]] == [1, 1]


def test_the_embedded_corpus_may_be_read(trivium_command, tiny_models, monkeypatch) -> None:
    parts = {"train": [Document("The bank.\nA list.", "a"), Document("No bank", "b")], "test": []}
    monkeypatch.setattr("trivium.text.python_docs.documents", parts.__getitem__)
    arguments = ("--word", "bank", "--corpus", "python-docs", "--model", tiny_models["gpt2"], "--json")
    view = json.loads(trivium_command("inspect", "text", *arguments).out)
    assert [one["before"] for one in view["occurrences"]] == ["The ", "No "] and view["lines"] == 3


def test_a_demo_model_is_a_model_by_its_name(trivium_command, monkeypatch) -> None:
    opened = []

    def refuse(model: object) -> None:
        opened.append(str(model))
        raise DataError("not installed")

    monkeypatch.setattr("trivium.verbs.load.load", refuse)
    outcome = trivium_command("inspect", "text", "--word", "bank", "The bank.", "--model", "smollm2-135m")
    assert opened == ["smollm2-135m"] and outcome.code == 3


def test_a_gguf_file_holds_a_model_and_no_vectors(trivium_command, tmp_path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"nothing")
    outcome = trivium_command("inspect", "text", "--word", "bank", "The bank.", "--model", tmp_path / "x.gguf")
    assert outcome.code == 3 and "GGUF" in outcome.err and "vectors" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--word", "bnak", "The bank."), 3, "did you mean bank"),
        (("--word", "bank"), 2, "give files with --data"),
        (("--word", "bank", "--data", "nowhere.txt"), 3, "nowhere.txt"),
        (("--word", "bank", "The bank.", "--corpus", "python-docs"), 2, "one of them"),
        (("The bank.", "--corpus", "python-docs"), 2, "belong to --word"),
        (("--word", "bank", "The bank.", "--layer", "9"), 2, "layers 0"),
        (("--word", "bank", "The bank.", "--most", "0"), 2, "most = 0"),
        (("The bank.", "--layer", "1"), 2, "belong to --word"),
        (("One.", "Two."), 2, "give one text"),
        ((), 2, "give one text"),
    ],
)
def test_refusals_are_one_sentence(trivium_command, tiny_models, arguments, code, sentence) -> None:
    outcome = trivium_command("inspect", "text", "--model", tiny_models["bert"], *arguments)
    assert outcome.code == code and sentence in outcome.err and len(outcome.err.strip().splitlines()) == 1


def test_a_file_of_vectors_has_no_attention(trivium_command, vectors) -> None:
    outcome = trivium_command("inspect", "text", "The bank.", "--model", vectors)
    assert outcome.code == 3 and "no model folder" in outcome.err
