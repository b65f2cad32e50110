"""Damaged or hostile ``tokenizer.json``: each is one sentence, none reaches the user as a panic or a crash."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from trivium.errors import DataError
from trivium.tokenizers import Tokenizer
from trivium.tokenizers import validation as validation_module
from trivium.tokenizers.validation import guarded


@pytest.fixture
def document(trained):
    return json.loads(trained.whole.to_str())


def load(document, folder):
    (folder / "tokenizer.json").write_text(document if isinstance(document, str) else json.dumps(document))
    return Tokenizer.load(folder)


def unigram(**changes):
    return {"type": "Unigram", "vocab": [["<unk>", 0.0], ["a", -1.0]], "unk_id": 0} | changes


CHANGES = {
    "has no model": lambda d: d.pop("model"),
    "its model is 'Magic', known are BPE": lambda d: d["model"].update(type="Magic"),
    "vocabulary is not an object": lambda d: d["model"].update(vocab=[]),
    "not a whole number": lambda d: d["model"]["vocab"].update(new=-1),
    "not a whole number from 0 to 1,000,000": lambda d: d["model"]["vocab"].update(new=2**40),
    "one id to two pieces": lambda d: d["model"]["vocab"].update(new=50),
    "merges are not a list": lambda d: d["model"].update(merges={}),
    "merge 0 .* is not a pair": lambda d: d["model"]["merges"].insert(0, ["a"]),
    "needs the piece 'zzzz'": lambda d: d["model"]["merges"].append(["zz", "zz"]) or d["model"]["vocab"].update(zz=400),
    "unknown token is .*, not a string": lambda d: d["model"].update(unk_token=["<unk>"]),
    "is 7, not a string": lambda d: d["model"].update(continuing_subword_prefix=7),
    "does not begin with '##'": lambda d: d["model"].update(continuing_subword_prefix="##"),
    "added tokens are not a list": lambda d: d.update(added_tokens={"a": 1}),
    "added token has no content": lambda d: d["added_tokens"].append({"id": 1, "content": ""}),
    "has the id '5'": lambda d: d["added_tokens"].append({"id": "5", "content": "x"}),
    "expression of 30000 characters": lambda d: d.update(
        pre_tokenizer={"type": "Split", "pattern": {"Regex": "(a|b)*" * 5000}, "behavior": "Isolated", "invert": False}
    ),
    "not a piece with a finite score": lambda d: d.update(model=unigram(vocab=[["a", float("inf")]])),
    "unk_id 7 is not in its vocabulary of 2": lambda d: d.update(model=unigram(unk_id=7)),
    "not a list of 1 to": lambda d: d.update(model=unigram(vocab={})),
    "unknown token 'nope' is not in": lambda d: d.update(
        model={"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "nope"}
    ),
    # Beyond what is checked here, and refused by the library's own reading of the file:
    "cannot be used as a tokenizer": lambda d: d.update(
        normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}
    ),
    "tokenizer.json cannot be used": lambda d: d.update(pre_tokenizer={"type": "Nothing"}),
}  # fmt: skip


@pytest.mark.parametrize("message", CHANGES)
def test_what_is_wrong_is_said(document, tmp_path, message):
    CHANGES[message](document)
    with pytest.raises(DataError, match=message) as caught:
        load(document, tmp_path)
    assert "tokenizer.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 200_000, '{"model": 1}', "\x00", '{"a": "\\ud800'])
def test_files_that_are_no_json_object(tmp_path, text):
    with pytest.raises(DataError, match=r"tokenizer\.json"):
        load(text, tmp_path)


def test_missing_and_oversized_files(tmp_path, monkeypatch, document):
    with pytest.raises(DataError, match="does not exist: name a folder that a tokenizer was saved to"):
        Tokenizer.load(tmp_path)
    monkeypatch.setattr(validation_module, "LARGEST_FILE", 1000)
    with pytest.raises(DataError, match="a tokenizer file has at most 1000"):
        load(document, tmp_path)


def test_a_damaged_config_beside_it_is_named(document, tmp_path):
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(DataError, match="tokenizer_config.json is not valid JSON"):
        load(document, tmp_path)


def test_padding_truncation_and_dropout_of_a_foreign_file_are_left_behind(document, tmp_path, trained):
    document["truncation"] = {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    document["padding"] = {
        "strategy": {"Fixed": 10**15}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0,
        "pad_token": "<pad>",
    }  # fmt: skip
    document["model"]["dropout"] = 0.9
    loaded = load(document, tmp_path)
    assert loaded.encode("The model reads").ids == trained.encode("The model reads").ids
    assert loaded.fingerprint == trained.fingerprint


def test_files_that_do_not_name_their_algorithm(document, tmp_path, trained):
    """As GPT-2's and BERT's own files of 2020."""
    del document["model"]["type"]
    assert load(document, tmp_path).encode("the text").ids == trained.encode("the text").ids


class PanicException(BaseException):
    """Named as the Rust bridge names it; it derives from BaseException there too."""


def test_a_panic_is_an_error_of_the_data():
    with pytest.raises(DataError, match="this file: index out of bounds"), guarded("this file"):
        raise PanicException("index out of bounds: the len is 3\nnote: run with")
    with pytest.raises(KeyboardInterrupt), guarded("this file"):
        raise KeyboardInterrupt


BARE = {
    "version": "1.0",
    "added_tokens": [],
    "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "b"},
}


def replaces(pattern, content):
    return {"type": "Replace", "pattern": pattern, "content": content}


def sequence(*members):
    return {"normalizer": {"type": "Sequence", "normalizers": list(members)}}


BOMBS = {
    "characters of a short text": sequence(*[replaces({"String": "a"}, "a" * 1000)] * 4),
    "normaliser makes": sequence(*[replaces({"Regex": "[\u1234]"}, "\u1234" * 1000)] * 3),
    "holds a string of 1000000 characters": sequence({"type": "Prepend", "prepend": "x" * 1_000_000}),
    "holds a list of 1001 parts": sequence(*[{"type": "NFC"}] * 1001),
    "spells texts in bytes 30 times": {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [
        {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}] * 30}},
    "ids up to 900000": {"model": {"type": "WordLevel", "vocab": {"a": 0, "b": 900_000}, "unk_token": "a"}},
    "has 5000 characters": {"model": {"type": "WordLevel", "vocab": {"a": 0, "b" * 5000: 1}, "unk_token": "a"}},
    "holds a list of 2000 parts": {"post_processor": {"type": "TemplateProcessing", "special_tokens": {}, "pair": [],
        "single": [{"Sequence": {"id": "A", "type_id": 0}}] * 2000}},
    "cannot be used": {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(" * 5000 + ")" * 5000},
        "behavior": "Isolated", "invert": False}},
    "merges are not a list of at most": {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": "a a"}},
}  # fmt: skip


@pytest.mark.parametrize("message", BOMBS)
def test_what_would_fill_the_memory_or_never_end_is_refused(tmp_path, message):
    with pytest.raises(DataError, match=message) as caught:
        load({**BARE, **BOMBS[message]}, tmp_path)
    assert "\n" not in str(caught.value)


NORMAL = {
    "spaces": sequence(replaces({"Regex": " {2,}"}, " "), {"type": "Prepend", "prepend": "_"}),
    "signs": sequence(*[replaces({"String": chr(0x2150 + i)}, " 1/2") for i in range(40)]),
}  # fmt: skip


@pytest.mark.parametrize("name", NORMAL)
def test_what_tokenizers_in_use_have_is_opened(tmp_path, name):
    assert load({**BARE, **NORMAL[name]}, tmp_path).vocab_size == 2


def bpe(vocab, merges, **changes):
    return {"type": "BPE", "vocab": vocab, "merges": merges} | changes


SILENT = {
    "a byte that is missing": bpe({"a": 0}, [], byte_fallback=True),
    "doubled merges": bpe({"a": 0, "aa": 1}, [["a", "a"], ["a", "a"]]),
    "merges in a circle": bpe({"a": 0, "aa": 1, "aaa": 2}, [["aa", "a"], ["a", "aa"], ["a", "a"]]),
    "an empty piece": bpe({"a": 0, "": 1}, [["a", ""], ["", ""]]),
    "a prefix longer than pieces": bpe({"a": 0, "##": 1}, [], continuing_subword_prefix="####"),
    "unigram without bytes": unigram(byte_fallback=True),
    "unigram without unknown": unigram(unk_id=None),
}


@pytest.mark.parametrize("name", SILENT)
def test_odd_models_encode_or_are_refused(tmp_path, name):
    """Nothing is lost but what the file itself cannot say; no panic, no hang."""
    try:
        tokenizer = load({**BARE, "model": SILENT[name]}, tmp_path)
        for text in ("a" * 1000, "aab é", ""):
            assert set(tokenizer.encode(text).ids) <= set(range(tokenizer.vocab_size))
            tokenizer.encode_batch([text])
    except DataError as error:
        assert "\n" not in str(error)


def fuzz(count, seed):
    """Ten seconds for a thousand; a child, so that an abort of the library is seen and does not end the tests."""
    command = [sys.executable, str(Path(__file__).with_name("fuzz_files.py")), str(count), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + count / 5, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    assert found["opened"] + found["refused"] == count
    assert count / 20 < found["opened"] < count


def test_random_damage_never_gets_past_as_anything_but_a_data_error():
    fuzz(300, 0)


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", range(1, 5))
def test_twenty_thousand_damages(seed):
    fuzz(5000, seed)
