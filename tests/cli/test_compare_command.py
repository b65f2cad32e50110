"""``trivium compare`` from the command line: figures on stdout, one JSON document when asked, mistakes in a line."""

import json
import random

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
    assert made.out.splitlines()[0].split()[:3] == ["model", "parameters", "loss"]
    assert "b minus a" in made.out
    assert "(one seed)" in made.out
    assert f"report: {tmp_path / 'out' / 'report.html'}" in made.out
    again = trivium_command("compare", "--out", tmp_path / "out", "--json")
    assert [each["name"] for each in json.loads(again.out)["standings"]] == ["a", "b"]
    wrong = trivium_command("compare", "lstm-and-transformer", "--seeds", "0", "--out", tmp_path / "other")
    assert (wrong.code, wrong.out) == (2, "")
    assert "seeds = 0: it must be at least 1" in wrong.err
