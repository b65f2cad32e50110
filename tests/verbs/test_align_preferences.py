"""``trivium align`` with preferences: runs that are killed, and rows and settings that cannot be followed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.verbs.preferences import asked, rows, written

from trivium.errors import DataError, SettingsError, StoppedError
from trivium.training.checkpoint import Checkpoints
from trivium.training.signals import Interrupted
from trivium.verbs.align import align


def untimed(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's metrics, without what the clock says."""
    timed = ("seconds", "tokens_per_second", "mfu")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    return [{name: value for name, value in line.items() if name not in timed} for line in lines]


KILLED = """
import os, signal, sys
from pathlib import Path
from trivium.settings import build, read_toml
from trivium.verbs.align import Alignment, align
def end(step):
    if step.number == 4:
        os.kill(os.getpid(), signal.SIGKILL)
align(build(Alignment, read_toml(Path({recipe!r}))), {out!r}, on_step=end, quiet=True)
"""


@pytest.mark.parametrize(("method", "weights"), [("reward", "full"), ("dpo", "lora")])
def test_a_killed_run_goes_on_bit_for_bit(tiny_models, files, tmp_path, method: str, weights: str) -> None:
    from trivium.settings import dump, to_toml

    settings = asked(
        method, tiny_models["llama"], files, "training.checkpoint_every=2", "training.log_every=1", weights=weights
    )
    whole = align(settings, tmp_path / "whole", quiet=True)
    recipe, out = tmp_path / "asked.toml", tmp_path / "killed"
    recipe.write_text(to_toml(dump(settings)))
    code = KILLED.format(recipe=str(recipe), out=str(out))
    ended = subprocess.run([sys.executable, "-c", code], env=os.environ | {"OMP_NUM_THREADS": "1"}, check=False)
    assert ended.returncode == -signal.SIGKILL
    scores = out / "data" / "reference-train.safetensors"
    before = scores.stat().st_mtime_ns if method == "dpo" else 0
    resumed = align(None, out, resume=True, quiet=True)
    assert not before or scores.stat().st_mtime_ns == before  # the reference is not asked again
    theirs = whole.model.state_dict()
    for name, tensor in resumed.model.state_dict().items():
        assert torch.equal(tensor, theirs[name]), name
    assert untimed(tmp_path / "whole") == untimed(out) and len(resumed.history) == len(whole.history)
    weights_file = "adapter_model.safetensors" if weights == "lora" else "model.safetensors"
    assert (out / weights_file).read_bytes() == (tmp_path / "whole" / weights_file).read_bytes()


@pytest.mark.parametrize(("method", "weights"), [("dpo", "lora"), ("reward", "full")])
def test_a_run_that_was_stopped_before_its_first_step_evaluates_it_once(
    tiny_models, files, tmp_path, monkeypatch, method: str, weights: str
) -> None:
    """Its first evaluation is written, and no checkpoint yet."""
    settings = asked(method, tiny_models["gpt2"], files, "training.steps=2", "training.log_every=1", weights=weights)
    align(settings, tmp_path / "whole", quiet=True)

    def stopped(self: Checkpoints, *args: object) -> str:
        raise Interrupted("stopped", signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", stopped)
        with pytest.raises(Interrupted):
            align(settings, tmp_path / "run", quiet=True)
    assert [line["kind"] for line in untimed(tmp_path / "run")] == ["evaluation"]
    align(None, tmp_path / "run", resume=True, quiet=True)
    assert untimed(tmp_path / "run") == untimed(tmp_path / "whole")


# ---- bad input ----


SAME = "it is a list, thank you."


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chosen": SAME, "rejected": SAME}, "'chosen' and 'rejected' are equal"),
        ({"chosen": " "}, "the text in 'chosen' is empty"),
        ({"rejected": None}, "the text in 'rejected' is null"),
        ({"margin": "much"}, "the number in 'margin' is 'much'"),
        ({"margin": float("nan")}, "the number in 'margin' is nan"),
        ({"instruction": ""}, "the text in 'instruction' is empty"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["reward", "dpo"])
def test_bad_rows_are_named(tiny_models, files, tmp_path, method: str, change: dict, message: str) -> None:
    bad = rows(4)
    bad[1] |= change
    train = written(tmp_path / "train.jsonl", bad)
    with pytest.raises(DataError, match=f"train.jsonl:2: {message}"):
        align(asked(method, tiny_models["llama"], (train, files[1])), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_replies_that_the_template_makes_equal_are_refused(tiny_models, files, tmp_path) -> None:
    (tmp_path / "strict.jinja").write_text(
        "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}{{ eos_token }}{% endfor %}"
    )
    bad = [row | {"rejected": row["chosen"] + " "} for row in rows(4)]
    train = written(tmp_path / "train.jsonl", bad)
    settings = asked("dpo", tiny_models["llama"], (train, files[1]), template=str(tmp_path / "strict.jinja"))
    with pytest.raises(DataError, match="train.jsonl:1: 'chosen' and 'rejected' are the same tokens"):
        align(settings, tmp_path / "run", quiet=True)


def test_a_damaged_model_is_stopped_at_the_reference(tiny_models, files, tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "damaged"
    folder.mkdir()
    for file in tiny_models["llama"].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    tensors = load_file(folder / "model.safetensors")
    next(iter(tensors.values()))[:] = float("nan")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(StoppedError, match=r"log-probabilities of pair 1 are \[nan, nan\]"):
        align(asked("dpo", folder, files, "method.samples=0"), tmp_path / "run", quiet=True)


def test_pairs_that_do_not_fit_are_counted_or_refused(tiny_models, files, tmp_path) -> None:
    long = rows(4)
    long[2]["instruction"] = "what is " * 400
    train = written(tmp_path / "train.jsonl", long)
    settings = asked("reward", tiny_models["llama"], (train, files[1]), "method.length=60")
    made = align(settings, tmp_path / "a", quiet=True)
    assert made.examples == 3
    assert any("1 of 4 pairs of train were left out" in note and "train.jsonl:3" in note for note in made.notes)
    settings = asked("dpo", tiny_models["llama"], (train, files[1]), "method.length=60", "method.too_long=error")
    with pytest.raises(DataError, match=r"train.jsonl:3: the prompt has \d+ tokens .* but 60 are read"):
        align(settings, tmp_path / "b", quiet=True)
    with pytest.raises(DataError, match=r"no pair of train fits into 4 tokens, the first of them .*train.jsonl:1"):
        align(asked("dpo", tiny_models["llama"], (train, files[1]), "method.length=4"), tmp_path / "b", quiet=True)


def test_equal_pairs_are_counted_when_that_is_asked_for(tiny_models, files, tmp_path) -> None:
    some = rows(4)
    some[2]["rejected"] = some[2]["chosen"]
    train = written(tmp_path / "train.jsonl", some)
    settings = asked("reward", tiny_models["llama"], (train, files[1]), "method.equal=drop")
    made = align(settings, tmp_path / "run", quiet=True)
    assert made.examples == 3
    (note,) = [each for each in made.notes if "equal" in each]
    assert note.startswith("1 of 4 pairs of train were left out, with equal sides") and note.endswith("train.jsonl:3")
    alone = written(tmp_path / "train.jsonl", [some[2]])
    with pytest.raises(DataError, match="no pair of train can be learnt from: 1 of 1 pairs .* equal sides; the first "):
        align(asked("dpo", tiny_models["llama"], (alone, files[1]), "method.equal=drop"), tmp_path / "b", quiet=True)


EMPTY_TURN = "\n\nHuman: what is a list\n\nAssistant:\n\nHuman: and a file\n\nAssistant: "


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ({"chosen": f"{EMPTY_TURN}it is a file", "rejected": f"{EMPTY_TURN}none"}, "message 2 is empty"),
        ({"chosen": "\n\nHuman: a list?\n\nAssistant: yes", "rejected": "\n\nHuman: a list?\n\nAssistant:"},
         "message 2 is empty"),
        ({"prompt": " ", "chosen": "it is a file", "rejected": "none"}, "the text in 'prompt' is empty"),
        ({"prompt": [{"role": "user", "content": ""}], "chosen": "it is a file", "rejected": "none"},
         r"prompt\[0\]: the text in 'content' is empty"),
    ],
)  # fmt: skip
def test_pairs_with_an_empty_turn_are_counted_when_that_is_asked_for(
    tiny_models, files, tmp_path, row: dict[str, Any], fault: str
) -> None:
    some = rows(4)
    some[1:1] = [row]
    train = written(tmp_path / "train.jsonl", some)
    with pytest.raises(DataError, match=f"train.jsonl:2: {fault}"):
        align(asked("reward", tiny_models["llama"], (train, files[1])), tmp_path / "a", quiet=True)
    settings = asked("reward", tiny_models["llama"], (train, files[1]), "method.empty=drop", "training.steps=1")
    made = align(settings, tmp_path / "run", quiet=True)
    assert made.examples == 4
    (note,) = [each for each in made.notes if "empty turn" in each]
    assert note.startswith("1 of 5 pairs of train were left out, with an empty turn") and note.endswith("train.jsonl:2")
    assert note[1:] in (tmp_path / "run" / "README.md").read_text("utf-8")
    some[1] = {"prompt": "a", "chosen": "b", "rejected": "b"}  # another fault is still refused
    written(tmp_path / "train.jsonl", some)
    with pytest.raises(DataError, match="are equal"):
        align(settings, tmp_path / "b", quiet=True)


@pytest.mark.parametrize(
    ("sets", "flags", "message"),
    [
        (["method.beta=0"], {}, "beta = 0"),
        (["method.judge=x", "method.samples=0"], {}, "method.judge compares replies"),
        (["method.judge=x"], {"dev": None}, "method.judge compares replies to prompts of dev: give --dev"),
        (["method.reply_tokens=100000"], {}, "no prompt of dev leaves room for a reply"),
        (["lora.dropout=0.1"], {"weights": "lora"}, "lora.dropout = 0.1: the model is compared"),
        (["method.lenght=3"], {}, "lenght"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_followed(tiny_models, files, tmp_path, sets: list, flags: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        align(asked("dpo", tiny_models["llama"], files, *sets, **flags), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_judge_that_is_a_language_model_is_refused(tiny_models, files, tmp_path) -> None:
    settings = asked("dpo", tiny_models["llama"], files, f"method.judge={tiny_models['llama']}")
    with pytest.raises(SettingsError, match="is no reward model"):
        align(settings, tmp_path / "run", quiet=True)


def test_a_judge_is_written_down_and_stays_the_same(tiny_models, files, judge, tmp_path) -> None:
    from trivium.durable import file_digest
    from trivium.settings import read_toml

    mine = tmp_path / "mine"
    shutil.copytree(judge.directory, mine)
    made = align(asked("dpo", tiny_models["llama"], files, f"method.judge={mine}"), tmp_path / "run", quiet=True)
    digest = file_digest(mine / "model.safetensors")
    assert read_toml(tmp_path / "run" / "trivium.toml")["method"]["judge_sha256"] == digest
    card = (tmp_path / "run" / "README.md").read_text("utf-8")
    assert f"- Judge of its replies: mine (SHA-256 of its weights: {digest})" in card and str(tmp_path) not in card
    again = align(None, tmp_path / "run", resume=True, quiet=True)
    assert again.after == made.after
    shutil.copy(tiny_models["llama"] / "model.safetensors", mine / "model.safetensors")
    with pytest.raises(SettingsError, match=r"the judge .*mine is not what the run was begun with"):
        align(None, tmp_path / "run", resume=True, quiet=True)
