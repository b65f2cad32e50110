import re
import sys
import urllib.request
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from trivium.verbs.load import load

sys.path.insert(0, str(Path(__file__).parent))
from task_server import ask, refused, served, serving


@pytest.fixture(scope="module")
def server(tiny_models):
    names = ("bert", "t5")
    with serving(*(served(name, load(tiny_models[name]), "fill") for name in names)) as address:
        yield address


@pytest.mark.parametrize("blank", ["___", "<mask>", "[MASK]"])
def test_an_encoder_s_candidates_are_those_of_transformers(server, tiny_models, blank):
    tokenizer = AutoTokenizer.from_pretrained(tiny_models["bert"])
    inputs = tokenizer(f"The quick{tokenizer.mask_token} fox jumps{tokenizer.mask_token}.", return_tensors="pt")
    with torch.no_grad():
        logits = AutoModelForMaskedLM.from_pretrained(tiny_models["bert"])(**inputs).logits[0]
    places = (inputs["input_ids"][0] == tokenizer.mask_token_id).nonzero()[:, 0]
    wanted = logits[places].softmax(-1).topk(4)
    status, found = ask(server, "/fill", {"text": f"The quick {blank} fox jumps {blank}.", "top": 4})
    assert status == 200 and len(found["blanks"]) == 2
    for blank_found, values, ids in zip(found["blanks"], wanted.values, wanted.indices, strict=True):
        assert [each["ids"] for each in blank_found["candidates"]] == [[number] for number in ids.tolist()]
        probabilities = [each["probability"] for each in blank_found["candidates"]]
        assert probabilities == pytest.approx(values.tolist(), rel=1e-4)
        assert sum(probabilities) + blank_found["rest"] == pytest.approx(1, abs=1e-5)


def test_an_encoder_decoder_fills_as_the_library_does(server, tiny_models):
    text = "The quick ___ jumps over ___ dog."
    for size in (None, 2, [1, 3]):
        body = {"model": "t5", "text": text, "top": 3} | ({} if size is None else {"size": size})
        found = ask(server, "/fill", body)[1]
        wanted = load(tiny_models["t5"]).fill(text, 3, size)
        assert found["text"] == wanted.text
        for blank, theirs in zip(found["blanks"], wanted.blanks, strict=True):
            assert [each["ids"] for each in blank["candidates"]] == [list(each.tokens) for each in theirs.candidates]
            assert [each["text"] for each in blank["candidates"]] == [each.text for each in theirs.candidates]
            assert blank["rest"] == pytest.approx(theirs.other, rel=1e-4)
        if size is not None:
            sizes = [size] * 2 if isinstance(size, int) else size
            assert [len(blank["candidates"][0]["ids"]) for blank in found["blanks"]] == sizes


@pytest.mark.parametrize(
    ("body", "says", "param"),
    [
        ({"text": "no blank"}, "no blank to fill", None),
        ({"text": "a ___", "top": 0}, "greater than or equal to 1", "top"),
        ({"text": "a ___", "top": 21}, "at most 20 candidates", "top"),
        ({"text": "a ___", "size": 2}, "is an encoder, which fills a blank with one token", None),
        ({"text": "a ___", "size": 65}, "less than or equal to 64", "size.0"),
        ({"text": "a ___", "size": True}, "valid integer", "size.0"),
        ({"model": "t5", "text": "a ___", "size": [1, 2]}, "1 blanks and 2 sizes", None),
        ({"model": "t5", "text": "___ " * 200}, "200 blanks, and this tokenizer has", None),
        ({"text": "a ___ " * 300}, "this model's context is", None),
        ({"text": "___" + "a" * 65_536}, "65,539 characters", "text"),
    ],
)
def test_what_is_refused(server, body, says, param):
    message, field = refused(server, "/fill", body)
    assert says in message and field == param


def test_other_requests_go_on_between_two_blanks(server):
    """For each blank is a job of its own, and jobs of others come between two of them."""

    def jobs():
        with urllib.request.urlopen(f"{server}/metrics") as page:
            return float(re.search(r"^trivium_jobs_total (\S+)$", page.read().decode(), re.M)[1])

    before = jobs()
    assert ask(server, "/fill", {"model": "t5", "text": "a ___ " * 14, "size": 2, "top": 20})[0] == 200
    assert jobs() - before > 14
