"""Damaged or hostile ``tokenizer.json``: each is one sentence, none reaches the user as a panic or a crash."""

import copy
import json
import random

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


def test_random_damage_never_gets_past_as_anything_but_a_data_error(document, tmp_path):
    """Values of the file replaced at random: it opens and works, or is refused in one sentence."""
    rng = random.Random(0)
    strange = [None, -1, 2**70, "", [], {}, "\u0000", 1e308, True, [[[]]], {"type": "BPE"}]
    refused = 0
    for _ in range(150):
        damaged = copy.deepcopy(document)
        node, chosen = damaged, rng.choice(list(damaged))
        while isinstance(node[chosen], dict | list) and node[chosen] and rng.random() < 0.8:
            node = node[chosen]
            chosen = rng.choice(list(node) if isinstance(node, dict) else range(len(node)))
        node[chosen] = rng.choice(strange)
        try:
            tokenizer = load(damaged, tmp_path)
            tokenizer.decode(tokenizer.encode("The <mask> text é", "b", specials=True).ids)
        except DataError:
            refused += 1
    assert 20 < refused < 150
