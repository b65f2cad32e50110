"""``/v1/chat/completions`` by the official client, against the library's own conversations."""

import json
from pathlib import Path

import openai
import pytest

import trivium
from trivium.families.demo_models import DEMO_MODELS, find_model
from trivium.generation.conversation import Conversation
from trivium.generation.prompts import Prompt
from trivium.text.chat_templates import CHAT_TEMPLATES, ChatTemplate
from trivium.text.chats import Message

ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Name an item."}]


@pytest.fixture(scope="module")
def client(server) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def conversation(talker: Path) -> Conversation:
    model = trivium.load(talker, device="cpu")
    plain = CHAT_TEMPLATES["plain"].text
    return Conversation(model.model, model.tokenizer, ChatTemplate(plain), "Be brief.", model.generation)


def test_a_reply_is_the_one_that_the_library_gives(client: openai.OpenAI, talker: Path) -> None:
    for sampling in ({"temperature": 0}, {"temperature": 1.2, "seed": 3}):
        talk = conversation(talker)
        settings = trivium.Sampling(max_tokens=12, **{"top_p": 1.0, **sampling})
        expected = "".join(piece.text for piece in talk.reply("Name an item.", settings))
        found = client.chat.completions.create(model="talker", messages=ASKED, max_completion_tokens=12, **sampling)
        assert found.choices[0].message.content == expected
        assert found.usage.prompt_tokens == len(conversation_ids(talker))


def conversation_ids(talker: Path) -> list[int]:
    talk = conversation(talker)
    talk.messages.append(Message("user", "Name an item."))
    return talk.ids()


def test_parts_and_the_developer_are_messages_too(client: openai.OpenAI) -> None:
    fields = {"model": "talker", "max_tokens": 8, "temperature": 0}
    other = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Name an item."}], "name": None},
    ]
    texts = [
        client.chat.completions.create(messages=messages, **fields).choices[0].message.content
        for messages in (ASKED, other)
    ]
    assert texts[0] == texts[1]


def test_a_stream_is_the_same_reply(client: openai.OpenAI) -> None:
    fields = {
        "model": "talker", "messages": ASKED, "max_tokens": 10, "n": 3, "seed": 4, "logprobs": True, "top_logprobs": 2,
    }  # fmt: skip
    whole = client.chat.completions.create(**fields)
    texts, roles, ended, tokens = [""] * 3, [None] * 3, [None] * 3, [[], [], []]
    usage = None
    for chunk in client.chat.completions.create(**fields, stream=True, stream_options={"include_usage": True}):
        for choice in chunk.choices:
            roles[choice.index] = choice.delta.role or roles[choice.index]
            texts[choice.index] += choice.delta.content or ""
            ended[choice.index] = choice.finish_reason
            tokens[choice.index] += choice.logprobs.content if choice.logprobs else []
        usage = chunk.usage or usage
    assert texts == [choice.message.content for choice in whole.choices]
    assert roles == ["assistant"] * 3 and ended == [choice.finish_reason for choice in whole.choices]
    assert usage == whole.usage and len(set(texts)) > 1
    for choice in whole.choices:
        assert [each.token for each in choice.logprobs.content] == [each.token for each in tokens[choice.index]]
        for each in choice.logprobs.content:
            assert len(each.top_logprobs) == 2 and each.logprob <= 0
            assert each.bytes is None or bytes(each.bytes).decode(errors="replace") == each.token
        assert b"".join(bytes(each.bytes or ()) for each in choice.logprobs.content).decode(errors="replace") == (
            choice.message.content
        )


def test_a_reply_that_is_begun_is_gone_on_with(client: openai.OpenAI, talker: Path) -> None:
    fields = {"model": "talker", "temperature": 0, "max_tokens": 12}
    model = trivium.load(talker, device="cpu")
    begun = " The quick"
    writer = model.writer()
    writer.submit(
        Prompt((*conversation_ids(talker), *model.tokenizer.encode(begun).ids)),
        trivium.Sampling(max_tokens=12, temperature=0, stop=CHAT_TEMPLATES["plain"].stop),
    )
    messages = [*ASKED, {"role": "assistant", "content": begun}]
    rest = client.chat.completions.create(
        messages=messages, **fields, extra_body={"continue_final_message": True}
    ).choices[0]
    assert rest.message.content == next(writer.completions()).text
    with pytest.raises(openai.BadRequestError, match="the last message is of the user"):
        client.chat.completions.create(messages=ASKED, **fields, extra_body={"continue_final_message": True})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "a"}]}, "role"),
        ({"messages": [{"role": "user"}]}, "content is missing"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": "a"}] * 1025}, "at most 1024"),
        ({"messages": [{"role": "user", "content": "a b " * 500}]}, "context"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools is not supported here"),
        ({"top_logprobs": 2}, "top_logprobs needs logprobs"),
        ({"max_tokens": 3, "max_completion_tokens": 4}, "differ"),
        ({"response_format": {"type": "json_schema"}}, "no json_schema"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"model": "bert"}, "does not chat"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused(client: openai.OpenAI, fields: dict, said: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**{"model": "talker", "messages": ASKED, **fields})
    assert said in caught.value.body["message"], caught.value.body


def test_a_user_who_types_a_control_token_has_typed_characters(client: openai.OpenAI, talker: Path) -> None:
    tokenizer = trivium.load(talker, device="cpu").tokenizer
    name = tokenizer.piece(tokenizer.end)
    one = [{"role": "user", "content": name}]
    found = client.chat.completions.create(model="talker", messages=one, max_tokens=1)
    plain = client.chat.completions.create(model="talker", messages=[{"role": "user", "content": ""}], max_tokens=1)
    assert found.usage.prompt_tokens - plain.usage.prompt_tokens >= len(tokenizer.encode(name).ids) - 1 > 0


@pytest.mark.slow
def test_a_real_model_answers_and_writes_json(start) -> None:
    try:
        find_model("smollm2-135m")
    except trivium.DataError as problem:
        pytest.skip(str(problem))
    assert "smollm2-135m" in DEMO_MODELS
    with start("--model", "smollm2-135m", "--context", "512") as running:
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none")
        asked = [{"role": "user", "content": "What is the capital of France?"}]
        reply = client.chat.completions.create(model="smollm2-135m", messages=asked, temperature=0)
        assert "Paris" in reply.choices[0].message.content and reply.choices[0].finish_reason == "stop"
        schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
                  "additionalProperties": False}  # fmt: skip
        form = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}
        made = client.chat.completions.create(
            model="smollm2-135m", messages=asked, temperature=0, max_tokens=40, response_format=form
        )
        assert json.loads(made.choices[0].message.content) == {"city": "Paris"}
