"""A model's chat template is found wherever models keep it, and transformers finds the same."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import transformers

from trivium.errors import DataError
from trivium.families.chat_template import find_template
from trivium.families.gguf import write_gguf
from trivium.text.templates import render, whole_text
from trivium.tokenizers import Tokenizer

TEMPLATE = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}"


@pytest.fixture
def tokenizer(word_tokenizer: Callable[[list[str]], Tokenizer]) -> Tokenizer:
    return word_tokenizer(["hi", "there"])


def test_a_folder_keeps_it_in_a_file_of_its_own_or_in_the_config(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path)
    assert find_template(tmp_path) is None
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    for kept in (TEMPLATE, [{"name": "tools", "template": "x"}, {"name": "default", "template": TEMPLATE}]):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": kept}))
        assert find_template(tmp_path) == TEMPLATE
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    chat = [{"role": "user", "content": "hi"}]
    assert theirs.apply_chat_template(chat, tokenize=False) == whole_text(render(TEMPLATE, chat))
    theirs.save_pretrained(tmp_path / "saved")
    (tmp_path / "chat_template.jinja").write_text("newer")
    assert find_template(tmp_path) == "newer"


def test_a_folder_that_transformers_saved(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "ours")
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "ours")
    theirs.chat_template = TEMPLATE
    theirs.save_pretrained(tmp_path / "theirs")
    assert find_template(tmp_path / "theirs") == TEMPLATE


def test_a_gguf_file_keeps_it_in_its_metadata(tmp_path: Path) -> None:
    write_gguf(tmp_path / "a.gguf", {"tokenizer.chat_template": TEMPLATE}, [])
    write_gguf(tmp_path / "b.gguf", {"tokenizer.chat_template": 3}, [])
    assert find_template(tmp_path / "a.gguf") == TEMPLATE and find_template(tmp_path / "b.gguf") is None


def test_a_bad_file_is_said(tmp_path: Path) -> None:
    for content, words in (
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"chat_template": 3}', "no text"),
    ):
        (tmp_path / "tokenizer_config.json").write_text(content)
        with pytest.raises(DataError, match=words):
            find_template(tmp_path)
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(DataError, match="cannot be read"):
        find_template(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("x" * (1 << 21))
    with pytest.raises(DataError, match="at most"):
        find_template(tmp_path)
