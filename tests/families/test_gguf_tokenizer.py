"""Vocabularies in GGUF files: ids equal to llama.cpp's own and to transformers' on thousands of lines, both ways."""

import json
import random
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
import transformers

from trivium.errors import DataError, SettingsError
from trivium.families.demo_models import find_model
from trivium.families.gguf import GgufFile, write_gguf
from trivium.families.gguf_tensors import write_model
from trivium.families.gguf_tokenizer import CUTS, SAME_CUT, chat_template, gguf_tokenizer
from trivium.families.gguf_vocabulary import vocabulary_out
from trivium.text import python_docs
from trivium.tokenizers import SpecialTokens, Tokenizer, train_bpe
from trivium.tokenizers.sentencepiece_file import read_model

V = 1500
SPECIALS = SpecialTokens("<pad>", "<|begin|>", "<|end|>", None, None, None, None, ())
SPELT = ["<|begin|>user\nhi<|end|>", "<|im_start|>x<|im_end|>", " <s> a </s>", "<think> b", "a<think>"]

# In a process of its own, for llama.cpp prints to the terminal and starts threads.
LLAMA_CPP = """
import http.client, json, os, sys
import xllamacpp

parameters = xllamacpp.CommonParams()
parameters.model.path, parameters.n_ctx, parameters.cpuparams.n_threads, parameters.port = sys.argv[1], 64, 1, 0
server = xllamacpp.Server(parameters)
line = http.client.HTTPConnection(server.listening_address.removeprefix("http://"))
found = []
for text in json.load(open(sys.argv[2])):
    asked = json.dumps({"content": text, "add_special": False, "parse_special": False})
    line.request("POST", "/tokenize", asked, {"Content-Type": "application/json"})
    found.append(json.loads(line.getresponse().read())["tokens"])
json.dump(found, open(sys.argv[3], "w"))
os._exit(0)
"""


def llama_cpp_ids(path: Path, texts: list[str], folder: Path) -> list[list[int]]:
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: pip install xllamacpp")
    asked, answered = folder / "asked.json", folder / "answered.json"
    asked.write_text(json.dumps(texts))
    command = [sys.executable, "-c", LLAMA_CPP, str(path), str(asked), str(answered)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found: list[list[int]] = json.loads(answered.read_text())
    return found


@cache
def corpus() -> tuple[str, ...]:
    found = python_docs.documents()
    return tuple(line for document in found for line in document.text.split("\n") if line.strip())


@cache
def lines(count: int) -> list[str]:
    """Two thirds English and code of the embedded corpus, a third characters of all scripts at random."""
    draw = random.Random(5)
    written = list(corpus())
    draw.shuffle(written)
    blocks = [(32, 127), (32, 127), (48, 58), (9, 14), (0xA0, 0x250), (0x300, 0x310), (0x370, 0x530), (0x5D0, 0x5EB),
              (0x621, 0x66A), (0x900, 0x940), (0x2000, 0x2030), (0x2150, 0x2190), (0x3041, 0x3100), (0x4E00, 0x5000),
              (0xAC00, 0xAD00), (0x1F300, 0x1F650)]  # fmt: skip
    mixed = [
        "".join(chr(draw.randrange(*draw.choice(blocks))) for _ in range(draw.randrange(1, 40)))
        for _ in range(count // 3)
    ]
    digits = [f"{draw.randrange(10 ** draw.randrange(1, 9))} in {draw.randrange(3000)}" for _ in range(count // 20)]
    return (written[: count - len(mixed) - len(digits) - len(SPELT)] + mixed + digits + SPELT)[:count]


COUNTS = pytest.mark.parametrize("count", [900, pytest.param(10_000, marks=pytest.mark.slow)])


def loaded(path: Path) -> Tokenizer:
    with GgufFile(path) as file:
        return gguf_tokenizer(file.header)


@pytest.fixture(scope="module")
def bpe() -> Tokenizer:
    return train_bpe([*lines(3000), *(str(n * 37) for n in range(2000))], V, SPECIALS)


@pytest.fixture(scope="module")
def tiny() -> transformers.LlamaForCausalLM:
    torch.manual_seed(0)
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=V, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
            num_key_value_heads=1, max_position_embeddings=64, tie_word_embeddings=True,
        )
    )  # fmt: skip


@pytest.fixture
def write(tiny: transformers.LlamaForCausalLM, tmp_path: Path) -> Callable[..., Path]:
    """A model with a vocabulary, so that every program opens it."""

    def written(tokenizer: Tokenizer, **changes: object) -> Path:
        path = tmp_path / "model.gguf"
        metadata = {"general.name": "tiny", **vocabulary_out(tokenizer), **changes}
        write_model(path, tiny.config.to_dict(), tiny.state_dict(), metadata, "F32")
        return path

    return written


@COUNTS
@pytest.mark.parametrize("cut", CUTS)
def test_every_way_of_cutting_gives_llama_cpps_ids(
    bpe: Tokenizer, write: Callable[..., Path], tmp_path: Path, cut: str, count: int
) -> None:
    path = write(bpe, **{"tokenizer.ggml.pre": cut})
    ours = loaded(path)
    texts = lines(count)
    if CUTS[cut].composed:  # the published tokenizer composes, llama.cpp leaves it to the caller
        texts = [unicodedata.normalize("NFC", text) for text in texts]
    assert ours.encode_batch(texts) == llama_cpp_ids(path, texts, tmp_path)
    changed = sum(a != b for a, b in zip(ours.encode_batch(texts), bpe.encode_batch(texts), strict=True))
    assert (changed > count / 100) == (cut != "gpt-2")  # the ways do differ on these lines


@pytest.mark.parametrize("cut", ["gpt-2", "llama-bpe", "qwen2", "llama3"])
def test_every_way_that_transformers_knows_gives_its_ids(bpe: Tokenizer, write: Callable[..., Path], cut: str) -> None:
    path = write(bpe, **{"tokenizer.ggml.pre": cut})
    theirs = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    ours = loaded(path)
    composed, whole = CUTS[SAME_CUT.get(cut, cut)].composed, CUTS[SAME_CUT.get(cut, cut)].whole_words
    texts = [unicodedata.normalize("NFC", text) if composed else text for text in lines(900) if "<|" not in text]
    theirs.backend_tokenizer.model.ignore_merges = whole  # which it leaves out
    assert ours.encode_batch(texts) == [theirs.encode(text, add_special_tokens=False) for text in texts]


def sentencepiece_model(folder: Path, **settings: Any) -> Path:
    (folder / "text.txt").write_text(
        "\n".join(text.replace("\n", " ") for text in lines(3000)[:2000]), encoding="utf-8"
    )
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text.txt"), model_prefix=str(folder / "sp"), vocab_size=V, model_type="bpe",
        byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False, minloglevel=9,
        character_coverage=0.98, num_threads=1, user_defined_symbols=["<think>"], **settings,
    )  # fmt: skip
    return folder / "sp.model"


@COUNTS
@pytest.mark.parametrize("prefix", [True, False])
def test_sentencepiece_gives_llama_cpps_ids(
    write: Callable[..., Path], tmp_path: Path, prefix: bool, count: int
) -> None:
    base = read_model(sentencepiece_model(tmp_path, add_dummy_prefix=prefix))
    path = write(base)
    ours, texts = loaded(path), lines(count)
    assert ours.encode_batch(texts) == base.encode_batch(texts)
    # Before a user-defined piece at the beginning sentencepiece has the leading space, llama.cpp has it behind.
    texts = [text for text in texts if not text.startswith("<think>")]
    assert ours.encode_batch(texts) == llama_cpp_ids(path, texts, tmp_path)
    assert ours.decode(ours.encode("Two  spaces, 私 é").ids) == "Two  spaces, 私 é"


@COUNTS
def test_smollm2s_ids_are_llama_cpps(tmp_path: Path, count: int) -> None:
    try:
        path = find_model("smollm2-135m")
    except DataError as problem:
        pytest.skip(str(problem))
    ours, texts = loaded(path), lines(count)
    assert ours.encode_batch(texts) == llama_cpp_ids(path, texts, tmp_path)
    assert (ours.vocab_size, ours.begin, ours.end, ours.pad, len(ours.controls)) == (49152, 1, 2, 2, 17)
    assert ours.layout().before == () and ours.encode_marked("<|im_end|>") == [2]
    with GgufFile(path) as file:
        assert "<|im_start|>" in (chat_template(file.header) or "")


def test_a_vocabulary_comes_back(bpe: Tokenizer, write: Callable[..., Path]) -> None:
    path = write(bpe, **{"tokenizer.chat_template": "{{ messages }}"})
    ours = loaded(path)
    assert vocabulary_out(ours, "x").keys() == vocabulary_out(bpe, "x").keys()
    for key, value in vocabulary_out(bpe).items():
        assert np.array_equal(vocabulary_out(ours)[key], value), key  # type: ignore[arg-type]
    assert ours.specials == SPECIALS and ours.controls == bpe.controls
    with GgufFile(path) as file:
        assert chat_template(file.header) == "{{ messages }}"


def test_no_text_yields_a_control_token(bpe: Tokenizer, write: Callable[..., Path]) -> None:
    ours = loaded(write(bpe, **{"tokenizer.ggml.pre": "llama-bpe"}))  # which takes whole words from the vocabulary
    for text in (*SPELT, *SPECIALS.strings()):
        assert not ours.controls & set(ours.encode(text).ids)


@pytest.mark.parametrize(
    ("changes", "before", "after"),
    [
        ({}, (), ()),
        ({"tokenizer.ggml.add_bos_token": True}, (1,), ()),
        ({"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.add_eos_token": True}, (1,), (2,)),
    ],
)
def test_what_stands_around_a_text_is_in_the_file(
    bpe: Tokenizer, write: Callable[..., Path], changes: dict, before: tuple, after: tuple
) -> None:
    ours = loaded(write(bpe, **changes))
    assert (ours.layout().before, ours.layout().after) == (before, after)
    assert ours.encode("a", specials=True).ids == [*before, *ours.encode("a").ids, *after]
    said = vocabulary_out(ours)
    assert said["tokenizer.ggml.add_bos_token"] is bool(before) and said["tokenizer.ggml.add_eos_token"] is bool(after)


@pytest.mark.parametrize("pre", ["default", "gpt-2", "llama-bpe"])
def test_a_silent_file_begins_texts_as_llama_cpp_does(bpe: Tokenizer, tmp_path: Path, pre: str) -> None:
    metadata = {k: v for k, v in vocabulary_out(bpe).items() if not k.endswith(("add_bos_token", "add_eos_token"))}
    write_gguf(tmp_path / "a.gguf", {**metadata, "tokenizer.ggml.pre": pre}, [])
    assert loaded(tmp_path / "a.gguf").layout().before == ((1,) if pre == "llama-bpe" else ())


SMALL: dict[str, object] = {
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "gpt-2",
    "tokenizer.ggml.tokens": ["a", "b", "ab", "<x>"],
    "tokenizer.ggml.token_type": np.array([1, 1, 1, 3], np.int32),
    "tokenizer.ggml.merges": ["a b"],
    "tokenizer.ggml.eos_token_id": 3,
}
PIECES: dict[str, object] = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": ["<unk>", "a", "b"],
    "tokenizer.ggml.scores": np.array([0, -1, -2], np.float32),
    "tokenizer.ggml.token_type": np.array([2, 1, 1], np.int32),
}
FAULTS: dict[str, tuple[dict[str, object], dict[str, object], str]] = {
    "none": ({}, {}, "holds no vocabulary"),
    "kind": (SMALL, {"model": "rwkv"}, "its kind is 'rwkv'"),
    "pre": (SMALL, {"pre": "viking"}, "'viking'.*known are .*smollm"),
    "tokens": (SMALL, {"tokens": "abc"}, "tokens is not a list"),
    "tokens-numbers": (SMALL, {"tokens": [1, 2]}, "tokens is not a list"),
    "twice": (SMALL, {"tokens": ["a", "b", "a", "<x>"]}, "'a' is there twice"),
    "merge-shape": (SMALL, {"merges": ["ab"]}, "merge 0, 'ab'"),
    "merge-unknown": (SMALL, {"merges": ["b a"]}, "needs the piece 'ba'"),
    "no-merges": (SMALL, {"merges": 3}, "merges is not a list"),
    "types": (SMALL, {"token_type": np.array([1, 1], np.int32)}, "no number for each of the 4"),
    "role": (SMALL, {"eos_token_id": 4}, "eos_token_id is 4"),
    "role-text": (SMALL, {"bos_token_id": "a"}, "bos_token_id is a"),
    "flag": (SMALL, {"add_bos_token": 1}, "neither true nor false"),
    "scores": (PIECES, {"scores": np.array([0, np.nan, 1], np.float32)}, "score nan"),
    "scores-short": (PIECES, {"scores": np.array([0], np.float32)}, "no number for each of the 3"),
    "unknown": (PIECES, {"token_type": np.array([1, 1, 1], np.int32)}, "0 unknown pieces"),
    "types-unknown": (PIECES, {"token_type": np.array([2, 1, 99], np.int32)}, "known are 1 to 6"),
    "bytes": (PIECES, {"token_type": np.array([2, 1, 6], np.int32)}, "byte pieces"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_vocabulary_that_cannot_be_is_one_sentence(tmp_path: Path, fault: str) -> None:
    base, changes, words = FAULTS[fault]
    write_gguf(tmp_path / "a.gguf", {**base, **{f"tokenizer.ggml.{key}": value for key, value in changes.items()}}, [])
    with pytest.raises(DataError, match=words) as error:
        loaded(tmp_path / "a.gguf")
    assert str(tmp_path / "a.gguf") in str(error.value) and "\n" not in str(error.value)


def test_the_sound_ones_of_the_same_make_are_read(tmp_path: Path) -> None:
    for base, ids in ((SMALL, [2, 0]), (PIECES, [0, 1, 2, 1])):
        write_gguf(tmp_path / "a.gguf", base, [])
        assert loaded(tmp_path / "a.gguf").encode("aba").ids == ids


def test_tokenizers_that_gguf_has_no_name_for_are_refused(bpe: Tokenizer) -> None:
    document = json.loads(bpe.whole.to_str())
    odd = {"type": "Split", "pattern": {"Regex": "[0-9]"}, "behavior": "Isolated", "invert": False}
    for change, words in (
        (
            {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [odd, document["pre_tokenizer"]]}},
            "it has for default",
        ),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "cuts words .Whitespace."),
        ({"normalizer": {"type": "Lowercase"}}, "normaliser .Lowercase."),
    ):
        with pytest.raises(SettingsError, match=words):
            vocabulary_out(Tokenizer({**document, **change}, SPECIALS))
    with pytest.raises(SettingsError, match="other tokens around texts"):
        brackets = SpecialTokens("<pad>", "<|begin|>", "<|end|>", None, None, "<|end|>", "<|end|>", ())
        vocabulary_out(Tokenizer(document, brackets).with_layout("classify"))
