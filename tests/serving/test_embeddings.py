import base64
import sys
from pathlib import Path

import numpy as np
import openai
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

import trivium
from trivium.verbs.load import load

sys.path.insert(0, str(Path(__file__).parent))
from task_server import ask, refused, served, serving

TEXTS = ["The fox jumps.", "A list of items in a container is a sequence.", "dog", "Every model reads tokens."]


@pytest.fixture(scope="module")
def server(tiny_models):
    names = ("bert", "gpt2", "t5")
    with serving(*(served(name, load(tiny_models[name]), "embed") for name in names)) as address:
        yield address


@pytest.fixture(scope="module")
def client(server):
    return openai.OpenAI(base_url=f"{server}/v1", api_key="none", max_retries=0)


@pytest.mark.parametrize("form", ["float", "base64", None])  # by itself the client asks for base64
def test_the_official_client_gets_what_transformers_computes(client, tiny_models, form):
    theirs = AutoModel.from_pretrained(tiny_models["bert"])
    tokenizer = AutoTokenizer.from_pretrained(tiny_models["bert"])
    wanted, counts = [], []
    for text in TEXTS:
        inputs = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            wanted.append(theirs(**inputs).last_hidden_state[0].mean(0).numpy())
        counts.append(inputs["input_ids"].shape[1])
    more = {} if form is None else {"encoding_format": form}
    found = client.embeddings.create(model="bert", input=TEXTS, **more)
    vectors = [each.embedding for each in found.data]
    if form == "base64":
        vectors = [np.frombuffer(base64.b64decode(each), "<f4") for each in vectors]
    np.testing.assert_allclose(np.array(vectors, np.float32), np.array(wanted), atol=2e-6)
    assert [each.index for each in found.data] == [0, 1, 2, 3] and found.object == "list"
    assert found.usage.prompt_tokens == found.usage.total_tokens == sum(counts) and found.model == "bert"


@pytest.mark.parametrize("name", ["bert", "gpt2", "t5"])
def test_tokens_are_read_as_their_texts_are(server, client, tiny_models, name):
    by_text = client.embeddings.create(model=name, input=TEXTS)
    listed = [ask(server, "/tokenize", {"model": name, "text": text, "specials": False})[1]["tokens"] for text in TEXTS]
    ids = [[token["id"] for token in tokens] for tokens in listed]
    by_token = client.embeddings.create(model=name, input=ids)
    assert [each.embedding for each in by_text.data] == [each.embedding for each in by_token.data]
    alone = client.embeddings.create(model=name, input=ids[1])
    np.testing.assert_allclose(alone.data[0].embedding, by_text.data[1].embedding, atol=2e-6)
    wanted = list(trivium.embed(tiny_models[name], TEXTS))
    np.testing.assert_allclose(by_text.data[2].embedding, wanted[2].vector, atol=2e-6)


def test_pooling_length_and_dimensions(server, tiny_models):
    model = load(tiny_models["bert"])
    for pooling in ("mean", "cls", "last"):
        body = {"input": TEXTS, "pooling": pooling, "normalize": True, "dimensions": 5}
        found = np.array([each["embedding"] for each in ask(server, "/v1/embeddings", body)[1]["data"]])
        whole = model.embed(TEXTS, pooling=pooling)[:, :5]
        np.testing.assert_allclose(found, whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=2e-6)
    body = {"input": TEXTS, "dimensions": 5}
    found = np.array([each["embedding"] for each in ask(server, "/v1/embeddings", body)[1]["data"]])
    np.testing.assert_allclose(found, model.embed(TEXTS)[:, :5], atol=2e-6)


def test_a_sentence_model_is_used_as_its_folder_says():
    from trivium.errors import TriviumError

    try:
        model = load("all-minilm-l6-v2")
    except TriviumError as absent:
        pytest.skip(str(absent))
    with serving(served("minilm", model, "embed")) as address:
        found = ask(address, "/v1/embeddings", {"input": TEXTS})[1]["data"]
    vectors = np.array([each["embedding"] for each in found])
    np.testing.assert_allclose(vectors, model.embed(TEXTS), atol=2e-6)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("body", "says", "param"),
    [
        ({"input": []}, "input is an empty list", "input"),
        ({"input": ""}, "input holds an empty text, number 1 of 1", "input"),
        ({"input": ["a", ""]}, "input holds an empty text, number 2 of 2", "input"),
        ({"input": ["a", 3]}, "must be a text, a list of texts, or lists of token ids", "input"),
        ({"input": ["a", [3]]}, "must be a text, a list of texts, or lists of token ids", "input"),
        ({"input": [[3], [True]]}, "must be a text, a list of texts, or lists of token ids", "input"),
        ({"input": {"text": "a"}}, "must be a text, a list of texts, or lists of token ids", "input"),
        ({"input": [[]]}, "number 1 of 1", "input"),
        ({}, "input is missing: give it", "input"),
        ({"input": [3, 10**6]}, "holds the token 1000000, and bert has", "input"),
        ({"input": [-1]}, "whole numbers", "input"),
        ({"input": "a", "dimensions": 10**6}, "ask for at most", "dimensions"),
        ({"input": "a", "dimensions": 0}, "greater than or equal to 1", "dimensions"),
        ({"input": "a", "encoding_format": "hex"}, "'float' or 'base64'", "encoding_format"),
        ({"input": "a", "truncate": True}, "truncate is not supported", "truncate"),
        ({"input": ["fox"] * 257}, "257 texts, and at most 256", "input"),
        ({"input": [[5]] * 257}, "257 texts, and at most 256", "input"),
        ({"input": "a" * (1 << 20) + "b"}, "1,048,577 characters", "input"),
        ({"input": ["fox " * 1000]}, "split it", "input"),
        ({"model": "gpt5", "input": "a"}, "no model 'gpt5'", "model"),
    ],
)
def test_what_is_refused(server, body, says, param):
    status, answer = ask(server, "/v1/embeddings", body)
    assert status == (404 if "model" in body else 400)
    assert says in answer["error"]["message"], answer
    assert answer["error"]["param"] == param


def test_a_text_that_is_too_long_is_an_error_that_clients_know(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="gpt2", input=["fox", "fox " * 2000])
    assert caught.value.code == "context_length_exceeded" and "input[1]" in caught.value.message


def test_weights_that_give_no_numbers_are_told(tiny_models):
    model = load(tiny_models["bert"])
    next(model.model.parameters()).fill_(float("nan"))
    with serving(served("bert", model, "embed")) as address:
        status, answer = ask(address, "/v1/embeddings", {"input": "a fox"})
    assert status == 500 and "not finite" in answer["error"]["message"]


def test_what_cannot_embed_says_so(tiny_models):
    with serving(served("gpt2", load(tiny_models["gpt2"]), "complete")) as address:
        assert "no model here can embed" in refused(address, "/v1/embeddings", {"input": "a"})[0]
        assert "does not embed" in refused(address, "/v1/embeddings", {"input": "a", "model": "gpt2"})[0]
