"""The prompts of ``docs/serving-tasks.md`` for seven tasks, by the official client, of one served model."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trivium.errors import TriviumError
from trivium.text.chat_templates import chat_template
from trivium.verbs.load import load

sys.path.insert(0, str(Path(__file__).parent))
from task_server import served, serving

PAGE = Path(__file__).parents[2] / "docs" / "serving-tasks.md"
TASKS = ["chat", "completion", "translation", "summary", "names", "question", "label"]


def answers(address):
    """What the page's program prints, by task."""
    section = PAGE.read_text(encoding="utf-8").partition("## One model, seven tasks")[2]
    program = re.search(r"```python\n(.*?)```", section, re.S)[1].replace("http://127.0.0.1:8000", address)
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ))
    assert told.returncode == 0, told.stderr
    found = re.findall(rf"^({'|'.join(TASKS)}): ?(.*(?:\n(?!(?:{'|'.join(TASKS)}):).*)*)", told.stdout, re.M)
    return {task: answer.strip() for task, answer in found}


def test_any_model_that_writes_is_asked_all_seven(tmp_path):
    from trivium.families import FAMILIES
    from trivium.families.bodies import initialise, network
    from trivium.families.huggingface import save
    from trivium.tokenizers import train_bpe

    tokenizer, family = train_bpe([PAGE.read_text(encoding="utf-8")], 400), FAMILIES["llama"]
    save(initialise(network(family.size("tiny", tokenizer.vocab_size, context=512)), 0), family, tokenizer, tmp_path)
    model = served("smollm2-135m", load(tmp_path), "complete", "chat", template=chat_template("chatml"), longest=512)
    with serving(model) as address:
        assert list(answers(address)) == TASKS


@pytest.mark.slow
def test_a_small_real_model_does_most_of_them():
    try:
        model = load("smollm2-135m")
    except TriviumError as absent:
        pytest.skip(str(absent))
    template = chat_template("chatml")
    with serving(served("smollm2-135m", model, "complete", "chat", template=template, longest=1024)) as address:
        found = answers(address)
    assert list(found) == TASKS and "library" in found["chat"] and found["completion"]
    assert found["translation"] == "the problem is important" and found["question"] == "Paris"
    assert "library" in found["summary"] and "London" in found["names"] and found["label"] == "negative"
