"""Rows to conversations and preferences: every layout, and one sentence for what is wrong with a row."""

import gzip
import json

import pytest

from trivium.errors import DataError
from trivium.text.chat_fields import chat_of, dialogue_of, preference_of, read_chats, read_preferences, read_prompts
from trivium.text.chats import Chat, Message, Preference

ASKED = (Message("user", "Q"), Message("assistant", "A"))
LAYOUTS = [
    ({"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}, ASKED),
    ({"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}, ASKED),
    ({"conversations": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}, ASKED),
    ({"system": "S", "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
     (Message("system", "S"), *ASKED)),
    ({"instruction": "Q", "input": "", "output": "A"}, ASKED),
    ({"instruction": "Q", "output": "A"}, ASKED),
    ({"instruction": "Q", "response": "A"}, ASKED),
    ({"instruction": "Q", "input": "about this", "output": "A"}, (Message("user", "Q\n\nabout this"), ASKED[1])),
    ({"system": "S", "instruction": "Q", "output": "A"}, (Message("system", "S"), *ASKED)),
    ({"prompt": "Q", "completion": "A"}, ASKED),
    ({"prompt": [{"role": "user", "content": "Q"}], "completion": [{"role": "assistant", "content": "A"}]}, ASKED),
    ({"question": "Q", "answer": "A"}, ASKED),
]  # fmt: skip


@pytest.mark.parametrize(("row", "messages"), LAYOUTS)
def test_layouts_of_conversations(row, messages):
    assert chat_of("f:1", row) == Chat(messages)


WRONG = [
    ({"text": "Q"}, "no conversation among the columns 'text'"),
    ({"messages": []}, "no messages"),
    ({"messages": "Q"}, "'messages' is str, not a list of objects"),
    ({"messages": [{"role": "tool", "content": "Q"}]}, "messages[0] is of 'tool': a speaker is one of"),
    ({"messages": [{"role": "user", "content": ["Q"]}]}, "f:1: messages[0]: the text in 'content' is list"),
    ({"messages": [{"role": "user", "content": "Q"}]}, "the assistant says nothing"),
    ({"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": " "}]}, "is empty"),
    ({"conversations": [{"value": "Q"}]}, "conversations[0] is of None"),
    ({"messages": [*[each.row() for each in ASKED], {"role": "system", "content": "S"}]}, "only be the first"),
    ({"instruction": "Q", "output": ""}, "the text in 'output' is empty"),
    ({"instruction": "Q"}, "no column 'output'"),
    ({"instruction": "Q", "input": 3, "output": "A"}, "the text in 'input' is int"),
    ({"instruction": None, "output": "A"}, "the text in 'instruction' is null"),
    ({"prompt": "Q", "completion": "\ud800"}, "half a surrogate pair"),
]


@pytest.mark.parametrize(("row", "sentence"), WRONG)
def test_what_is_no_conversation(row, sentence):
    with pytest.raises(DataError) as refused:
        chat_of("f:1", row)
    assert str(refused.value).startswith("f:1") and sentence in str(refused.value)


PAIR = Preference((Message("user", "Q"),), (Message("assistant", "good"),), (Message("assistant", "bad"),))
LONG = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Q\n\nAssistant: "
PAIRS = [
    ({"prompt": "Q", "chosen": "good", "rejected": "bad"}, PAIR),
    ({"instruction": "Q", "input": "", "chosen": "good", "rejected": "bad"}, PAIR),
    ({"prompt": [{"role": "user", "content": "Q"}], "chosen": [{"role": "assistant", "content": "good"}],
      "rejected": [{"role": "assistant", "content": "bad"}]}, PAIR),
    ({name: [{"role": "user", "content": "Q"}, {"role": "assistant", "content": text}]
      for name, text in (("chosen", "good"), ("rejected", "bad"))}, PAIR),
    ({"prompt": "Q", **{name: [{"role": "user", "content": "Q"}, {"role": "assistant", "content": text}]
      for name, text in (("chosen", "good"), ("rejected", "bad"))}}, PAIR),
    ({"chosen": LONG + "good", "rejected": LONG + "bad"},
     Preference((Message("user", "Hi"), Message("assistant", "Hello"), *PAIR.prompt), PAIR.chosen, PAIR.rejected)),
    ({"chosen": "\n\nHuman: Q\n\nAssistant: good\n\nHuman: So?\n\nAssistant: Yes", "rejected":
      "\n\nHuman: Q\n\nAssistant: bad"},
     Preference(PAIR.prompt, (*PAIR.chosen, Message("user", "So?"), Message("assistant", "Yes")), PAIR.rejected)),
]  # fmt: skip


@pytest.mark.parametrize(("row", "pair"), PAIRS)
def test_layouts_of_preferences(row, pair):
    assert preference_of("f:1", row) == pair


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"prompt": "Q", "chosen": "A", "rejected": "A"}, "equal, so nothing is preferred"),
        ({"chosen": LONG + "A", "rejected": LONG + "A"}, "equal, so nothing is preferred"),
        ({"chosen": "A", "rejected": "B"}, "there is no prompt"),
        ({"prompt": "Q", "chosen": "A"}, "no column 'rejected'"),
        ({"prompt": "Q", "chosen": "A", "rejected": " "}, "the text in 'rejected' is empty"),
        ({"chosen": LONG + "A", "rejected": "\n\nHuman: Hi\n\nAssistant: Hello"}, "'rejected' has no words"),
    ],
)
def test_what_is_no_preference(row, sentence):
    with pytest.raises(DataError) as refused:
        preference_of("f:1", row)
    assert str(refused.value).startswith("f:1") and sentence in str(refused.value)


def test_dialogues():
    assert dialogue_of("\n\nHuman: a\n\nb\n\nAssistant: c") == [Message("user", "a\n\nb"), Message("assistant", "c")]
    assert dialogue_of("a text that says Human: in it") == []


def test_files_with_names_of_ones_own_and_compressed(tmp_path):
    path = tmp_path / "talks.jsonl.gz"
    with gzip.open(path, "wt") as file:
        file.writelines(json.dumps({"frage": "Q", "antwort": "A"}) + "\n" for _ in range(2))
    columns = {"question": "frage", "answer": "antwort"}
    found = read_chats(path, columns)
    assert [each.example for each in found] == [Chat(ASKED)] * 2 and found[1].place == f"{path}:2"
    assert read_prompts(path, {"question": "frage"})[0][0].example.reply is None
    talk = {"chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d", "rejected": "none"}
    (tmp_path / "dialogues.jsonl").write_text(json.dumps(talk))
    (read, row), = read_prompts(tmp_path / "dialogues.jsonl")
    assert [(m.role, m.content) for m in read.example.prompt] == [("user", "a"), ("assistant", "b"), ("user", "c")]
    assert row == talk
    (tmp_path / "pairs.csv").write_text("prompt,chosen,rejected\nQ,good,bad\n")
    assert read_preferences(tmp_path / "pairs.csv")[0].example == PAIR
    assert Chat(ASKED).prompt == ASKED[:1] and Chat(ASKED).reply == "A" and Chat(ASKED[:1]).prompt == ASKED[:1]
