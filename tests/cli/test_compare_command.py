"""``trivium compare`` from the command line: figures on stdout, one JSON document when asked, mistakes in a line."""

import json
import random
import subprocess
import sys
import time

import pytest

EXPERIMENT = """
title = "Two"
tokens = 1000
ngrams = 2
lengths = []
data = {{ files = ["{text}"], heldout = 0.1 }}
tokenizer = {{ vocab_size = 300 }}
contenders = [
  {{ name = "a", recipe = "gpt2-mini", set = [{sets}] }},
  {{ name = "b", recipe = "gpt2-mini", set = [{sets}, "model.width=16"] }},
]
"""
SETS = ["model.width=32", "model.heads=2", "model.ffn_width=32", "model.context=16", "training.batch_tokens=128"]


def test_compare(trivium_command, tmp_path):
    draw = random.Random(1)
    text = tmp_path / "text.jsonl"
    text.write_text("\n".join(json.dumps({"text": " ".join(draw.choices("abcdefgh", k=90))}) for _ in range(60)))
    experiment = tmp_path / "experiment.toml"
    experiment.write_text(EXPERIMENT.format(text=text, sets=", ".join(json.dumps(each) for each in SETS)))
    made = trivium_command("compare", experiment, "--out", tmp_path / "out")
    assert made.code == 0, made.err
    assert made.out.splitlines()[0].split() == ["model", "seeds", "parameters", "tokens", "bits", "per", "byte"]
    assert "b is 0." in made.out
    assert "one seed says nothing" in made.out
    assert f"report: {tmp_path / 'out' / 'report.html'}" in made.out
    again = trivium_command("compare", "--out", tmp_path / "out", "--json")
    assert [each["name"] for each in json.loads(again.out)["standings"]] == ["a", "b"]
    wrong = trivium_command("compare", "lstm-and-transformer", "--seeds", "0", "--out", tmp_path / "other")
    assert (wrong.code, wrong.out) == (2, "")
    assert "seeds = 0: it must be at least 1" in wrong.err
    one = trivium_command("compare", "--out", tmp_path / "out", "--cell", "b/seed-0")
    assert (one.code, one.out) == (0, "b, seed 0: done\n")
    one = trivium_command("compare", "--out", tmp_path / "out", "--cell", "b/seed-0", "--seeds", "2")
    assert one.code == 2
    assert "--cell makes one training" in one.err


@pytest.mark.slow  # seven processes of a few seconds
def test_cells_in_processes_a_kill_and_a_failure(tmp_path):
    """Killed with all its cells in the middle of a training; what was finished is not made again, the rest goes on.
    A contender that no network can be made of fails, and the others stand."""
    draw = random.Random(1)
    text = tmp_path / "text.jsonl"
    text.write_text("\n".join(json.dumps({"text": " ".join(draw.choices("abcdefgh", k=90))}) for _ in range(60)))
    experiment = tmp_path / "experiment.toml"
    sets = [*SETS, "training.checkpoint_every=30", "training.sample_every=0"]
    content = EXPERIMENT.format(text=text, sets=", ".join(json.dumps(each) for each in sets))
    content = content.replace("ngrams = 2", "").replace("tokens = 1000", "tokens = 9000")
    third = '  { name = "c", recipe = "gpt2-mini", share = 0.01, set = ["model.context=16", "model.heads=7"] },\n]'
    experiment.write_text(content.rstrip().removesuffix("]") + third)
    out = tmp_path / "out"
    command = [sys.executable, "-m", "trivium", "compare", str(experiment), "--out", str(out), "--how", "processes"]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (out / "a" / "seed-0" / "checkpoints" / "step-00000030").exists() and time.monotonic() < until:
        time.sleep(0.02)
    running.kill()
    running.wait()
    time.sleep(0.5)  # the cell under way is told by the system, saves and ends
    assert not (out / "report.html").exists()
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "c, seed 0: " in done.stderr
    assert "heads" in done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()[1:3]] == ["a", "b"]
    assert json.loads((out / "cells" / "a" / "seed-0.json").read_text())["steps"] == 71
    assert (out / "report.html").exists()


def test_compare_two_runs_and_count_wins(trivium_command, tiny_models, text_file, tmp_path):
    pair = ("compare", tiny_models["gpt2"], tiny_models["llama"], "--data", text_file)
    made = trivium_command(*pair)
    assert made.code == 0, made.err
    assert "bits per byte" in made.out.splitlines()[0] and "over 200 lines" in made.out.splitlines()[0]
    assert made.out.splitlines()[1].startswith("note: 10 documents are few to resample")
    assert made.out.splitlines()[3].split() == ["line", "gpt2", "llama", "gold", "text"]
    assert made.out.splitlines()[-1].endswith("more: all of them with --json")
    found = json.loads(trivium_command(*pair, "--json").out)
    assert found["verdict"] == made.out.splitlines()[0] and len(found["apart"]) > 150
    wrong = trivium_command("compare", tiny_models["gpt2"], tmp_path / "nothing")
    assert (wrong.code, wrong.out) == (2, "") or wrong.code == 3
    assert len(wrong.err.splitlines()) == 1 and "nothing" in wrong.err
    alone = trivium_command("compare", tiny_models["gpt2"], "--suite", "sst2")
    assert (alone.code, alone.out) == (2, "") and "name both" in alone.err
    scores = tmp_path / "scores.csv"
    scores.write_text("system,sst2,rte\nours,93.1,70.0\ntheirs,92.0,70.0\n")
    counted = trivium_command("compare", "--table", scores)
    assert counted.out.splitlines()[0] == "ours: best in 2 of 2 columns, 1 of them shared"
    assert json.loads(trivium_command("compare", "--table", scores, "--json").out)[0]["alone"] == ["sst2"]
