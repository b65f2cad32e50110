"""``trivium finetune`` with several runs, leaks, old text and long texts, as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROWS = [{"text": f"it was {'good' if n % 2 else 'awful'} {n // 4}", "label": "ab"[n % 2]} for n in range(48)]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("examples")
    for name, rows in (("train", ROWS[:32]), ("dev", ROWS[32:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "train.jsonl", folder / "dev.jsonl"


@pytest.fixture
def asked(files, tiny_models):
    train, dev = files
    return ["finetune", "--model", tiny_models["bert"], "--train", train, "--dev", dev, "--batch", 8]


def test_the_command_refuses_and_drops(trivium_command, tiny_models, tmp_path):
    rows = [{"text": text, "label": label} for text, label in (("a quick fox", "x"), ("a lazy dog", "y")) * 4]
    rows.append({"text": "items", "label": "x"})
    (tmp_path / "train.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "dev.jsonl").write_text("\n".join(json.dumps(row) for row in (
        {"text": "A quick  fox", "label": "x"}, {"text": "a container", "label": "y"})))  # fmt: skip
    asked = ["finetune", "--model", tiny_models["bert"], "--train", tmp_path / "train.jsonl", "--steps", 1, "--dev",
             tmp_path / "dev.jsonl", "--json"]  # fmt: skip
    refused = trivium_command(*asked, "--out", tmp_path / "a", "--leaks", "error")
    assert refused.code == 3 and "examples of dev that are in train, too: 1" in refused.err
    assert not (tmp_path / "a").exists()
    made = trivium_command(*asked, "--out", tmp_path / "b", "--leaks", "drop")
    assert made.code == 0, made.err
    told = json.loads(made.out)
    train, dev = told["files"]
    assert (train["rows"], train["used"], train["skipped"]) == (9, 5, 4)  # what was scored and skipped is what was read
    assert (dev["rows"], dev["used"], dev["skipped"]) == (2, 2, 0)
    assert told["checks"]["leaked"] == 1 and told["checks"]["dropped"] == 4
    assert "left out of train: 4" in made.err


def test_seeds_and_a_curve(trivium_command, asked, tmp_path):
    out = tmp_path / "o"
    told = trivium_command(*asked, "--epochs", 2, "--seeds", 2, "--curve", "8,all", "--out", out)
    assert told.code == 0, told.err
    assert "Over 2 seeds accuracy is" in told.out and "8 examples" in told.out and "all 32 examples" in told.out
    assert told.err.count("8 examples, seed ") == 2
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [(each["name"], len(each["runs"])) for each in lines if each["kind"] == "trial"] == [
        ("8 examples", 2), ("all 32 examples", 2)]  # fmt: skip
    assert len(trivium_command("predict", "--model", out, asked[4]).out.splitlines()) == 32
    assert '"state": "done"' in trivium_command("runs", out, "--json").out


def test_a_sweep_of_adapters_beside_all_weights(trivium_command, asked, text_file, tmp_path):
    out = tmp_path / "o"
    told = trivium_command(
        *asked, "--steps", 2, "--sweep", "method=full/lora", "--sweep", "lora.rank=1/2", "--sweep",
        "lora.targets=query/query,value", "--old", text_file, "--out", out, "--json",
    )  # fmt: skip
    assert told.code == 0, told.err
    made = json.loads(told.out)
    assert [each["name"] for each in made["trials"]] == [
        "method=full",
        "method=lora lora.rank=1 lora.targets=query",
        "method=lora lora.rank=1 lora.targets=query,value",
        "method=lora lora.rank=2 lora.targets=query",
        "method=lora lora.rank=2 lora.targets=query,value",
    ]
    learnt = [each["trained_parameters"] for each in made["trials"]]
    width = json.loads((out / "config.json").read_text())["hidden_size"]
    one = 2 * 2 * width  # A and B of rank 1 at one matrix of each of two layers
    assert [each - learnt[1] for each in learnt[1:]] == [0, one, one, 3 * one]
    assert learnt[0] > 10 * max(learnt[1:]) and made["vary"] == "sweep"
    assert made["figure"] == "hidden_bits_per_byte" and all(each["old"]["after"] > 0 for each in made["trials"])
    assert max(each["training_bytes"] for each in made["trials"][1:]) < made["trials"][0]["training_bytes"] / 2


@pytest.mark.parametrize(("more", "message"), [
    (["--curve", "8,many"], "must look like 50,100,500,all"),
    (["--curve", "8,64"], "curve asks for 64 training examples, and there are 32"),
    (["--curve", "8", "--sweep", "batch=8/16"], "ask for one of them"),
    (["--seeds", "0"], "seeds = 0"),
    (["--sweep", "lora.rank=1/2"], "add method=lora to the sweep"),
    (["--sweep", "lora.rang=1/2"], "rank"),
    (["--sweep", "batch"], "must look like lora.rank=1/2/8"),
    (["--sweep", "batch=8/8"], "different values"),
    (["--sweep", "batch=8/x"], "batch"),
    (["--sweep", "seed=1/2"], "ask for several seeds"),
    (["--sweep", "method=full/lora", "--sweep", "lora.targets=query/quary"], "did you mean 'query'"),
    (["--on-truncate", "split", "--task", "tagging"], "split is no setting of the task tagging"),
    (["--old", "nowhere.txt"], "nowhere.txt"),
    (["--steps", "1", "--sweep", "method=frozen/last:9"], "the model has 2 layers"),
    (["--layer-decay", "2"], "layer_decay = 2.0"),
])  # fmt: skip
def test_what_cannot_be_asked_for(more, message, trivium_command, asked, tmp_path):
    outcome = trivium_command(*asked, *more, "--out", tmp_path / "o")
    assert outcome.code in (2, 3) and message in outcome.err, outcome.err
    assert "seed 0" not in outcome.err  # before any of them was made
    assert outcome.err.count("\n") == 1 and not (tmp_path / "o").exists()


def test_several_runs_need_dev(trivium_command, asked, tmp_path):
    outcome = trivium_command(*asked[:5], "--seeds", 3, "--out", tmp_path / "o")
    assert outcome.code == 2 and "give dev" in outcome.err


def test_an_interrupt_leaves_nothing(asked, tmp_path):
    out = tmp_path / "o"
    command = [sys.executable, "-m", "trivium", *map(str, asked), "--steps", "20000", "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"NO_COLOR": "1"})
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step "):
            break
    time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    process.stderr.close()
    assert not out.exists()
