"""``trivium convert``: every family in every format, opened by other programs; and sabotage, which they find."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import trivium
from trivium.cli.run import run
from trivium.errors import DataError, RefusedError, SettingsError, TriviumError
from trivium.families import FAMILIES
from trivium.families.bodies import initialise, network
from trivium.families.demo_models import find_model
from trivium.families.huggingface import save
from trivium.tokenizers.specials import BERT
from trivium.tokenizers.wordpiece import train_wordpiece
from trivium.transformer import make_head
from trivium.transformer.head_config import LABELLED, Pooled
from trivium.verbs import convert as conversion
from trivium.verbs.convert import check, readers
from trivium.verbs.convert.parity import compared
from trivium.verbs.convert.readers import Answer, beginnings
from trivium.verbs.convert.texts import TEXTS, rows_for

xllamacpp = pytest.mark.skipif(not readers.installed("xllamacpp"), reason="llama.cpp is not installed")
EXPRESSED = ("bert", "roberta", "distilbert", "gpt1", "gpt2", "llama", "t5", "bart")


@pytest.fixture(scope="module")
def wordpiece_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT as published ones are: WordPiece, lower-cased, with a pooler and a vocabulary head."""
    tokenizer = train_wordpiece([*TEXTS, "a list of items"] * 2, 300, BERT, layout="classify")
    model = initialise(network(FAMILIES["bert"].size("tiny", tokenizer.vocab_size + 5, pooler=True)), 1)
    folder = tmp_path_factory.mktemp("bert")
    save(model, FAMILIES["bert"], tokenizer, folder)
    return folder


def sharpened(folder: Path, out: Path, times: float = 10) -> Path:
    """The same model with larger weights, so that each part of it matters."""
    shutil.copytree(folder, out)
    tensors = load_file(out / "model.safetensors")
    larger = {name: tensor * times if tensor.ndim > 1 else tensor for name, tensor in tensors.items()}
    save_file(larger, out / "model.safetensors")
    return out


def changed(folder: Path, name: str) -> None:
    """One tensor of a folder's weights with its first two rows exchanged."""
    tensors = load_file(folder / "model.safetensors")
    tensors[name][:2] = tensors[name][:2].flip(0).clone()
    save_file(tensors, folder / "model.safetensors")


# ---- hf ----


def test_a_folder_is_written_with_its_report(tiny_models, tmp_path: Path) -> None:
    made = trivium.convert(tiny_models["llama"], tmp_path / "out", dtype="bfloat16")
    assert made.parity.passed and made.parity.independent and made.parity.reader.startswith("transformers")
    assert made.parity.tokens == made.parity.texts == len(TEXTS) and made.parity.stops == made.parity.stops_read == [2]
    report = json.loads((tmp_path / "out" / "parity.json").read_text())
    assert report["parity"]["passed"] is True and report["dtype"] == "bfloat16" and report["parity"]["bound"] == 0.1
    assert 0 < report["parity"]["mean"] < report["parity"]["largest"]
    assert {t.dtype for t in load_file(tmp_path / "out" / "model.safetensors").values()} == {torch.bfloat16}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.slow
@pytest.mark.parametrize("family", EXPRESSED)
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_transformers_computes_every_family_alike(tiny_models, tmp_path: Path, family: str, dtype: str) -> None:
    parity = trivium.convert(tiny_models[family], tmp_path / "out", dtype=dtype).parity
    assert parity.passed and parity.independent and parity.measure == "logits"
    assert parity.relative < (1e-5 if dtype == "float32" else 1e-2)


def test_what_no_class_of_transformers_computes_is_read_by_us_and_said(tiny_models, tmp_path: Path) -> None:
    parity = trivium.convert(tiny_models["lstm"], tmp_path / "out").parity
    assert parity.passed and not parity.independent and "no class of transformers" in parity.remark


def test_a_missing_reader_is_said_with_the_remedy(tiny_models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "installed", lambda package: False)
    for name in ("gpt2", "gpt2.gguf"):
        parity = trivium.convert(tiny_models["gpt2"], tmp_path / name).parity
        assert parity.passed and parity.reader == "trivium" and "[export]" in parity.remark


@pytest.mark.slow
def test_shards_and_several_end_tokens_are_taken_over(tiny_models, tmp_path: Path) -> None:
    source = tmp_path / "sharded"
    shutil.copytree(tiny_models["llama"], source)
    tensors = load_file(source / "model.safetensors")
    (source / "model.safetensors").unlink()
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, held in shards.items():
        save_file({name: tensors[name] for name in held}, source / file)
    index = {"metadata": {}, "weight_map": {name: file for file, held in shards.items() for name in held}}
    (source / "model.safetensors.index.json").write_text(json.dumps(index))
    settings = json.loads((source / "generation_config.json").read_text())
    (source / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": [2, 7], "top_k": 9}))
    (source / "chat_template.jinja").write_text("{{ messages[0].content }}")
    made = trivium.convert(source, tmp_path / "out")
    assert made.parity.passed and made.parity.stops_read == [2, 7]
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text())["top_k"] == 9
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == "{{ messages[0].content }}"
    written = load_file(tmp_path / "out" / "model.safetensors")
    assert set(written) == set(tensors) and all(torch.equal(written[name], tensors[name]) for name in names)


# ---- sabotage ----


def test_one_wrong_tensor_is_found(
    tiny_models, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write = conversion.write

    def sabotaged(model, path: Path, to: str, dtype: str):  # type: ignore[no-untyped-def]
        done = write(model, path, to, dtype)
        changed(path, "model.layers.1.self_attn.v_proj.weight")
        return done

    monkeypatch.setattr(conversion, "write", sabotaged)
    assert run(["convert", str(tiny_models["llama"]), str(tmp_path / "out"), "--json"]) == 1
    out, err = capfd.readouterr()
    assert "is not the same model: numbers differ by" in err
    found = json.loads(out)
    assert found["passed"] is False and found["parity"]["relative"] > found["parity"]["bound"]
    assert json.loads((tmp_path / "out" / "parity.json").read_text())["parity"]["passed"] is False


def test_a_changed_tokenizer_and_end_token_are_found(tiny_models, tmp_path: Path) -> None:
    shutil.copytree(tiny_models["gpt2"], tmp_path / "out")
    document = json.loads((tmp_path / "out" / "tokenizer.json").read_text())
    document["model"]["merges"] = document["model"]["merges"][:-8]
    (tmp_path / "out" / "tokenizer.json").write_text(json.dumps(document))
    settings = json.loads((tmp_path / "out" / "generation_config.json").read_text())
    (tmp_path / "out" / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": 9}))
    parity = check(trivium.load(tiny_models["gpt2"]), tmp_path / "out", "hf")
    assert not parity.passed and parity.tokens < parity.texts and parity.stops_read == [9]
    assert "cut into other tokens" in parity.problems[0] and "token 9 instead of 2" in parity.problems[1]


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (np.array([[1.0, 2.0], [3.0, np.nan]]), "differ by nan"),
        (np.array([[1.0, 2.0], [3.0, np.inf]]), "differ by inf"),
        (np.array([[1.0, 2.0, 3.0]]), "another shape"),
        (np.array([[1.0, 2.0], [3.0, 4.1]]), "differ by 0.025"),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), None),
    ],
)
def test_numbers_that_are_none_are_no_agreement(values: np.ndarray, problem: str | None) -> None:
    expected = np.array([[1.0, 2.0], [3.0, 4.0]])
    parity = compared([expected], [[1]], [2], Answer("x", True, [values], [[1]], [2]), "logits", 0.01)
    assert parity.passed if problem is None else problem in parity.problems[0]
    assert parity.top1 == (1.0 if problem is None or "0.025" in problem else parity.top1)


def test_a_mean_difference_counts_by_itself() -> None:
    expected = np.array([[1.0, 2.0, 4.0, 3.0]])
    parity = compared([expected], [[1]], [], Answer("x", True, [expected + 0.03], [[1]], []), "logits", 0.01)
    assert "on average" in parity.problems[0]


# ---- gguf ----


@xllamacpp
@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("dtype", ["float32", "q8_0"])
def test_llama_cpp_computes_decoders_alike(tiny_models, tmp_path: Path, family: str, dtype: str) -> None:
    source = sharpened(tiny_models[family], tmp_path / "source")
    made = trivium.convert(source, tmp_path / "m.gguf", dtype=dtype)
    assert made.parity.passed and made.parity.independent and "llama.cpp" in made.parity.reader
    assert made.report == tmp_path / "m.parity.json" and made.report.is_file()
    assert made.parity.relative < (2e-3 if dtype == "float32" else 0.1)
    back = trivium.load(made.path)
    assert back.family.name == family and back.model.tokens.weight.shape == (320, 32)


@xllamacpp
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_llama_cpp_computes_a_bert_alike(wordpiece_bert: Path, tmp_path: Path, dtype: str) -> None:
    made = trivium.convert(sharpened(wordpiece_bert, tmp_path / "source"), tmp_path / "m.gguf", dtype=dtype)
    assert made.parity.passed and made.parity.measure == "hidden" and made.parity.tokens == len(TEXTS)
    assert "cls.predictions.bias" in made.left_out and "bert.pooler.dense.weight" in made.left_out
    back = trivium.load(made.path)
    assert back.kind == "encoder" and back.model.vocabulary is None


@xllamacpp
def test_a_wrong_tensor_in_a_gguf_file_is_found(tiny_models, tmp_path: Path) -> None:
    source = sharpened(tiny_models["gpt2"], tmp_path / "source")
    changed(shutil.copytree(source, tmp_path / "other"), "transformer.h.0.mlp.c_fc.weight")
    trivium.convert(tmp_path / "other", tmp_path / "m.gguf")
    parity = check(trivium.load(source), tmp_path / "m.gguf", "gguf")
    assert not parity.passed and "numbers differ" in parity.problems[0]


@xllamacpp
def test_a_damaged_file_is_one_sentence(tiny_models, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(64))
    with pytest.raises(TriviumError, match="xllamacpp cannot open what was written"):
        check(trivium.load(tiny_models["gpt2"]), tmp_path / "m.gguf", "gguf")


@pytest.mark.parametrize("family", ["t5", "bart", "roberta", "distilbert", "gpt1", "elmo", "lstm"])
def test_what_gguf_cannot_express_is_refused_before_it_is_written(tiny_models, tmp_path: Path, family: str) -> None:
    with pytest.raises(SettingsError, match="cannot be written as GGUF, only 'llama', 'gpt2' and 'bert' can"):
        trivium.convert(tiny_models[family], tmp_path / "m.gguf")
    assert list(tmp_path.iterdir()) == []


def test_a_cased_wordpiece_is_refused(tmp_path: Path) -> None:
    tokenizer = train_wordpiece([*TEXTS], 300, BERT, layout="classify", lowercase=False)
    save(initialise(network(FAMILIES["bert"].size("tiny", 300)), 1), FAMILIES["bert"], tokenizer, tmp_path / "cased")
    with pytest.raises(SettingsError, match="keeps case or accents"):
        trivium.convert(tmp_path / "cased", tmp_path / "m.gguf")


# ---- onnx ----


def test_onnxruntime_computes_an_encoder_alike(wordpiece_bert: Path, tmp_path: Path) -> None:
    made = trivium.convert(sharpened(wordpiece_bert, tmp_path / "source"), tmp_path / "out", to="onnx")
    assert made.parity.passed and made.parity.measure == "logits" and made.parity.reader.startswith("onnxruntime")
    assert {"model.onnx", "config.json", "tokenizer.json", "parity.json"} <= {p.name for p in made.path.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("family", [*EXPRESSED, "gpt3"])
def test_onnxruntime_computes_every_family_alike(tiny_models, tmp_path: Path, family: str) -> None:
    # T5 begins with large weights and does not scale its scores: ten times as large, rounding decides what is seen.
    source = sharpened(tiny_models[family], tmp_path / "source", times=2 if family == "t5" else 10)
    made = trivium.convert(source, tmp_path / "out", to="onnx")
    assert made.parity.passed and made.parity.relative < 2e-5


@pytest.mark.slow
def test_onnx_in_float16(tiny_models, tmp_path: Path) -> None:
    assert trivium.convert(tiny_models["gpt2"], tmp_path / "out", to="onnx", dtype="float16").parity.passed


def test_a_recurrent_network_has_no_form_in_onnx(tiny_models, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="only Transformers are written as ONNX"):
        trivium.convert(tiny_models["lstm"], tmp_path / "out", to="onnx")


# ---- heads ----


def with_head(name: str, folder: Path, source: Path) -> Path:
    """A BERT with one of the heads that its classes have, and labels by name where it has labels."""
    tokenizer = trivium.load(source).tokenizer
    made = FAMILIES["bert"].heads[name].made
    pooler = isinstance(made, Pooled)
    config = FAMILIES["bert"].size("tiny", tokenizer.vocab_size, pooler=pooler, vocabulary_head="none")
    made = replace(made, labels=3) if made.labels == 0 else made
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = initialise(network(config, {name: make_head(config, made)}), 1)
    labels = ["a", "b", "c"] if name in LABELLED else None
    save(model, FAMILIES["bert"], tokenizer, folder, labels=labels)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("to", ["hf", "onnx"])
@pytest.mark.parametrize("head", ["sequence", "token", "span", "choice", "next_sentence"])
def test_every_head_computes_alike(wordpiece_bert: Path, tmp_path: Path, head: str, to: str) -> None:
    source = with_head(head, tmp_path / "source", wordpiece_bert)
    made = trivium.convert(source, tmp_path / "out", to=to)  # type: ignore[arg-type]
    assert made.parity.passed and made.parity.independent and made.parity.measure == "scores"
    named = json.loads((tmp_path / "out" / "config.json").read_text()).get("id2label")
    assert named == ({"0": "a", "1": "b", "2": "c"} if head in LABELLED else None)


def test_a_classifier_has_no_place_in_gguf(wordpiece_bert: Path, tmp_path: Path) -> None:
    source = with_head("sequence", tmp_path / "source", wordpiece_bert)
    with pytest.raises(SettingsError, match="no place for a classifier's head"):
        trivium.convert(source, tmp_path / "m.gguf")


# ---- what is refused ----


def test_nothing_is_ever_written_over(tiny_models, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    (tmp_path / "m.gguf").write_text("mine")
    for name in ("out", "m.gguf"):
        assert run(["convert", str(tiny_models["gpt2"]), str(tmp_path / name)]) == 2
        assert "never written over" in capfd.readouterr().err
    assert (tmp_path / "m.gguf").read_text() == "mine" and len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("m.gguf", {"to": "onnx"}, "is to be a folder"),
        ("m.onnx", {}, "is to be a folder"),
        ("m", {"to": "gguf"}, "name it m.gguf"),
        ("m", {"to": "tf"}, "no format of models: choose hf, gguf, onnx"),
        ("m", {"dtype": "q8_0"}, "hf is not written in 'q8_0': choose float32"),
        ("m", {"to": "onnx", "dtype": "bfloat16"}, "onnx is not written in 'bfloat16'"),
    ],
)
def test_names_and_kinds_that_do_not_go_together(
    tiny_models, tmp_path: Path, name: str, options: dict, words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        trivium.convert(tiny_models["gpt2"], tmp_path / name, **options)


def test_a_full_disk_is_seen_before(tiny_models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 9, 0))  # type: ignore[attr-defined]
    with pytest.raises(RefusedError, match="make room"):
        trivium.convert(tiny_models["gpt2"], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_failure_in_the_middle_leaves_nothing(tiny_models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(conversion, "check", fails)
    with pytest.raises(OSError, match="No space"):
        trivium.convert(tiny_models["gpt2"], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.ckpt", "weights.pt"])
def test_pickles_are_refused_with_the_remedy(tiny_models, tmp_path: Path, name: str) -> None:
    source = shutil.copytree(tiny_models["gpt2"], tmp_path / "source")
    (source / "model.safetensors").rename(source / name)
    for given in (source, source / name):
        with pytest.raises(DataError, match="pickled weights.*model.safetensors"):
            trivium.convert(given, tmp_path / "out")


def test_rows_fit_the_context_and_keep_what_stands_around(wordpiece_bert: Path) -> None:
    model = trivium.load(wordpiece_bert)
    rows = rows_for(model.tokenizer, model.config)
    first, last = model.tokenizer.classify, model.tokenizer.separator
    assert len(rows) == 12 and max(len(row.ids) for row in rows) == 32
    assert all(row.ids[0] == first and row.ids[-1] == last for row in rows[:10])
    assert not set(rows[-1].ids) & model.tokenizer.controls
    assert beginnings(1) == [0] and beginnings(9) == [2, 5, 8]


# ---- real models ----


def demo(name: str) -> Path:
    try:
        return find_model(name)
    except DataError as problem:
        pytest.skip(str(problem))


@pytest.mark.slow
@xllamacpp
def test_smollm2_goes_to_hugging_face_and_back(tmp_path: Path) -> None:
    demo("smollm2-135m")
    first = trivium.convert("smollm2-135m", tmp_path / "hf")
    assert first.parity.passed and first.parity.relative < 1e-5 and first.parity.top1 == 1
    half = trivium.convert(tmp_path / "hf", tmp_path / "f16.gguf", dtype="float16")
    assert half.parity.passed and half.parity.relative < 0.01
    assert trivium.convert(tmp_path / "hf", tmp_path / "q8.gguf", dtype="q8_0").parity.passed


@pytest.mark.slow
@pytest.mark.parametrize(("name", "to"), [("hf", None), ("m.gguf", None), ("onnx", "onnx")])
def test_minilm_in_every_format(tmp_path: Path, name: str, to: Callable | None) -> None:
    demo("all-minilm-l6-v2")
    parity = trivium.convert("all-minilm-l6-v2", tmp_path / name, to=to).parity
    assert parity.passed and parity.measure == "hidden" and parity.tokens == parity.texts
