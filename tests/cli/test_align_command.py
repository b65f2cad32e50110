"""``trivium align`` as a user types it."""

import json

import pytest

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}\n{% endfor %}"
HOSTILE = {
    "loops": ("{% for a in range(9**5) %}{% for b in range(9**5) %}{{ a }}{% endfor %}{% endfor %}", "cannot be used"),
    "recurses": ("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}", "nests too deeply"),
    "builds gigabytes": ("{{ 'a' * 9999999999 }}", "cannot be used"),
    "is none": ("{% for m in messages %}", "cannot be used: line 1"),
    "reads files": ("{{ messages.__class__.__base__.__subclasses__() }}", "cannot be used"),
    "never stops": ("{% for m in messages %}{{ m.content }}\n{% endfor %}", "so it would never learn to stop"),
}


@pytest.fixture
def asked(tiny_models, tmp_path):
    rows = [{"messages": [{"role": "user", "content": "a list"}, {"role": "assistant", "content": "of items"}]}] * 6
    (tmp_path / "talks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    few = ("training.steps=3", "training.batch=2", "training.device=cpu", "method.answers=1")
    return ["align", "--method", "sft", "--model", tiny_models["gpt2"], "--train", tmp_path / "talks.jsonl",
            *(f"--set={each}" for each in few)]  # fmt: skip


def test_a_run_and_what_it_says(trivium_command, asked, tmp_path):
    dev = ["--dev", tmp_path / "talks.jsonl", "--template", "alpaca", "--seed", 3]
    told = trivium_command(*asked, *dev, "--out", tmp_path / "run", "--json")
    assert told.code == 0, told.err
    made = json.loads(told.out)
    assert made["method"] == "sft" and made["steps"] == 3 and made["examples"] == 6
    assert set(made["after"]) == {"loss", "perplexity", "rougeL", "ended", "tokens"}
    assert "writes: a list -> " in told.err
    written = (tmp_path / "run" / "trivium.toml").read_text()
    assert "seed = 3" in written and 'kind = "sft"' in written and 'template = "alpaca"' in written
    again = trivium_command("align", "--resume", tmp_path / "run")
    assert again.code == 0 and "trivium chat --model" in again.out and "on dev loss" in again.out
    listed = trivium_command("runs", tmp_path, "--json")
    (run,) = json.loads(listed.out)
    assert run["objective"] == "sft" and run["state"] == "done" and run["step"] == 3


def test_names_of_columns_and_lora(trivium_command, asked, tmp_path):
    (tmp_path / "talks.jsonl").write_text(json.dumps({"frage": "a list", "antwort": "of items"}) + "\n")
    lora = ["--weights", "lora", "--lora", "rank=2", "--lora", "targets=query,feed_forward.up", "--template", "plain"]
    names = ["--column", "question=frage", "--column", "answer=antwort"]
    told = trivium_command(*asked, *lora, *names, "--out", tmp_path / "run")
    assert told.code == 0, told.err
    assert json.loads((tmp_path / "run" / "adapter_config.json").read_text())["r"] == 2
    refused = trivium_command(*asked, "--lora", "rank=2", "--template", "plain", "--out", tmp_path / "b")
    assert refused.code == 2 and "add --weights lora" in refused.err
    refused = trivium_command(*asked, "--column", "quest=frage", "--template", "plain", "--out", tmp_path / "b")
    assert refused.code == 2 and "no column 'quest': did you mean 'question'" in refused.err
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_bad_templates_are_one_sentence(name, trivium_command, asked, tmp_path):
    text, sentence = HOSTILE[name]
    (tmp_path / "own.jinja").write_text(text)
    told = trivium_command(*asked, "--template", tmp_path / "own.jinja", "--out", tmp_path / "run")
    assert told.code == 3 and sentence in told.err and "Traceback" not in told.err
    assert len(told.err.strip().splitlines()) == 1 and not (tmp_path / "run").exists()


def test_a_template_of_ones_own(trivium_command, asked, tmp_path):
    (tmp_path / "own.jinja").write_text(TEMPLATE)
    told = trivium_command(*asked, "--template", tmp_path / "own.jinja", "--out", tmp_path / "run")
    assert told.code == 0, told.err
    assert (tmp_path / "run" / "chat_template.jinja").read_text() == TEMPLATE


@pytest.mark.parametrize(
    ("changed", "code", "sentence"),
    [
        ({"--out": None}, 2, "give one of --out DIR"),
        ({"--model": None}, 2, "align needs a model and examples"),
        ({"--method": "stf"}, 2, "choose one of sft"),
        ({"--train": "none.jsonl"}, 3, "none.jsonl is not a file"),
        ({"--train": "empty.jsonl"}, 3, "empty.jsonl is empty"),
        ({"--train": "half.jsonl"}, 3, "half.jsonl:1: not valid JSON"),
        ({"--dev": "half.jsonl"}, 3, "half.jsonl:1: not valid JSON"),
        ({"--model": "folder"}, 3, "config.json"),
        ({"--set": "method.lenght=3"}, 2, "method.length"),
        ({"--format": "toml"}, 2, "format 'toml' is not known"),
        ({"--resume": "folder"}, 2, "give one of --out DIR"),
    ],
)
def test_what_is_refused(changed, code, sentence, trivium_command, asked, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "half.jsonl").write_text('{"messages": [')
    (tmp_path / "folder").mkdir()
    given = dict(zip(asked[1:7:2], asked[2:7:2], strict=True)) | {"--out": "run", "--template": "plain"} | changed
    told = trivium_command("align", *(each for pair in given.items() if pair[1] is not None for each in pair))
    assert told.code == code and sentence in told.err, told.err
    assert len(told.err.strip().splitlines()) == 1 and not (tmp_path / "run").exists()
