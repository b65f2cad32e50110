"""``/v1/completions`` by the official client, against what the library itself writes and ``transformers`` computes."""

import math
from pathlib import Path

import openai
import pytest
import torch

import trivium
from trivium.verbs.load import LanguageModel

PROMPT = "The quick brown fox"


@pytest.fixture(scope="module")
def client(server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def model(talker: Path) -> LanguageModel:
    return trivium.load(talker, device="cpu")


def refusal(client: openai.OpenAI, **fields) -> dict:
    extra = {name: fields.pop(name) for name in list(fields) if name.startswith("x_")}
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(**{"model": "talker", "prompt": "a", **fields}, extra_body=extra)
    assert set(caught.value.body) == {"message", "type", "param", "code"}
    return caught.value.body


def test_a_text_is_the_one_that_the_library_writes(client: openai.OpenAI, model: LanguageModel) -> None:
    for sampling in (
        {"temperature": 0},
        {"temperature": 0.9, "seed": 5, "top_p": 0.9},
        {"temperature": 1.5, "seed": 6, "presence_penalty": 1.0, "frequency_penalty": 0.5, "logit_bias": {"70": 5}},
    ):
        found = client.completions.create(model="talker", prompt=PROMPT, max_tokens=12, **sampling)
        expected = model.generate(PROMPT, trivium.Sampling(max_tokens=12, **{"top_p": 1.0, **sampling}))
        assert found.choices[0].text == expected.text
        assert found.usage.completion_tokens == len(expected.log_probabilities)
        assert found.usage.prompt_tokens == len(model.tokenizer.encode(PROMPT).ids)
        assert found.choices[0].finish_reason == ("stop" if expected.finish == "end" else "length")


def test_several_prompts_and_samples_are_in_their_order(client: openai.OpenAI, model: LanguageModel) -> None:
    prompts = [PROMPT, "A list is"]
    found = client.completions.create(model="talker", prompt=prompts, n=3, seed=7, max_tokens=8)
    expected = model.complete(prompts, trivium.Sampling(max_tokens=8, seed=7, temperature=1, top_p=1), samples=3)
    assert [(each.index, each.text) for each in found.choices] == list(enumerate(each.text for each in expected))
    ids = [model.tokenizer.encode(prompt).ids for prompt in prompts]
    same = client.completions.create(model="talker", prompt=ids, n=3, seed=7, max_tokens=8)
    before = model.tokenizer.layout().before
    if not before:
        assert [each.text for each in same.choices] == [each.text for each in found.choices]


def test_without_a_seed_texts_differ(client: openai.OpenAI) -> None:
    texts = {client.completions.create(model="talker", prompt=PROMPT, max_tokens=16).choices[0].text for _ in range(4)}
    assert len(texts) > 1


def test_the_best_of_several_is_the_most_probable(client: openai.OpenAI, model: LanguageModel) -> None:
    found = client.completions.create(model="talker", prompt=PROMPT, n=2, best_of=5, seed=1, max_tokens=8)
    settings = trivium.Sampling(max_tokens=8, seed=1, temperature=1, top_p=1)
    expected = model.complete([PROMPT], settings, samples=2, best_of=5)
    assert [each.text for each in found.choices] == [each.text for each in expected]
    assert refusal(client, best_of=1, n=2)["param"] == "best_of"
    assert "stream" in refusal(client, best_of=2, stream=True)["message"]


def test_a_stop_string_is_not_part_of_the_text(client: openai.OpenAI, model: LanguageModel) -> None:
    whole = model.generate(PROMPT, trivium.Sampling(max_tokens=24, temperature=0)).text
    stop = whole[5:8]
    found = client.completions.create(model="talker", prompt=PROMPT, max_tokens=24, temperature=0, stop=[stop, "\0"])
    assert found.choices[0].text == whole[: whole.index(stop)]
    assert found.choices[0].finish_reason == "stop"


def test_a_stream_is_the_same_text(client: openai.OpenAI) -> None:
    fields = {"model": "talker", "prompt": [PROMPT, "Raise an error"], "max_tokens": 12, "n": 2, "seed": 3}
    whole = client.completions.create(**fields, logprobs=2, echo=True)
    texts, ended, tokens = dict.fromkeys(range(4), ""), {}, {number: [] for number in range(4)}
    for chunk in client.completions.create(**fields, logprobs=2, echo=True, stream=True,
                                           stream_options={"include_usage": True}):  # fmt: skip
        if not chunk.choices:
            assert chunk.usage == whole.usage
            continue
        assert chunk.usage is None
        choice = chunk.choices[0]
        assert choice.index not in ended
        texts[choice.index] += choice.text
        tokens[choice.index] += zip(
            choice.logprobs.tokens, choice.logprobs.token_logprobs, choice.logprobs.text_offset, strict=True
        )
        if choice.finish_reason:
            ended[choice.index] = choice.finish_reason
    assert [texts[choice.index] for choice in whole.choices] == [choice.text for choice in whole.choices]
    assert [ended[choice.index] for choice in whole.choices] == [choice.finish_reason for choice in whole.choices]
    for choice in whole.choices:
        expected = zip(choice.logprobs.tokens, choice.logprobs.token_logprobs, choice.logprobs.text_offset, strict=True)
        for (token, value, offset), (other, theirs, place) in zip(expected, tokens[choice.index], strict=True):
            assert (token, offset) == (other, place)
            assert value == theirs or math.isclose(value, theirs, abs_tol=1e-4)


def test_an_echo_says_what_transformers_says_of_the_prompt(client: openai.OpenAI, talker: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, peer = AutoTokenizer.from_pretrained(talker), AutoModelForCausalLM.from_pretrained(talker)
    ids = tokenizer(PROMPT)["input_ids"]
    found = client.completions.create(
        model="talker", prompt=PROMPT, max_tokens=0, echo=True, logprobs=3, temperature=0
    ).choices[0]
    with torch.no_grad():
        said = peer(torch.tensor([ids])).logits[0].log_softmax(-1)
    assert found.text == PROMPT and found.finish_reason == "length"
    logs = found.logprobs
    places = zip(logs.text_offset, logs.tokens, strict=True)
    assert [PROMPT[at : at + len(token)] for at, token in places] == logs.tokens
    assert logs.token_logprobs[0] is None and logs.top_logprobs[0] is None
    for place, (value, top) in enumerate(zip(logs.token_logprobs[1:], logs.top_logprobs[1:], strict=True)):
        assert value == pytest.approx(said[place, ids[place + 1]].item(), abs=1e-4)
        best = sorted(top.values(), reverse=True)[:3]
        assert best == pytest.approx(said[place].topk(3).values.tolist(), abs=1e-4)
        assert value in top.values()  # the very same number: programs compare them


def test_the_end_token_is_told_with_its_log_probability(client: openai.OpenAI, model: LanguageModel) -> None:
    end = model.tokenizer.end
    found = client.completions.create(
        model="talker", prompt=PROMPT, max_tokens=9, temperature=0, logprobs=1, logit_bias={str(end): 100}
    )
    choice = found.choices[0]
    assert (choice.text, choice.finish_reason, found.usage.completion_tokens) == ("", "stop", 1)
    assert choice.logprobs.tokens == [model.tokenizer.decode([end], skip_special=False)]
    assert choice.logprobs.token_logprobs[0] < 0


def test_a_json_schema_is_kept(client: openai.OpenAI) -> None:
    import json

    schema = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"enum": ["x", "y"]}},
              "required": ["a", "b"], "additionalProperties": False}  # fmt: skip
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    for seed in range(3):
        made = client.completions.create(
            model="talker", prompt="a", max_tokens=50, seed=seed, temperature=0.7, extra_body={"response_format": form}
        ).choices[0]
        if made.finish_reason == "stop":
            assert set(json.loads(made.text)) == {"a", "b"}
        else:
            assert made.text.lstrip().startswith("{")
    wrong = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nothing"}}}
    with pytest.raises(openai.BadRequestError, match="JSON schema"):
        client.completions.create(model="talker", prompt="a", extra_body={"response_format": wrong})


def test_a_suffix_is_written_up_to_by_a_model_that_infills(client: openai.OpenAI, tiny_models: dict) -> None:
    found = client.completions.create(model="t5", prompt="The fox", suffix=" the dog.", max_tokens=6, temperature=0)
    assert found.choices[0].finish_reason in ("stop", "length")
    body = refusal(client, suffix="b")
    assert body["message"] == "the model 'talker' does not infill: ask t5"


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"x_nothing": 1}, "x_nothing", "x_nothing is not supported here: leave it out"),
        ({"max_tokens": 10**6}, "max_tokens", "the context of talker is"),
        ({"max_tokens": 0}, "max_tokens", "without echo"),
        ({"max_tokens": -1}, "max_tokens", "max_tokens should be greater than or equal to 0"),
        ({"n": 9}, "n", "at most 8"),
        ({"n": 0}, "n", "greater"),
        ({"temperature": -1}, "temperature", "greater"),
        ({"top_p": 0}, "top_p", "greater than 0"),
        ({"logprobs": 21}, "logprobs", "at most 20"),
        ({"stop": ["a"] * 17}, "stop", "at most 16"),
        ({"stop": "a" * 65}, "stop", "64 characters"),
        ({"stop": ""}, "stop", "empty"),
        ({"prompt": []}, "prompt", "empty list"),
        ({"prompt": [[]]}, "prompt", "empty list of tokens"),
        ({"prompt": [1 << 40]}, "prompt", "tokens, from 0 on"),
        ({"prompt": ["a"] * 257}, "prompt", "at most 256"),
        ({"prompt": 5}, "prompt", "string"),
        ({"prompt": "a " * 5000}, None, "context"),
        ({"logit_bias": {"-1": 1}}, "logit_bias", "by its number"),
        ({"logit_bias": {"99999": 1}}, None, "logit_bias names token 99999"),
        ({"logit_bias": {"1": 101}}, "logit_bias", "less than or equal to 100"),
        ({"seed": 2**64}, None, "beyond 63 bits"),
        ({"stream_options": {"include_usage": True}}, "stream_options", "stream: true"),
        ({"min_tokens": 30}, None, None),
        ({"model": "bert"}, "model", "the model 'bert' does not complete: ask talker, t5"),
        ({"model": "t5", "echo": True, "logprobs": 1}, "echo", "no log-probabilities"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_done_is_refused_by_name(
    client: openai.OpenAI, fields: dict, param: str | None, said: str | None
) -> None:
    if "min_tokens" in fields:
        with pytest.raises(openai.BadRequestError, match="min_tokens"):
            client.completions.create(model="talker", prompt="a", extra_body=fields)
        return
    body = refusal(client, **fields)
    assert body["param"] == param and said in body["message"], body


def test_what_is_wrong_is_known_before_a_stream_begins(client: openai.OpenAI) -> None:
    assert "context" in refusal(client, prompt="a " * 5000, stream=True)["message"]


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="there is no model 'x' here: talker, t5, bert"):
        client.completions.create(model="x", prompt="a")


def test_models_are_listed_with_what_they_can(client: openai.OpenAI, model: LanguageModel) -> None:
    found = {each.id: each for each in client.models.list().data}
    assert list(found) == ["talker", "t5", "bert"]
    about = found["talker"].trivium
    assert about["kind"] == "decoder" and about["context"] == model.config.limit
    assert about["parameters"] == sum(each.numel() for each in model.model.parameters())
    assert {"complete", "chat", "attention", "lens"} <= set(about["abilities"])
    assert found["t5"].trivium["stacks"] == ["encoder", "decoder", "cross"] and about["stacks"] == ["decoder"]
    assert {"infill", "fill", "complete"} <= set(found["t5"].trivium["abilities"])
    assert "complete" not in found["bert"].trivium["abilities"] and "fill" in found["bert"].trivium["abilities"]
    assert client.models.retrieve("t5").id == "t5"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")
