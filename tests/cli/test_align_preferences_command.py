"""``trivium align`` with preferences, and ``trivium predict`` with what came of it, as a user types them."""

import json
from pathlib import Path

import pytest


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rows = [{"prompt": f"what is {n}", "chosen": f"a list of {n} items", "rejected": "no"} for n in range(8)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "pairs.jsonl"


def test_from_pairs_to_a_judge_to_a_model(trivium_command, tiny_models, pairs, tmp_path):
    asked = ["align", "--model", tiny_models["llama"], "--train", pairs, "--dev", pairs, "--template", "plain", "--set",
             "training.steps=2", "--set", "training.evaluations=1", "--set", "training.device=cpu"]  # fmt: skip
    judge = trivium_command(*asked, "--method", "reward", "--out", tmp_path / "rm")
    assert judge.code == 0 and f"use it: trivium predict --model {tmp_path / 'rm'}" in judge.out
    assert "8 of 8 prompts of dev are in train, too" in judge.err
    said = trivium_command("predict", "--model", tmp_path / "rm", pairs)
    assert said.code == 0
    found = [json.loads(line) for line in said.out.splitlines()]
    assert len(found) == 8 and all(row["right"] is (row["reward_chosen"] > row["reward_rejected"]) for row in found)
    made = trivium_command(*asked, "--method", "dpo", "--out", tmp_path / "polite", "--json", "--set",
                           f"method.judge={tmp_path / 'rm'}", "--set", "method.reply_tokens=4")  # fmt: skip
    assert made.code == 0
    told = json.loads(made.out)
    assert told["method"] == "dpo" and {"accuracy", "margin", "kl", "win_rate"} <= told["after"].keys()
    assert "the reference scores 16 replies of train" in made.err
    again = trivium_command("align", "--resume", tmp_path / "polite")
    assert again.code == 0 and "use it: trivium chat" in again.out


def test_bad_pairs_are_one_sentence_and_exit_3(trivium_command, tiny_models, pairs, tmp_path):
    pairs.write_text('{"prompt": "a", "chosen": "b", "rejected": "b"}\n')
    refused = trivium_command(
        "align", "--method", "dpo", "--model", tiny_models["llama"], "--train", pairs, "--template", "plain", "--out",
        tmp_path / "run",
    )  # fmt: skip
    assert refused.code == 3 and "pairs.jsonl:1: 'chosen' and 'rejected' are equal" in refused.err
    assert "Traceback" not in refused.err and not (tmp_path / "run").exists()


def test_an_unknown_setting_or_method_is_suggested(trivium_command, tiny_models, pairs, tmp_path):
    asked = ["align", "--model", tiny_models["llama"], "--train", pairs, "--out", tmp_path / "run"]
    refused = trivium_command(*asked, "--method", "dpo", "--set", "method.betta=1")
    assert refused.code == 2 and "beta" in refused.err
    assert trivium_command(*asked, "--method", "dpoo").code == 2
