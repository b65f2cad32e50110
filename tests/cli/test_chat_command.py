"""The chat as its user meets it: lines through a pipe, and a real terminal with keys, signals and colours."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from trivium.errors import DataError, SettingsError
from trivium.families import FAMILIES, huggingface
from trivium.tokenizers.learning import learn
from trivium.tokenizers.options import Bpe
from trivium.transformer import Model, initialise
from trivium.verbs.chat import Chat

TEMPLATE = (
    "{% for message in messages %}{{ message.role }}: {{ message.content }}{{ eos_token }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("talker")
    tokenizer = learn(["user: the cat sat on the mat. assistant: system dogs bark"] * 30, 310, Bpe()).tokenizer
    family = FAMILIES["gpt2"]
    model = initialise(Model(family.size("tiny", tokenizer.vocab_size, context=4096, init_std=0.3)), 0)
    huggingface.save(model, family, tokenizer, path)
    return path


@pytest.fixture(scope="module")
def talker(folder):
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


def piped(lines, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "trivium", "chat", *map(str, arguments)],
        input="".join(f"{line}\n" for line in lines), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_pipe(talker, tmp_path):
    lines = [
        "the cat", "/retry", "/system dogs bark", "/set temperature=0", "/tokens", f"/save {tmp_path / 'talk.json'}",
        "/clear", f"/load {tmp_path / 'talk.json'}", "two \\", "lines", "/quit", "never read",
    ]  # fmt: skip
    done = piped(lines, "--model", talker, "--max-tokens", "5", "--seed", "1", "--json")
    assert done.returncode == 0, done.stderr
    saved, record = json.loads((tmp_path / "talk.json").read_text()), json.loads(done.stdout)
    assert [each["role"] for each in saved["messages"]] == ["system", "user", "assistant"]
    assert record["messages"][:3] == saved["messages"] and record["messages"][3]["content"] == "two \nlines"
    assert len(record["messages"]) == 5 and record["sampling"]["temperature"] == 0
    assert "⟨</s>⟩" in done.stderr and "tokens of a context of 4096" in done.stderr
    chat = Chat(talker, system="dogs bark")
    chat.load(tmp_path / "talk.json")
    chat.set("temperature=0")
    chat.set("max_tokens=5")
    list(chat.say("two \nlines"))
    assert chat.record()["messages"] == record["messages"]


def terminal(talker, *arguments):
    """A process at the other end of a terminal, and a function that reads until something is shown."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "trivium", "chat", "--model", str(talker), *arguments],
        stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True, start_new_session=True,
        env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)

    def until(pattern, seconds=60.0):
        shown, end = "", time.monotonic() + seconds
        while not re.search(pattern, shown):
            ready, _, _ = select.select([ours], [], [], max(0.0, end - time.monotonic()))
            try:
                piece = os.read(ours, 65536) if ready else b""
            except OSError:  # the other end is closed
                piece = b""
            assert piece, f"{pattern!r} did not come: {shown!r}"
            shown += piece.decode(errors="replace")
        return shown

    return process, ours, until


def test_a_terminal(talker):
    process, keys, until = terminal(talker, "--max-tokens", "4000", "--temperature", "1.5", "--seed", "2")
    until(r"> $")
    os.write(keys, b"/help\n")
    assert "/retry" in until(r"short\s+.*> $")
    os.write(keys, b"/set warmth=2\n")
    assert "warmth" in until(r"\n.*\n?.*> $")
    os.write(keys, b"the cat\n")
    until(r"the cat\r\n.{20}")
    process.send_signal(signal.SIGINT)  # cuts the reply, not the program
    until(r"> $")
    os.write(keys, b"/tokens\n")
    assert re.search(r"\d+ tokens of a context of 4096", until(r"4096\s+.*> $"))
    os.write(keys, b"\x04")
    assert process.wait(30) == 0
    os.close(keys)


def test_what_is_refused(talker, folder, tmp_path, trivium_command):
    bare = tmp_path / "bare"
    bare.mkdir()
    for each in folder.iterdir():
        if each.is_file() and each.name != "chat_template.jinja":
            (bare / each.name).write_bytes(each.read_bytes())
    outcome = trivium_command("chat", "--model", bare)
    assert outcome.code == 2 and "was not taught to talk: choose one with --template" in outcome.err
    outcome = trivium_command("chat", "--model", bare, "--template", "plane")
    assert outcome.code == 2 and "did you mean plain?" in outcome.err
    done = piped(["the cat", "/load"], "--model", bare, "--template", "plain", "--max-tokens", "2")
    assert done.returncode == 2 and "/load needs the name" in done.stderr and "Traceback" not in done.stderr
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "other.json").write_text('{"messages": [{"role": "user"}]}')
    chat = Chat(talker)
    wrong = {"none.json": "cannot be read", "broken.json": "as JSON", "other.json": r"messages\[0\]"}
    for name, message in wrong.items():
        with pytest.raises(DataError, match=message):
            chat.load(tmp_path / name)
    with pytest.raises(SettingsError, match="the folder of"):
        chat.save(tmp_path / "none" / "talk.json")
    with pytest.raises(SettingsError, match="temperature"):
        chat.set("temperature=-1")
    assert chat.sampling.temperature == 0.8


def test_an_encoder_writes_nothing(tmp_path, folder, trivium_command):
    family = FAMILIES["bert"]
    tokenizer = learn(["the cat sat on the mat"] * 30, 300, Bpe(), "classify").tokenizer
    huggingface.save(initialise(Model(family.size("tiny", tokenizer.vocab_size)), 0), family, tokenizer, tmp_path)
    outcome = trivium_command("chat", "--model", tmp_path, "--template", "plain")
    assert outcome.code == 2 and "is an encoder, which writes no text" in outcome.err
