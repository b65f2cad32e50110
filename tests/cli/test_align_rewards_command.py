"""``trivium align --method ppo`` and ``grpo`` as a user types them."""

import json

import pytest

MINE = "def share(prompt, responses, example):\n    return [each.count('e') for each in responses]\n"


@pytest.fixture
def asked(tiny_models, tmp_path):
    rows = [{"question": f"item {n}?", "answer": f"#### {n}"} for n in range(6)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "mine.py").write_text(MINE)
    few = ("training.steps=2", "training.batch=4", "training.device=cpu", "method.max_tokens=4")
    return ["align", "--model", tiny_models["gpt2"], "--train", tmp_path / "sums.jsonl", "--template", "plain",
            "--out", tmp_path / "run", *(f"--set={each}" for each in few)]  # fmt: skip


def test_a_run_by_a_user_s_reward_and_its_resumption(trivium_command, asked, tmp_path):
    name = f"{tmp_path}/mine.py:share"
    told = trivium_command(*asked, "--method", "ppo", "--reward", name, "--reward", "0.5*gsm8k", "--json")
    assert told.code == 0, told.err
    made = json.loads(told.out)
    assert made["method"] == "ppo" and made["figures"]["rewards"] == [name, "0.5*gsm8k"]
    assert "worth" in told.err and (tmp_path / "run" / "report.html").is_file()
    refused = trivium_command("align", "--resume", tmp_path / "run")
    assert refused.code == 2 and "name it again, with --reward" in refused.err
    other = trivium_command("align", "--resume", tmp_path / "run", "--reward", f"{tmp_path}/other.py:share")
    assert other.code == 2 and "is no reward of this run" in other.err
    again = trivium_command("align", "--resume", tmp_path / "run", "--reward", name)
    assert again.code == 0, again.err
    (tmp_path / "mine.py").write_text(MINE + "\n")
    changed = trivium_command("align", "--resume", tmp_path / "run", "--reward", name)
    assert changed.code == 2 and "is not what the run was begun with" in changed.err


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (["--method", "grpo"], 2, "there is no reward: give at least one with --reward"),
        (["--method", "grpo", "--reward", "gsm"], 2, "did you mean gsm8k"),
        (["--method", "grpo", "--reward", "regex=("], 2, "has no regular expression"),
        (["--method", "grpo", "--reward", "{}/none.py:f"], 2, "cannot be read"),
        (["--method", "grpo", "--reward", "{}/mine.py:f"], 2, "has no 'f'"),
        (["--method", "grpo", "--reward", "{}"], 3, ""),
        (["--method", "grpo", "--reward", "gsm8k", "--set=method.group=1"], 2, "method.group is 1"),
        (["--method", "sft", "--reward", "gsm8k"], 2, "--reward is for the methods ppo and grpo"),
    ],
)
def test_what_is_wrong_is_one_sentence(trivium_command, asked, tmp_path, given, code, said):
    told = trivium_command(*asked, *(each.format(tmp_path) for each in given))
    assert told.code == code and said in told.err and told.err.count("error:") == 1
    assert not (tmp_path / "run").exists()
