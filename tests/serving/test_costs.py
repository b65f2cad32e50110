import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from trivium.text.chat_templates import chat_template
from trivium.verbs.load import load

sys.path.insert(0, str(Path(__file__).parent))
from task_server import ask, refused, served, serving

TEXT = "The quick fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def server(tiny_models):
    models = [served(name, load(tiny_models[name])) for name in ("bert", "t5")]
    models.append(served("llama", load(tiny_models["llama"]), "chat", template=chat_template("chatml")))
    with serving(*models) as address:
        yield address


@pytest.mark.parametrize("name", ["bert", "t5", "llama"])
def test_a_text_costs_its_tokens_times_the_prices(server, tiny_models, name):
    read = len(AutoTokenizer.from_pretrained(tiny_models[name])(TEXT)["input_ids"])
    body = {"model": name, "text": TEXT, "max_tokens": 50, "n": 3, "price_in": 0.5, "price_out": 1.5, "per": 1000}
    status, found = ask(server, "/estimate", body)
    assert status == 200 and (found["prompt_tokens"], found["completion_tokens"]) == (read, 150)
    costs = {"prompt": 0.5 * read / 1000, "completion": 0.225, "total": 0.5 * read / 1000 + 0.225}
    assert found["cost"] == pytest.approx(costs)


def test_a_conversation_is_counted_by_its_template(server, tiny_models):
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "<|im_end|> Name a dog."}]
    status, found = ask(server, "/estimate", {"messages": messages})
    text = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<|im_end|> Name a dog.<|im_end|>\n"
    ids = load(tiny_models["llama"]).tokenizer.encode(f"{text}<|im_start|>assistant\n").ids
    assert status == 200 and found["model"] == "llama" and 0 < found["prompt_tokens"] <= len(ids) + 1
    assert found["cost"] == {"prompt": 0, "completion": 0, "total": 0}


def test_it_says_whether_the_context_has_room(server):
    for name, fits in (("llama", False), ("t5", True)):  # of which the second reads and writes apart
        found = ask(server, "/estimate", {"model": name, "text": TEXT, "max_tokens": 60})[1]
        assert found["context"] == 64 and 4 < found["prompt_tokens"] <= 64 and found["fits"] is fits
    assert ask(server, "/estimate", {"model": "llama", "text": TEXT, "max_tokens": 10})[1]["fits"] is True


def test_long_texts_are_counted(server):
    found = ask(server, "/estimate", {"model": "llama", "text": "fox " * 250_000})[1]
    assert found["prompt_tokens"] > 250_000 and found["fits"] is False


@pytest.mark.parametrize(
    ("body", "says", "param"),
    [
        ({}, "give one of the two", "messages"),
        ({"text": "a", "messages": [{"role": "user", "content": "a"}]}, "give one of the two", "messages"),
        ({"model": "bert", "messages": [{"role": "user", "content": "a"}]}, "does not chat: ask llama", "model"),
        ({"messages": []}, "at least 1 item", "messages"),
        ({"messages": [{"role": "user"}]}, "messages.0.content is missing: give it", "messages.0.content"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "'system', 'user' or 'assistant'", "messages.0.role"),
        ({"messages": [{"role": "user", "content": "a"}] * 1025}, "at most 1024", "messages"),
        ({"text": "a", "price_in": -1}, "greater than or equal to 0", "price_in"),
        ({"text": "a", "per": 0}, "greater than or equal to 1", "per"),
        ({"text": "a", "n": 9}, "at most 8 answers", "n"),
        ({"text": "a", "currency": "EUR"}, "not supported", "currency"),
        ({"text": "a" * 1_100_000}, "1,100,000 characters", "text"),
    ],
)
def test_what_is_refused(server, body, says, param):
    message, field = refused(server, "/estimate", body)
    assert says in message and field == param
