"""Whose each token of a conversation is: as transformers' masks say, by hand, and whatever the words are."""

import json
from pathlib import Path

import numpy as np
import pytest
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from trivium.errors import DataError
from trivium.text.chat_templates import CHAT_TEMPLATES, ChatTemplate
from trivium.text.chats import Message
from trivium.tokenizers import SpecialTokens, Tokenizer, train_bpe
from trivium.tokenizers.chats import ChatRenderer

SPELT = (
    "<|im_start|> <|im_end|> <|begin_of_text|> <|start_header_id|> <|end_header_id|> <|eot_id|> [INST] [/INST]"
).split()
TALK = [
    Message("system", "Be brief."), Message("user", "What is the word?"), Message("assistant", "It is héllo 語."),
    Message("user", "And the other one"), Message("assistant", "There is none!\n\nReally."),
]  # fmt: skip
SAID = "{{ message.content }}{{ eos_token }}"
MARKED = {
    "chatml": CHAT_TEMPLATES["chatml"].text.replace(
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}",
        "{% for message in messages %}<|im_start|>{{ message.role }}\n{% if message.role == 'assistant' %}"
        "{% generation %}{{ message.content }}<|im_end|>{% endgeneration +%}{% else %}{{ message.content }}<|im_end|>"
        "{% endif +%}\n{% endfor %}",
    ),
    "llama-2": CHAT_TEMPLATES["llama-2"].text.replace(
        "{% else %} {{ message.content }} {{ eos_token }}{% endif %}",
        "{% else %} {% generation %}{{ message.content }} {{ eos_token }}{% endgeneration +%}{% endif %}",
    ),
    **{
        name: CHAT_TEMPLATES[name].text.replace(SAID, f"{{% generation %}}{SAID}{{% endgeneration +%}}")
        for name in ("plain", "alpaca")
    },
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    texts = [f"It is the word {n}, and there is none. What is the other? Be brief: User Assistant" for n in range(99)]
    base = train_bpe(texts, 310, SpecialTokens("<pad>", "<s>", "</s>", None, None, None, None, ()))
    document = json.loads(base.whole.to_str())
    for number, content in enumerate(SPELT, base.vocab_size):
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        document["added_tokens"].append({"id": number, "content": content, **flags, "special": True})
        document["model"]["vocab"][content] = number
    return Tokenizer(document, base.specials)


@pytest.fixture(scope="module")
def theirs(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> transformers.PreTrainedTokenizerFast:
    folder: Path = tmp_path_factory.mktemp("tokenizer")
    tokenizer.save(folder)
    return transformers.AutoTokenizer.from_pretrained(folder)


def ends(renderer: ChatRenderer) -> frozenset[int]:
    assert renderer.tokenizer.end is not None
    return frozenset({renderer.tokenizer.end}) | renderer.turn_ends()


@pytest.mark.parametrize("name", MARKED)
def test_marked_templates_have_the_masks_of_transformers(name, tokenizer, theirs):
    """And where nothing is marked, the reply and what ends it are the same tokens."""
    told = theirs.apply_chat_template(
        [each.row() for each in TALK], chat_template=MARKED[name], tokenize=True, return_dict=True,
        return_assistant_tokens_mask=True,
    )  # fmt: skip
    for text in (MARKED[name], CHAT_TEMPLATES[name].text):
        renderer = ChatRenderer(tokenizer, ChatTemplate(text))
        made = renderer.render(TALK, ends(renderer))
        assert made.ids.tolist() == told["input_ids"]
        assert (made.replies >= 0).astype(int).tolist() == told["assistant_masks"]
        assert set(made.replies.tolist()) == {-1, 2, 4}


@pytest.mark.parametrize("name", CHAT_TEMPLATES)
def test_a_reply_begins_where_it_begins_in_a_chat(name, tokenizer):
    """What is read before a reply that is learnt is what is read before one that is written, and its end stops it."""
    renderer = ChatRenderer(tokenizer, CHAT_TEMPLATES[name])
    made = renderer.render(TALK, ends(renderer))
    for number in (2, 4):
        (own,) = np.nonzero(made.replies == number)
        prompt = renderer.ids(TALK[:number])
        # " word" may be one token of the reply where Llama 2 writes a space between
        assert made.ids[: own[0]].tolist() in (prompt, [*prompt, made.ids[own[0] - 1]])
        assert made.ids[own[-1]] in ends(renderer)
        assert np.array_equal(own, np.arange(own[0], own[-1] + 1))
        assert tokenizer.decode(made.ids[own[:-1]].tolist()).strip() == TALK[number].content


@settings(max_examples=40)
@given(st.lists(st.text(min_size=1).filter(str.strip), min_size=1, max_size=3), st.sampled_from(sorted(CHAT_TEMPLATES)))
def test_whatever_is_said(words, name):
    """Strange text, control tokens spelt out among it: the replies are the tokens of the replies, each with its end."""
    tokenizer = test_whatever_is_said.tokenizer
    said = [f"{word}<|im_end|></s>" for word in words]
    talk = [Message(role, text) for text in said for role in ("user", "assistant")]
    renderer = ChatRenderer(tokenizer, CHAT_TEMPLATES[name])
    made = renderer.render(talk, ends(renderer))
    for number, message in enumerate(talk):
        own = made.ids[made.replies == number].tolist()
        if message.role == "user":
            assert not own
        else:
            assert own[-1] in ends(renderer) and not tokenizer.controls.intersection(own[:-1])
            assert tokenizer.decode(own[:-1]).strip() == tokenizer.decode(tokenizer.encode(message.content).ids).strip()


@pytest.fixture(autouse=True)
def _given(tokenizer):
    test_whatever_is_said.tokenizer = tokenizer


NO_END = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"


@pytest.mark.parametrize(
    ("template", "sentence"),
    [
        (NO_END, "writes no token after message 2, the assistant's, at which a model stops"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}{{ eos_token }}", "no token after message 2"),
        ("{% for m in messages %}{{ bos_token }}{{ m.content }}{% endfor %}", "no token after message 2"),
        ("{% for m in messages %}{{ m.content }}{% if m.role == 'user' %}{{ eos_token }}{% endif %}{% endfor %}",
         "no token after message 2"),
        (MARKED["plain"].replace("{{ eos_token }}{% endgen", "{% endgen"), "{% generation %} ends before the token"),
        ("{% for m in messages %}{{ m.content | upper }}{{ eos_token }}{% endfor %}", "does not write message 2"),
        ("{% for m in messages %}{{ m.role }}{{ eos_token }}{% endfor %}", "does not write message 2"),
        ("{% for m in messages %}{{ m.content + m.content }}{% endfor %}{{ raise_exception('no') }}", "refuses"),
        ("{% for m in range(10**9) %}{{ m }}{% endfor %}", "cannot be used"),
        ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "nests too deeply"),
    ],
)  # fmt: skip
def test_what_would_not_teach_to_stop_is_refused(template, sentence, tokenizer):
    renderer = ChatRenderer(tokenizer, ChatTemplate(template))
    with pytest.raises(DataError) as refused:
        renderer.render([*TALK[1:3], *TALK[3:]], frozenset({tokenizer.end}), "talks.jsonl:7")
    assert sentence in str(refused.value)


def test_thinking_that_a_template_takes_away_is_not_learnt(tokenizer):
    """``split`` keeps whose the words are."""
    text = "{% for m in messages %}{{ m.content.split('</think>')[-1] }}{{ eos_token }}{% endfor %}"
    renderer = ChatRenderer(tokenizer, ChatTemplate(text))
    made = renderer.render([Message("user", "is it"), Message("assistant", "the</think>word")], ends(renderer))
    assert tokenizer.decode(made.ids[made.replies == 1].tolist()[:-1]) == "word"


def test_a_tokenizer_that_opens_texts_opens_conversations_once(tokenizer):
    """As a decoder reads them in a chat, too."""
    assert tokenizer.begin is not None
    document = json.loads(tokenizer.whole.to_str())
    opening, text = {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    document["post_processor"] = {
        "type": "TemplateProcessing", "single": [opening, text], "pair": [opening, text],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [tokenizer.begin], "tokens": ["<s>"]}},
    }  # fmt: skip
    framed = Tokenizer(document, tokenizer.specials)
    for name, count in (("plain", 1), ("llama-3", 1)):
        renderer = ChatRenderer(framed, CHAT_TEMPLATES[name])
        made = renderer.render(TALK, ends(renderer))
        assert made.ids[0] == framed.begin and made.ids.tolist().count(framed.begin) == count
        assert len(made.ids) == len(made.replies) and made.replies[0] == -1
