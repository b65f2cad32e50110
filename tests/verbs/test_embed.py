"""Vectors of texts: equal to those of sentence-transformers, in the order of the texts, whatever shares a batch."""

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trivium
from trivium.errors import DataError, SettingsError
from trivium.families.demo_models import find_model
from trivium.tasks import embeddings

TEXTS = [
    "A list is a mutable sequence of items.",
    "Raise.",
    "The quick brown fox jumps over the lazy dog. " * 3,
    "héllo ☃, 世界",
    "Return the number of items in a container.",
] * 3
LONG = "every model reads tokens and writes tokens " * 300
POOLINGS = {"mean": "mean", "cls": "cls", "last": "lasttoken"}


@pytest.fixture(scope="module")
def peer() -> Any:
    return pytest.importorskip("sentence_transformers", reason="sentence-transformers, the oracle, is not installed")


@pytest.fixture(scope="module")
def minilm() -> Path:
    try:
        return find_model("all-minilm-l6-v2")
    except DataError as problem:
        pytest.skip(str(problem))


def near(found: np.ndarray, wanted: np.ndarray, bound: float) -> bool:
    """Within ``bound`` of the largest number."""
    return found.shape == wanted.shape and float(np.abs(found - wanted).max()) <= bound * float(np.abs(wanted).max())


def peers_model(peer: Any, folder: Path, mode: str) -> Any:
    models = peer.sentence_transformer.modules
    body = models.Transformer(str(folder), max_seq_length=64)
    return peer.SentenceTransformer(modules=[body, models.Pooling(32, pooling_mode=mode)], device="cpu")


# ---- against sentence-transformers ----


def test_minilm_gives_the_vectors_of_sentence_transformers(peer: Any, minilm: Path) -> None:
    texts = [*TEXTS, LONG, "", "  ", "\u0130stanbul ﬁrst"]
    wanted = peer.SentenceTransformer(str(minilm), device="cpu").encode(texts)
    found = trivium.load("all-minilm-l6-v2").embed(texts)
    assert found.dtype == np.float32 and found.shape == (len(texts), 384)
    assert np.abs(found - wanted).max() < 1e-5
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


@pytest.mark.slow
def test_similar_sentences_are_found_as_well_as_by_sentence_transformers(peer: Any, minilm: Path) -> None:
    from scipy.stats import spearmanr

    data = os.environ.get("TRIVIUM_DATA")
    if data is None:
        pytest.skip("TRIVIUM_DATA names no folder with stsb/dev.tsv")
    with open(Path(data) / "stsb" / "dev.tsv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    gold = [float(row["score"]) for row in rows]
    texts = [row[name] for name in ("sentence1", "sentence2") for row in rows]
    scores = []
    theirs = peer.SentenceTransformer(str(minilm), device="cpu").encode(texts)
    for vectors in (theirs, trivium.load(minilm).embed(texts)):
        cosines = (vectors[: len(rows)] * vectors[len(rows) :]).sum(1)
        scores.append(spearmanr(cosines, gold).statistic)
    assert scores[0] > 0.8 and abs(scores[0] - scores[1]) < 1e-6


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "llama"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_is_that_of_sentence_transformers(
    peer: Any, tiny_models: dict[str, Path], family: str, pooling: str
) -> None:
    wanted = peers_model(peer, tiny_models[family], POOLINGS[pooling]).encode(TEXTS)
    assert near(trivium.load(tiny_models[family]).embed(TEXTS, pooling=pooling), wanted, 1e-5)


def test_a_folder_that_sentence_transformers_wrote_is_read(
    peer: Any, tiny_models: dict[str, Path], tmp_path: Path
) -> None:
    models = peer.sentence_transformer.modules
    body = models.Transformer(str(tiny_models["bert"]), max_seq_length=20, do_lower_case=True)
    parts = [body, models.Pooling(32, pooling_mode="cls"), models.Normalize()]
    theirs = peer.SentenceTransformer(
        modules=parts, device="cpu", prompts={"query": "Query: "}, default_prompt_name="query"
    )
    theirs.save(str(tmp_path / "saved"))
    assert near(trivium.load(tmp_path / "saved").embed(TEXTS), theirs.encode(TEXTS), 1e-5)


# ---- by themselves ----


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5", "lstm", "elmo", "bilstm", "seq2seq"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_vector_does_not_depend_on_its_neighbours(tiny_models: dict[str, Path], family: str, pooling: str) -> None:
    model = trivium.load(tiny_models[family])
    together = model.embed(TEXTS, pooling=pooling)
    assert together.shape == (len(TEXTS), model.config.width)
    assert near(together, np.concatenate([model.embed([text], pooling=pooling) for text in TEXTS]), 1e-6)
    assert near(together, model.embed(TEXTS[::-1], pooling=pooling)[::-1], 1e-6)
    assert not near(together[1:2], together[:1], 1e-4)


def test_the_mean_is_of_the_last_layers_states(tiny_models: dict[str, Path]) -> None:
    import torch

    from trivium.transformer import Inputs, Tokens

    model = trivium.load(tiny_models["bert"])
    ids = model.tokenizer.encode(TEXTS[0], specials=True).ids
    with torch.no_grad():
        states = model.model(Inputs(Tokens(torch.tensor([ids])))).hidden[0].numpy()
    for pooling, wanted in {"mean": states.mean(0), "cls": states[0], "last": states[-1]}.items():
        assert near(model.embed(TEXTS[:2], pooling=pooling)[0], wanted, 1e-6)
    unit = model.embed(TEXTS[:1], normalise=True)[0]
    assert near(unit, states.mean(0) / np.linalg.norm(states.mean(0)), 1e-6)


def test_batches_stay_within_their_budget_and_waste_little(
    tiny_models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trivium.load(tiny_models["bert"])
    shapes: list[tuple[int, int]] = []
    right_padded = embeddings.right_padded

    def seen(rows: Any, *rest: Any) -> Any:
        shapes.append((sum(map(len, rows)), len(rows) * max(map(len, rows))))
        return right_padded(rows, *rest)

    monkeypatch.setattr(embeddings, "right_padded", seen)
    texts = ["word " * (1 + number * 7 % 40) for number in range(200)]
    made = embeddings.embed_texts(model.model, model.tokenizer, texts, tokens=512)
    assert all(computed <= 512 for _, computed in shapes)
    assert sum(computed for _, computed in shapes) < 1.1 * sum(real for real, _ in shapes)
    assert near(made.vectors, model.embed(texts), 1e-6)


def test_a_long_text_is_cut_and_told(tiny_models: dict[str, Path]) -> None:
    model = trivium.load(tiny_models["bert"])
    found = list(trivium.embed(model, [LONG, "short"], length=12))
    assert [each.truncated for each in found] == [True, False]
    assert [each.text for each in found] == [LONG, "short"]
    ids = model.tokenizer.encode(LONG).ids[:10]
    assert near(found[0].vector, model.embed([model.tokenizer.decode(ids)])[0], 1e-6)
    assert near(found[0].vector, model.embed([LONG], length=12)[0], 1e-6)


def test_bfloat16_is_close(tiny_models: dict[str, Path]) -> None:
    exact = trivium.load(tiny_models["bert"]).embed(TEXTS)
    assert near(trivium.load(tiny_models["bert"], precision="bfloat16").embed(TEXTS), exact, 0.05)


def test_control_tokens_in_a_text_are_text(tiny_models: dict[str, Path]) -> None:
    model = trivium.load(tiny_models["bert"])
    assert not near(model.embed(["a <mask> b"]), model.embed(["a b"]), 1e-3)
    assert model.tokenizer.mask not in model.tokenizer.encode_batch(["a <mask> b"])[0]


def test_no_texts_are_no_vectors(tiny_models: dict[str, Path]) -> None:
    assert trivium.load(tiny_models["bert"]).embed([]).shape == (0, 32)
    assert list(trivium.embed(tiny_models["bert"], [])) == []


@pytest.mark.parametrize(
    ("texts", "settings", "error", "words"),
    [
        ("one", {}, SettingsError, "put it in a list"),
        (["a", 5], {}, DataError, "text 2 is int"),
        (["a"], {"pooling": "max"}, SettingsError, "choose mean, cls, last"),
        (["a"], {"length": 2}, SettingsError, "leaves no room"),
        (["a"], {"length": -1}, SettingsError, "leaves no room"),
    ],
)
def test_what_cannot_be_embedded(
    tiny_models: dict[str, Path], texts: Any, settings: dict, error: type, words: str
) -> None:
    with pytest.raises(error, match=words):
        trivium.load(tiny_models["bert"]).embed(texts, **settings)


def test_a_text_without_tokens_is_refused_where_nothing_stands_around_it(tiny_models: dict[str, Path]) -> None:
    model = trivium.load(tiny_models["gpt2"])
    assert model.tokenizer.layout().before == model.tokenizer.layout().after == ()
    with pytest.raises(DataError, match="text 2 has no token"):
        model.embed(["a", ""])
