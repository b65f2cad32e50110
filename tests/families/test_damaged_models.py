"""Folders of models that are damaged, or lie: each is one sentence, at once, in little memory, and runs no code."""

import json
import pickle
import shutil
import struct
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from trivium.errors import DataError, RefusedError, TriviumError
from trivium.families import FAMILIES
from trivium.families.huggingface import check_memory, load
from trivium.families.inspection import inspect_folder
from trivium.families.model_folder import read_header

NAMES = ("bert", "gpt2", "t5", "llama", "lstm", "elmo")
DAMAGE = Path(__file__).with_name("damage_models.py")


def in_parts(folder: Path) -> None:
    """One file of weights becomes three and an index."""
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    placed = {name: f"model-{number % 3}.safetensors" for number, name in enumerate(sorted(tensors))}
    for part in set(placed.values()):
        save_file({name: tensors[name] for name in placed if placed[name] == part}, folder / part)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": placed}))


@pytest.fixture(scope="module")
def sound(tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with models of six kinds, and one in parts."""
    place = tmp_path_factory.mktemp("sound")
    for name in NAMES:
        shutil.copytree(tiny_models[name], place / name)
    shutil.copytree(tiny_models["gpt2"], place / "parts")
    in_parts(place / "parts")
    return place


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    shutil.copytree(sound / "gpt2", tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize(
    "count", [120, pytest.param(5000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])], ids=["few", "thousands"]
)
@pytest.mark.parametrize("what", ["header", "config", "index", "tokenizer"])
def test_mutations_end_in_one_sentence_or_a_reading(sound: Path, what: str, count: int) -> None:
    command = [sys.executable, str(DAMAGE), str(sound), what, str(count), "1"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["opened"] + found["refused"] == count and found["refused"] > count / 5


# ---- weights ----


def written(folder: Path, header: bytes | dict[str, Any], data: bytes = b"", length: int | None = None) -> Path:
    path = folder / "model.safetensors"
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def tensor(first: int = 0, last: int = 16, shape: Any = (4,), dtype: Any = "F32", **more: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last], **more}


TWICE = b'{"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}, "a": {}}'
MANY = {str(number): tensor(0, 0, (0,)) for number in range(100_001)}
LIES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "damaged or cut short"),
    "seven-bytes": (lambda f: (f / "model.safetensors").write_bytes(b"1234567"), "damaged or cut short"),
    "long-header": (lambda f: written(f, {}, length=2**63), "claims 9,223,372,036,854,775,808 bytes"),
    "larger-header": (lambda f: written(f, b" " * ((16 << 20) + 1)), "of at most 16,777,216"),
    "no-json": (lambda f: written(f, b"{"), "cannot be read"),
    "not-utf8": (lambda f: written(f, b"\xff\xfe"), "cannot be read"),
    "a-list": (lambda f: written(f, b"[]"), "no JSON object"),
    "deep": (lambda f: written(f, b"[" * 1_000_000), "nests too deeply"),
    "many-lists": (lambda f: written(f, b"[" + b"[]," * 5_000_000 + b"0]"), "more than 1,600,000 values"),
    "many-digits": (lambda f: written(f, b'{"a": ' + b"9" * 100_000 + b"}"), "cannot be read"),
    "twice": (lambda f: written(f, TWICE), "'a' is there twice"),
    "many-tensors": (lambda f: written(f, MANY), "lists 100,001 tensors"),
    "metadata": (lambda f: written(f, {"__metadata__": {"a": 1}}), "not an object of texts"),
    "no-object": (lambda f: written(f, {"a": 3}), "not described"),
    "more-keys": (lambda f: written(f, {"a": tensor(other=1)}, bytes(16)), "not described"),
    "dtype": (lambda f: written(f, {"a": tensor(dtype="F8_E4M3")}, bytes(16)), "'F8_E4M3', which is not read"),
    "dtype-list": (lambda f: written(f, {"a": tensor(dtype=["F32"])}, bytes(16)), "which is not read"),
    "negative": (lambda f: written(f, {"a": tensor(shape=(-4,))}, bytes(16)), "no shape"),
    "float": (lambda f: written(f, {"a": tensor(shape=(4.0,))}, bytes(16)), "no shape"),
    "truth": (lambda f: written(f, {"a": tensor(shape=(True,))}, bytes(16)), "no shape"),
    "dimensions": (lambda f: written(f, {"a": tensor(shape=[1] * 9)}, bytes(16)), "at most 8 sizes"),
    "2^40": (lambda f: written(f, {"a": tensor(shape=(2**40, 2**40))}, bytes(16)), "lies at bytes 0 to 16"),
    "2^80-bytes": (lambda f: written(f, {"a": tensor(0, 2**82, (2**40, 2**40))}, bytes(16)), "not two offsets"),
    "beyond": (lambda f: written(f, {"a": tensor(0, 64, (16,))}, bytes(16)), "its tensors have 64 bytes"),
    "overlap": (lambda f: written(f, {"a": tensor(), "b": tensor(8, 24)}, bytes(24)), "'b' begins at byte 8"),
    "gap": (lambda f: written(f, {"a": tensor(), "b": tensor(24, 40)}, bytes(40)), "'b' begins at byte 24"),
    "rest": (lambda f: written(f, {"a": tensor()}, bytes(20)), "the file has 20 for them"),
    "backwards": (lambda f: written(f, {"a": tensor(16, 0)}, bytes(16)), "lies at bytes 16 to 0"),
    "name": (lambda f: written(f, {"a\nb": tensor()}, bytes(16)), "cannot be printed"),
    "nothing": (lambda f: written(f, {}), "2 layers, and the weights are 0 tensors"),
    "folder": (lambda f: ((f / "model.safetensors").unlink(), (f / "model.safetensors").mkdir()), "cannot be read"),
    "lfs": (lambda f: (f / "model.safetensors").write_text("version https://git-lfs"), "download is unfinished"),
}  # fmt: skip


@pytest.mark.parametrize("case", LIES)
def test_weights_that_lie(folder: Path, case: str) -> None:
    damage, message = LIES[case]
    damage(folder)
    begun = time.process_time()
    with pytest.raises(DataError, match=message) as error:
        load(folder)
    assert time.process_time() - begun < 1
    assert str(folder) in str(error.value) and "\n" not in str(error.value) and error.value.exit_code == 3


def test_a_header_that_is_true_is_read(folder: Path) -> None:
    tensors = {"b": tensor(4, 8, (), "F32"), "a": tensor(0, 4, (2,), "F16"), "c": tensor(8, 8, (0, 9))}
    path = written(folder, tensors, bytes(8))
    assert {name: stored.shape for name, stored in read_header(path).items()} == {"a": (2,), "b": (), "c": (0, 9)}


def test_weights_must_be_floating_point_numbers(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["transformer.ln_f.bias"] = tensors["transformer.ln_f.bias"].long()
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(DataError, match="keeps transformer.ln_f.bias as I64"):
        load(folder)


def test_two_names_of_one_tensor(folder: Path, sound: Path) -> None:
    tensors = load_file(sound / "bert" / "model.safetensors")
    tensors["bert.embeddings.LayerNorm.gamma"] = tensors["bert.embeddings.LayerNorm.weight"].clone()
    save_file(tensors, folder / "model.safetensors")
    shutil.copy(sound / "bert" / "config.json", folder)
    with pytest.raises(DataError, match="two names of one tensor"):
        load(folder)


def test_an_index_says_what_its_files_hold(sound: Path, tmp_path: Path) -> None:
    def broken(change: Callable[[dict[str, str]], object]) -> Path:
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        shutil.copytree(sound / "parts", place)
        index = json.loads((place / "model.safetensors.index.json").read_text())
        change(index["weight_map"])
        (place / "model.safetensors.index.json").write_text(json.dumps(index))
        return place

    name = "transformer.wte.weight"
    for change, message in (
        (lambda placed: placed.update({name: "model-9.safetensors"}), "not a file in that folder"),
        (lambda placed: placed.update({name: "a\\b"}), "not a file in that folder"),
        (lambda placed: placed.update({name: "."}), "not a file in that folder"),
        (lambda placed: placed.update(other="model-0.safetensors"), "model-0.safetensors holds 'other', which it does"),
        (lambda placed: placed.clear(), "no weight_map"),
    ):
        with pytest.raises(DataError, match=message):
            load(broken(change))
    place = broken(lambda placed: None)
    shutil.copy(place / "model-0.safetensors", place / "model-1.safetensors")
    with pytest.raises(DataError, match="both hold"):
        load(place)


def test_more_than_the_machine_has_is_refused_before_it_is_taken(tmp_path: Path) -> None:
    check_memory(1 << 30, "cpu", torch.bfloat16, tmp_path, present=4 << 30)
    check_memory(1 << 30, "cuda", torch.float32, tmp_path, present=1 << 30)
    with pytest.raises(RefusedError, match=r"take 8\.6 GB of memory and this machine has 4\.3 GB: choose") as error:
        check_memory(1 << 31, "cpu", None, tmp_path, present=4 << 30)
    assert error.value.exit_code == 4


# ---- config.json ----

BOMBS = (0, -1, 1, 2**31, 2**63, 1e308, float("nan"), float("inf"), "8", [], None, True)


def edit(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5", "llama", "lstm", "elmo"])
def test_every_number_of_a_config_has_its_type_and_range(name: str, sound: Path, tmp_path: Path) -> None:
    """Twelve values in the place of each number: an error that names the file, or a model; at once, in 50 MB."""
    folder = tmp_path / name
    shutil.copytree(sound / name, folder)
    (folder / "tokenizer.json").unlink()  # which has nothing to do with it, and takes time
    whole = json.loads((folder / "config.json").read_text())
    inspect_folder(folder)
    table = whole.get("trivium", whole)
    numbers = [key for key, value in table.items() if isinstance(value, int | float) and not isinstance(value, bool)]
    assert len(numbers) >= 6
    tracemalloc.start()
    try:
        for key in numbers:
            for value in BOMBS:
                changed = {**table, key: value}
                edit(folder, **({"trivium": changed} if table is not whole else changed))
                begun = time.process_time()
                tracemalloc.reset_peak()
                try:
                    inspect_folder(folder)
                except TriviumError as error:
                    assert str(folder) in str(error) and str(error).isprintable(), (key, value, error)
                assert time.process_time() - begun < 0.5, (key, value)
                assert tracemalloc.get_traced_memory()[1] < 50 << 20, (key, value)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_embd": 0}, "n_embd is 0: it must be at least 1"),
        ({"n_embd": 2**31}, "n_embd is 2147483648: it must be at most"),
        ({"n_embd": 2**63}, "n_embd = 9223372036854775808, which must be a whole number"),
        ({"n_embd": "8"}, "n_embd = '8', which must be a whole number"),
        ({"n_embd": True}, "n_embd = True, which must be a whole number"),
        ({"n_embd": None}, "n_embd = None"),
        ({"n_embd": []}, r"n_embd = \[\]"),
        ({"n_head": 3}, "n_head = 3 does not divide n_embd = 32"),
        ({"n_layer": 10**9}, "n_layer .* is 1000000000|must be at most 4096"),
        ({"n_layer": 4096}, "4,096 layers, and the weights are"),
        ({"layer_norm_epsilon": float("nan")}, "layer_norm_epsilon = nan, which must be a finite number"),
        ({"layer_norm_epsilon": -1}, "layer_norm_epsilon is -1"),
        ({"n_inner": [1]}, "n_inner"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings = 'yes', which must be true or false"),
        ({"model_type": "gtp2"}, "model_type 'gtp2', .* nearest that it does is 'gpt2'"),
        ({"model_type": ["gpt2"]}, "which Trivium does not read"),
        ({"model_type": None}, "which Trivium does not read"),
        ({"model_type": "x" * 100_000}, "characters"),
    ],
)
def test_what_a_config_cannot_be_is_said_in_its_own_words(folder: Path, changes: dict, message: str) -> None:
    edit(folder, **changes)
    with pytest.raises(DataError, match=message) as error:
        inspect_folder(folder)
    assert str(folder / "config.json") in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize(
    "text",
    ["", "{", "\xff", "[]", "[" * 1_000_000, '{"a": ' + "9" * 100_000 + "}", '{"n_embd": 1, "n_embd": 2}',
     " " * (3 << 20), "{" + ",".join(f'"{n}": {n}' for n in range(1_000_000)) + "}"],
    ids=["empty", "cut", "latin1", "list", "deep", "digits", "twice", "long", "keys"],
)  # fmt: skip
def test_a_config_that_is_no_json_of_a_model(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text, encoding="latin1")
    begun = time.process_time()
    with pytest.raises(DataError, match="config.json"):
        load(folder)
    assert time.process_time() - begun < 0.5


def test_labels_are_not_counted_without_end(sound: Path, folder: Path) -> None:
    edit(folder, architectures=["GPT2ForSequenceClassification"], num_labels=10**9, id2label=None)
    with pytest.raises(DataError, match="classifier of 1000000000 labels"):
        load(folder)


def test_a_tokenizer_of_another_size(sound: Path, folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    size = len(tokenizer["model"]["vocab"])
    tokenizer["model"]["vocab"]["another"] = size
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(DataError, match=f"{size + 1} tokens and the model {size}: they do not belong together"):
        load(folder)


# ---- code in disguise ----


class Canary:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return open, (str(self.path), "w")


def zipped(canary: Canary, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(canary))


def disguised(folder: Path, canary: Path, name: str, protocol: int | None) -> None:
    (folder / "model.safetensors").unlink()
    if protocol is None:
        zipped(Canary(canary), folder / name)
    else:
        (folder / name).write_bytes(pickle.dumps(Canary(canary), protocol))


REFUSED: dict[str, Callable[[Path, Path], None]] = {
    f"{name}, {'zip' if protocol is None else f'protocol {protocol}'}": (
        lambda folder, canary, name=name, protocol=protocol: disguised(folder, canary, name, protocol)
    )
    for name in ("pytorch_model.bin", "model.pt", "model.ckpt", "weights.pkl", "model.safetensors")
    for protocol in (None, 0, 2, 5)
}


@pytest.mark.parametrize("case", REFUSED)
def test_pickled_weights_are_refused_by_any_name(folder: Path, tmp_path: Path, case: str) -> None:
    canary = tmp_path / "canary"
    REFUSED[case](folder, canary)
    with pytest.raises(DataError, match="pickled|damaged") as error:
        load(folder)
    assert not canary.exists() and "model.safetensors" in str(error.value)


def test_code_beside_a_model_is_never_run(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes and code that a folder offers (auto_map, a tokenizer class, Python files, pickles) are left alone."""
    canary = tmp_path / "canary"
    code = f"open({str(canary)!r}, 'w')\nclass Model: pass\n"
    for name in ("modeling_evil.py", "sitecustomize.py", "conftest.py", "tokenization_evil.py", "__init__.py"):
        (folder / name).write_text(code)
    evil = "modeling_evil.Model"
    mapped = {"AutoModel": evil, "AutoConfig": evil, "AutoTokenizer": [evil, None]}
    edit(folder, auto_map=mapped, _attn_implementation="modeling_evil", custom_pipelines={"x": {"impl": evil}})
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": mapped, "tokenizer_class": evil}))
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "http://127.0.0.1:9/evil"}))
    for name in ("training_args.bin", "optimizer.pt", "rng_state.pth", "trainer.pkl", ".metadata"):
        (folder / name).write_bytes(pickle.dumps(Canary(canary)))
    monkeypatch.chdir(folder)
    assert load(folder).model is not None and load(".").model is not None
    assert not canary.exists() and "modeling_evil" not in sys.modules


# ---- the command line ----

FAST = """
import sys
from trivium.cli.run import run
code = run(["generate", "--model", sys.argv[1], "--prompt", "a"])
print(code, "torch" in sys.modules)
"""


def test_a_damaged_model_is_refused_before_torch_is_imported(sound: Path, tmp_path: Path) -> None:
    def ended(path: Path) -> tuple[str, str]:
        done = subprocess.run([sys.executable, "-c", FAST, str(path)], capture_output=True, text=True, check=True)
        return done.stdout.strip(), done.stderr

    def cut(folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:-9])

    ways: dict[str, tuple[Callable[[Path], object], str]] = {
        "header": (cut, "damaged or cut short"),
        "config": (lambda folder: edit(folder, n_head=5), "does not divide"),
        "absent": (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
        "tokenizer": (lambda folder: (folder / "tokenizer.json").write_text("{}"), "cannot be used as a tokenizer"),
    }
    for name, (damage, message) in ways.items():
        shutil.copytree(sound / "gpt2", tmp_path / name)
        damage(tmp_path / name)
        code, said = ended(tmp_path / name)
        assert code == "3 False" and said.startswith("error: ") and message in said and said.count("\n") == 1
    (tmp_path / "a.gguf").write_bytes(b"GGUF" + bytes(99))
    code, said = ended(tmp_path / "a.gguf")
    assert code == "3 False" and "no usable GGUF file" in said


def test_every_family_is_sound_by_inspection_alone(tiny_models: dict[str, Path]) -> None:
    for name, folder in tiny_models.items():
        found = inspect_folder(folder)
        assert found.tokenizer is not None and found.config == load(folder).config
        assert found.family.hf_type == FAMILIES[name].hf_type


def test_a_header_as_long_as_a_pickle_begins_is_read(tmp_path: Path) -> None:
    """Lengths of 640, 896, 1152 and 1408 bytes are spelt like the first bytes of pickles of protocols 2 to 5."""
    for length in (640, 896, 1152, 1408):
        header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode().ljust(length)
        path = tmp_path / "model.safetensors"
        path.write_bytes(length.to_bytes(8, "little") + header + bytes(4))
        assert read_header(path)["a"].begin == 8 + length
