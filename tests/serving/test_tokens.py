import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from trivium.verbs.load import load

sys.path.insert(0, str(Path(__file__).parent))
from task_server import ask, refused, served, serving

TEXT = "The quick fox jumps over naïve 🦊 dogs, [MASK] and <s>."


@pytest.fixture(scope="module")
def server(tiny_models):
    with serving(*(served(name, load(tiny_models[name])) for name in ("bert", "gpt2", "t5"))) as address:
        yield address


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
@pytest.mark.parametrize("specials", [True, False])
def test_ids_are_those_of_transformers(server, tiny_models, name, specials):
    theirs = AutoTokenizer.from_pretrained(tiny_models[name])
    plain = "The quick fox jumps over naïve 🦊 dogs."
    status, found = ask(server, "/tokenize", {"model": name, "text": plain, "specials": specials})
    assert status == 200 and found["count"] == len(found["tokens"]) and found["model"] == name
    assert [each["id"] for each in found["tokens"]] == theirs(plain, add_special_tokens=specials)["input_ids"]
    assert any(each["control"] for each in found["tokens"]) == (specials and name != "gpt2")


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
def test_tokens_cover_their_text_and_lead_back_to_it(server, name):
    tokens = ask(server, "/tokenize", {"model": name, "text": TEXT})[1]["tokens"]
    for each in tokens:
        assert each["control"] == (each["kind"] == "control") == (each["of"] == -1)
        if not each["control"]:
            assert each["text"] == TEXT[each["start"] : each["end"]]
    assert {place for t in tokens for place in range(t["start"], t["end"])} == set(range(len(TEXT)))
    assert {"byte", "piece"} <= {each["kind"] for each in tokens}
    words = {}
    for each in tokens:
        words.setdefault(each["word"], set()).update(range(each["start"], each["end"]))
    assert all(not words[a] & words[b] for a in words for b in words if a != b and min(a, b) >= 0)
    found = ask(server, "/detokenize", {"model": name, "ids": [each["id"] for each in tokens]})[1]
    assert found == {"model": name, "text": TEXT}


def test_a_control_token_s_name_in_a_text_is_text(server):
    tokens = ask(server, "/tokenize", {"model": "bert", "text": "[MASK]<mask></s>", "specials": False})[1]["tokens"]
    assert len(tokens) > 3 and not any(each["control"] for each in tokens)


def test_pairs(server, tiny_models):
    body = {"model": "bert", "text": "the dog", "pair": "a fox"}
    tokens = ask(server, "/tokenize", body)[1]["tokens"]
    theirs = AutoTokenizer.from_pretrained(tiny_models["bert"])("the dog", "a fox")
    assert [each["id"] for each in tokens] == theirs["input_ids"]
    for number, text in enumerate(("the dog", "a fox")):
        assert "".join(each["text"] for each in tokens if each["of"] == number) == text


def test_control_tokens_are_written_where_they_are_wanted(server, tiny_models):
    tokenizer = load(tiny_models["bert"]).tokenizer
    ids = tokenizer.encode("the dog", specials=True).ids
    assert ask(server, "/detokenize", {"model": "bert", "ids": ids})[1]["text"] == "the dog"
    whole = ask(server, "/detokenize", {"model": "bert", "ids": ids, "specials": True})[1]["text"]
    assert whole.startswith(tokenizer.piece(ids[0])) and whole.endswith(tokenizer.piece(ids[-1]))
    assert ask(server, "/detokenize", {"ids": []})[1]["text"] == ""


@settings(max_examples=40)
@given(st.text(max_size=60))
def test_any_text_comes_back(server, text):
    text = text.encode("utf-8", "ignore").decode()
    for name in ("gpt2", "t5"):
        status, found = ask(server, "/tokenize", {"model": name, "text": text})
        assert status == 200
        ids = [each["id"] for each in found["tokens"]]
        assert ask(server, "/detokenize", {"model": name, "ids": ids})[1]["text"] == text


@pytest.mark.parametrize(
    ("path", "body", "says", "param"),
    [
        ("/tokenize", {"text": 5}, "valid string", "text"),
        ("/tokenize", {}, "text is missing: give it", "text"),
        ("/tokenize", {"text": "a", "add_special_tokens": True}, "not supported", "add_special_tokens"),
        ("/tokenize", {"text": "a", "specials": 1}, "valid boolean", "specials"),
        ("/tokenize", {"text": "a" * 65_537}, "65,537 characters, and at most 65,536", "text"),
        ("/tokenize", {"text": "a", "pair": "a" * 65_536}, "65,537 characters", "text"),
        ("/detokenize", {"ids": [10**6]}, "holds the token 1000000, and bert has", "ids"),
        ("/detokenize", {"ids": [-1]}, "greater than or equal to 0", "ids.0"),
        ("/detokenize", {"ids": [1.5]}, "valid integer", "ids.0"),
        ("/detokenize", {"ids": "12"}, "valid list", "ids"),
        ("/detokenize", {"ids": [10**10]}, "less than", "ids.0"),
        ("/detokenize", {"ids": [5] * 70_000, "model": "bert"}, "70,000 tokens, and at most 65,536", "ids"),
    ],
)  # fmt: skip
def test_what_is_refused(server, path, body, says, param):
    message, field = refused(server, path, body)
    assert says in message and field == param
