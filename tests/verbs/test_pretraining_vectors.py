"""Embeddings that begin as word vectors: the rows of the words, no others; recorded, resumed, refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trivium.durable import file_digest
from trivium.errors import DataError, SettingsError
from trivium.families import FAMILIES
from trivium.settings import build
from trivium.tokenizers.bpe import train_bpe
from trivium.training.checkpoint import Checkpoints
from trivium.vectors.files import save_vectors
from trivium.vectors.vectors import Vectors
from trivium.verbs.pretrain import pretrain
from trivium.verbs.recipe import Recipe, read_recipe

WORDS = "the cat dog sat ran under mat hill then bird away home".split()
DOCUMENTS = [" ".join(WORDS[(i * 5 + j * (1 + i % 7)) % 12] for j in range(40)).capitalize() for i in range(40)]


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe(DOCUMENTS, 320)


def recipe(vectors: Path | None, family: str = "gpt2", **training: object) -> Recipe:
    model = {"family": family, "size": "tiny", "context": 32}
    return build(
        Recipe,
        {
            "data": {"corpus": "python-docs", "heldout": 0.1},
            "tokenizer": {"vocab_size": 320},
            "model": model | ({"vectors": str(vectors)} if vectors else {}),
            "objective": {"kind": "causal"},
            "training": {"steps": 2, "batch_tokens": 64, "precision": "float32", "device": "cpu"}
            | {"optimizer": {"kind": "adamw", "learning_rate": 1e-9, "weight_decay": 0.0}}
            | training,
        },
    )


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Path, Vectors]:
    """Vectors of a few words, as wide as the tiny model, one of them no word of the text."""
    width = FAMILIES["gpt2"].size("tiny", 320).width
    matrix = np.random.default_rng(0).normal(size=(4, width)).astype(np.float32)
    made = Vectors(["the", "cat", "bird", "zebra"], matrix)
    save_vectors(made, tmp_path / "words.bin")
    return tmp_path / "words.bin", made


def test_rows_of_words_begin_as_their_vectors(
    saved: tuple[Path, Vectors], tokenizer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, vectors = saved
    plain = pretrain(recipe(None), tmp_path / "plain", documents=DOCUMENTS, tokenizer=tokenizer, quiet=True)
    capsys.readouterr()
    begun = pretrain(recipe(path), tmp_path / "begun", documents=DOCUMENTS, tokenizer=tokenizer)
    filled = 0
    for number in range(320):
        word = tokenizer.decode([number]).strip()
        row = begun.model.tokens.weight[number]
        if word in vectors or word.lower() in vectors:
            filled += 1
            wanted = torch.from_numpy(vectors[word.lower()])
        else:
            wanted = plain.model.tokens.weight[number]
        torch.testing.assert_close(row, wanted, atol=1e-6, rtol=0)
    assert filled >= 3
    assert f"{filled} of 320 embeddings begin as vectors of {path}" in capsys.readouterr().err
    resolved = read_recipe(tmp_path / "begun" / "trivium.toml")
    assert (resolved.model.vectors, resolved.model.vectors_sha256) == (str(path), file_digest(path))
    assert read_recipe(tmp_path / "plain" / "trivium.toml").model.vectors_sha256 is None


def test_a_run_is_resumed_without_the_file(saved: tuple[Path, Vectors], tokenizer, tmp_path: Path) -> None:
    path, _ = saved
    whole = recipe(path, steps=4, checkpoint_every=2, optimizer={"kind": "adamw", "learning_rate": 0.01})
    pretrain(whole, tmp_path / "whole", documents=DOCUMENTS, tokenizer=tokenizer, quiet=True)

    class Stopped(Exception):
        pass

    def stop(step) -> None:
        if step.number == 2:
            raise Stopped

    with pytest.raises(Stopped):
        pretrain(whole, tmp_path / "run", documents=DOCUMENTS, tokenizer=tokenizer, quiet=True, on_step=stop)
    path.unlink()
    pretrain(None, tmp_path / "run", resume=True, documents=DOCUMENTS, quiet=True)
    ends = [Checkpoints(tmp_path / name / "checkpoints", 2).newest(print) for name in ("whole", "run")]
    assert ends[0] is not None and ends[1] is not None and ends[0].state_hash == ends[1].state_hash


def test_what_does_not_fit_is_refused_before_the_text_is_read(saved: tuple[Path, Vectors], tmp_path: Path) -> None:
    def text():
        raise AssertionError("the text was read")
        yield ""

    path, vectors = saved
    narrow = tmp_path / "narrow.txt"
    save_vectors(Vectors(["the", "cat"], np.ones((2, 5), np.float32)), narrow)
    with pytest.raises(SettingsError, match=r"has 5 dimensions and the model's embeddings have \d+: set model.width=5"):
        pretrain(recipe(narrow), tmp_path / "run", documents=text(), quiet=True)
    with pytest.raises(DataError, match=r"gone.bin is not a file"):
        pretrain(recipe(tmp_path / "gone.bin"), tmp_path / "run", documents=text(), quiet=True)
    assert not (tmp_path / "run").exists()


def test_vectors_without_a_word_of_the_tokenizer_and_a_changed_file_are_refused(
    saved: tuple[Path, Vectors], tokenizer, tmp_path: Path
) -> None:
    path, vectors = saved
    other = tmp_path / "other.bin"
    save_vectors(Vectors(["zèbre", "éléphant"], vectors.matrix[:2]), other)
    with pytest.raises(SettingsError, match="a vector for none of the tokenizer's 320 tokens"):
        pretrain(recipe(other), tmp_path / "run", documents=DOCUMENTS, tokenizer=tokenizer, quiet=True)
    asked = recipe(path)
    changed = replace(asked, model=replace(asked.model, vectors_sha256="0" * 64))
    with pytest.raises(SettingsError, match="is not the file of the recipe"):
        pretrain(changed, tmp_path / "again", documents=DOCUMENTS, tokenizer=tokenizer, quiet=True)
