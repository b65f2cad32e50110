"""The experiments that the tests of comparisons run: a made-up text, recipes, examples; two decoders, and stacks."""

import json
import random

from trivium.verbs import compare_cell

WORDS = "the cat dog sat ran on under a mat hill and then it saw one red old bird while we were away from home".split()
RECIPE = """
[data]
corpus = "python-docs"
[tokenizer]
vocab_size = 300
[model]
family = "{family}"
size = "tiny"
context = 16
[objective]
kind = "{objective}"
[training]
steps = 1
batch_tokens = 128
evaluate_every = 5
checkpoint_every = 5
log_every = 5
precision = "float32"
device = "cpu"
optimizer = {{ kind = "adamw", learning_rate = 0.01 }}
"""
COMMON = """
[data]
files = ["{text}"]
heldout = 0.1
[tokenizer]
vocab_size = 320
"""
DECODERS = """
title = "Two <b>decoders</b>"
tokens = 2000
seeds = 2
ngrams = 3
lengths = [8, 16]
{common}
[[contenders]]
name = "narrow"
recipe = "{gpt2}"
[[contenders]]
name = "wide"
recipe = "{gpt2}"
set = ["model.width=64", "model.ffn_width=64"]
"""
STACKS = """
title = "Stacks and sizes"
question = "Which stack?"
flops = 4e8
passages = 2
minimal_pairs = "{pairs}"
reference = "all"
{common}
[[matrix]]
name = "stack"
groups = [
  {{ name = "decoder", recipe = "{gpt2}" }},
  {{ name = "encoder", recipe = "{bert}" }},
  {{ name = "both", recipe = "{t5}", set = ["training.batch_tokens=64"] }},
]
[[matrix]]
name = "size"
groups = [ {{ name = "small" }}, {{ name = "wide", set = ["model.width=64"] }} ]
[[contenders]]
name = "untrained"
recipe = "{bert}"
share = 0
[[contenders]]
name = "vectors"
baseline = "skipgram"
[[contenders]]
name = "most frequent"
baseline = "majority"
[[transfer]]
name = "kind"
train = "$LABORATORY/train.jsonl"
dev = "$LABORATORY/dev.jsonl"
encoder = ["pooling=mean"]
examples = 24
seeds = 2
epochs = 1
[[transfer]]
name = "echo"
task = "rewriting"
train = "$LABORATORY/echo.jsonl"
dev = "$LABORATORY/echoes.jsonl"
set = ["target_length=4"]
steps = 1
[[transfer]]
name = "absent"
optional = true
train = "$NOT_SET_ANYWHERE/train.jsonl"
dev = "$NOT_SET_ANYWHERE/dev.jsonl"
"""


def write_experiments(made):
    """A text, recipes, examples, and two experiments, into a folder."""
    draw = random.Random(0)
    lines = [json.dumps({"text": " ".join(draw.choices(WORDS, k=draw.randrange(20, 60)))}) for _ in range(80)]
    (made / "text.jsonl").write_text("\n".join(lines))
    for family, objective in (("gpt2", "causal"), ("bert", "masked"), ("t5", "corruption")):
        (made / f"{family}.toml").write_text(RECIPE.format(family=family, objective=objective))
    for name, count in (("train", 30), ("dev", 12)):
        rows = [
            {"text": " ".join(draw.choices(["cat", "dog"] if i % 3 else ["hill", "mat"], k=4)), "label": str(i % 3 > 0)}
            for i in range(count)
        ]
        (made / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    for name, words in (("echo", WORDS[:6]), ("echoes", WORDS[6:9])):
        echo = [{"source": f"{word} old", "target": word} for word in words]
        (made / f"{name}.jsonl").write_text("\n".join(map(json.dumps, echo)))
    pair = {"sentence_good": "the cat sat on the mat", "sentence_bad": "sat the mat cat on the", "UID": "order"}
    (made / "pairs.jsonl").write_text(json.dumps(pair) + "\n")
    named = {f: made / f"{f}.toml" for f in ("gpt2", "bert", "t5")} | {"pairs": made / "pairs.jsonl"}
    common = COMMON.format(text=made / "text.jsonl")
    (made / "decoders.toml").write_text(DECODERS.format(common=common, **named))
    (made / "stacks.toml").write_text(STACKS.format(common=common, **named))
    return made

def refuse_training(monkeypatch):
    """From here on no cell is made."""

    def refuse(*given, **named):
        raise AssertionError("a finished cell was made again")

    for name in ("pretrain", "transferred", "baseline_transferred"):
        monkeypatch.setattr(compare_cell, name, refuse)
