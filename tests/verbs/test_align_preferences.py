"""``trivium align`` with preferences: reward models and direct preference optimisation, and who opens what is saved."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from trivium.alignment.pairs import TokenPairs, reads_endings
from trivium.alignment.reference import log_probabilities
from trivium.errors import DataError, SettingsError, StoppedError
from trivium.text.chats import Message
from trivium.training.checkpoint import Checkpoints
from trivium.training.signals import Interrupted
from trivium.transformer import Inputs, Tokens
from trivium.verbs.align import Aligned, Alignment, align, alignment
from trivium.verbs.align_preference_page import preference_page
from trivium.verbs.load import load
from trivium.verbs.predict import predict
from trivium.verbs.preference_pairs import Reading, read_pairs
from trivium.verbs.reply_comparison import repetition, win_rate
from trivium.verbs.reward_models import open_reward_model

QUICK = ["training.batch=4", "training.steps=6", "training.device=cpu", "training.precision=float32"]
WORDS = ("list", "file", "value", "name", "server")


def rows(count: int) -> list[dict[str, Any]]:
    return [
        {
            "instruction": f"what is a {WORDS[n % 5]}", "input": "", "margin": 0.1,
            "chosen": f"it is a {WORDS[n * 3 % 5]}, thank you.", "rejected": f"the {WORDS[n * 3 % 5]} is none",
        } for n in range(count)
    ]  # fmt: skip


def written(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    return written(tmp_path / "train.jsonl", rows(32)), written(tmp_path / "dev.jsonl", rows(10))


def asked(method: str, model: object, files: tuple[str, str], *sets: str, **flags: object) -> Alignment:
    given = {"model": str(model), "train": files[0], "dev": files[1], "template": "plain", **flags}
    quick = [*QUICK, *(["method.samples=3", "method.reply_tokens=6"] if method == "dpo" else [])]
    return alignment(method, given, [*quick, *sets])


def conversations(count: int = 3) -> list[tuple[Message, ...]]:
    return [(Message("user", row["instruction"]), Message("assistant", row["chosen"])) for row in rows(count)]


@pytest.fixture(scope="module")
def judge(tiny_models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Aligned:
    folder = tmp_path_factory.mktemp("judge")
    files = written(folder / "train.jsonl", rows(32)), written(folder / "dev.jsonl", rows(10))
    settings = asked("reward", tiny_models["llama"], files, "training.steps=30", "training.learning_rate=0.003")
    return align(settings, folder / "run", quiet=True)


# ---- reward models ----


def test_a_reward_model_learns_which_reply_is_preferred(judge: Aligned) -> None:
    assert judge.after["loss"] < 0.2 < judge.before["loss"] and judge.after["accuracy"] == 1.0
    assert judge.after["accuracy_low"] == pytest.approx(0.7225, abs=1e-3)  # Wilson's of 10 in 10
    assert judge.after["margin"] > judge.before["margin"]
    lines = [line for line in judge.history if line["kind"] == "train"]
    assert lines[-1]["losses"].keys() == {"preference", "accuracy", "margin"}
    assert lines[-1]["loss"] == pytest.approx(lines[-1]["losses"]["preference"])  # what is watched is not learnt


def test_transformers_opens_it_with_the_same_scores_alone_and_padded(judge: Aligned) -> None:
    assert judge.opens_in_transformers
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(judge.directory)
    assert theirs.config.num_labels == 1
    ours = open_reward_model(judge.directory, "cpu")
    ids = [ours.ids(each) for each in conversations()]
    assert theirs.config.pad_token_id not in {row[-1] for row in ids}
    rewards = ours.token_rewards(ids)
    alone = [theirs(torch.tensor([row])).logits.item() for row in ids]
    assert rewards == pytest.approx(alone, abs=1e-4)
    width = max(map(len, ids))
    padded = torch.tensor([row + [theirs.config.pad_token_id] * (width - len(row)) for row in ids])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in ids])
    assert theirs(padded, attention_mask=mask).logits[:, 0].tolist() == pytest.approx(rewards, abs=1e-4)
    assert ours.rewards(conversations()) == pytest.approx(rewards)
    assert ours.rewards(conversations(), shifted=True) == pytest.approx([each - ours.shift for each in rewards])


def test_demonstrations_are_worth_nothing_when_the_shift_is_taken_off(judge: Aligned, tmp_path: Path) -> None:
    ours = open_reward_model(judge.directory, "cpu")
    found = ours.rewards(conversations(32), shifted=True)
    assert sum(found) / 32 == pytest.approx(0, abs=1e-4)
    assert ours.shift == pytest.approx(judge.figures["mean_of_chosen"])


def test_predict_says_what_replies_are_worth(judge: Aligned) -> None:
    given = [{"instruction": row["instruction"], "output": row["chosen"]} for row in rows(2)]
    messages = [{"messages": [each.row() for each in conversation]} for conversation in conversations(2)]
    expected = open_reward_model(judge.directory, "cpu").rewards(conversations(2))
    for asked_rows in (given, messages):
        found = [each.row() for each in predict(judge.directory, asked_rows, device="cpu")]
        assert [row["reward"] for row in found] == pytest.approx(expected, abs=1e-5)
    assert [each.prediction.reward for each in load(judge.directory).predict(given)] == pytest.approx(expected)
    both = [each.row() for each in predict(judge.directory, [rows(1)[0], given[1]], device="cpu")]
    assert both[0]["reward_chosen"] == pytest.approx(expected[0], abs=1e-5) and both[0]["right"] is True
    assert both[0]["reward_rejected"] < both[0]["reward_chosen"]
    assert both[1]["reward"] == pytest.approx(expected[1], abs=1e-5)
    with pytest.raises(DataError, match="row 0: no conversation among the columns 'text'"):
        list(predict(judge.directory, ["only a text"], device="cpu"))


def test_an_adapter_scores_as_the_model_that_was_trained(tiny_models, files, tmp_path) -> None:
    settings = asked("reward", tiny_models["llama"], files, "training.learning_rate=0.01", weights="lora")
    made = align(settings, tmp_path / "run", quiet=True)
    expected = open_reward_model(tmp_path / "run", "cpu")
    made.model.eval()
    mine = type(expected)(made.model, expected.renderer, expected.ends)
    assert expected.rewards(conversations()) == pytest.approx(mine.rewards(conversations()), abs=1e-4)


def test_what_is_no_reward_model_is_refused(tiny_models, judge: Aligned, tmp_path) -> None:
    with pytest.raises(SettingsError, match="is no reward model"):
        open_reward_model(tiny_models["llama"])
    ours = open_reward_model(judge.directory, "cpu")
    assert ours.token_rewards([]) == []
    with pytest.raises(SettingsError, match="row 1 has no tokens"):
        ours.token_rewards([[1, 2], []])
    with pytest.raises(SettingsError, match="and the reward model reads"):
        ours.token_rewards([[1] * 10_000])


# ---- direct preference optimisation ----


@pytest.mark.parametrize("weights", ["full", "lora"])
def test_dpo_moves_the_model_to_what_is_preferred(tiny_models, files, judge, tmp_path, weights: str) -> None:
    rate = 0.002 if weights == "full" else 0.05
    settings = asked(
        "dpo", tiny_models["llama"], files, "training.steps=20", f"training.learning_rate={rate}", "training.batch=8",
        f"method.judge={judge.directory}", weights=weights,
    )  # fmt: skip
    made = align(settings, tmp_path / "run", quiet=True)
    assert made.before["loss"] == pytest.approx(math.log(2), abs=1e-5)  # the model is the reference
    assert (made.before["margin"], made.before["kl"]) == pytest.approx((0, 0), abs=1e-4)
    assert made.before["win_rate"] == 0.5
    assert made.after["loss"] < 0.55 and made.after["accuracy"] > 0.9 and made.after["margin"] > 0.3
    assert made.after["reward_chosen"] > made.after["reward_rejected"]
    moved = made.after["log_probability_chosen"] - made.before["log_probability_chosen"]
    assert made.after["reward_chosen"] == pytest.approx(0.1 * moved, abs=1e-3)  # beta (log pi - log ref)
    assert made.after["kl"] > 0.01 and 0 <= made.after["win_rate_low"] <= made.after["win_rate"] <= 1
    evaluations = [line for line in made.history if line["kind"] == "evaluation"]
    assert all("kl" in line and "accuracy_low" in line for line in evaluations) and len(evaluations) > 5
    assert transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "run") if weights == "full" else True


def test_the_reference_is_what_the_model_said_at_first(tiny_models, files, tmp_path) -> None:
    from safetensors.numpy import load_file

    settings = asked("dpo", tiny_models["llama"], files, weights="lora")
    align(settings, tmp_path / "run", quiet=True)
    kept = load_file(tmp_path / "run" / "data" / "reference-dev.safetensors")["log_probabilities"]
    base = load(tiny_models["llama"])
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tiny_models["llama"]).eval()
    pairs = _pairs(base, settings)
    assert kept.tolist() == pytest.approx(log_probabilities(base.model, pairs), abs=1e-3)
    for pair, row in zip(pairs.pairs, kept, strict=True):
        for side, value in zip((pair.chosen, pair.rejected), row, strict=True):
            labels = torch.full((len(side.ids),), -100)
            labels[side.said] = torch.from_numpy(side.ids[side.said])
            with torch.no_grad():
                loss = theirs(torch.from_numpy(side.ids)[None], labels=labels[None]).loss.item()
            assert -loss * len(side.said) == pytest.approx(value, abs=1e-3)


def _pairs(base: Any, settings: Alignment) -> TokenPairs:
    from types import SimpleNamespace

    from trivium.text.chat_templates import CHAT_TEMPLATES
    from trivium.verbs.alignment_parts import Start

    start = Start(
        base, CHAT_TEMPLATES["plain"], Path(settings.train), Path(settings.dev or ""), {}, None, "full", settings.lora,
        settings.training, Path(), SimpleNamespace,  # type: ignore[arg-type]
    )  # fmt: skip
    dev = read_pairs(start, Reading(too_long="error")).dev
    assert dev is not None and dev.shared is reads_endings(base.config)
    return dev


@pytest.mark.parametrize("model", ["gpt2", "lstm", "qwen2"])
def test_other_decoders_learn_from_preferences_too(tiny_models, files, tmp_path, model: str) -> None:
    for method in ("reward", "dpo"):
        settings = asked(method, tiny_models[model], files, "training.steps=2", "training.evaluations=1")
        made = align(settings, tmp_path / method, quiet=True)
        assert math.isfinite(made.after["loss"])


@pytest.mark.parametrize("sets", [("method.variant=ipo", "method.per_token=true"), ("method.imitation=1",)])
def test_ipo_and_imitation(tiny_models, files, tmp_path, sets: tuple[str, ...]) -> None:
    settings = asked("dpo", tiny_models["llama"], files, "training.learning_rate=0.001", "training.steps=10", *sets)
    made = align(settings, tmp_path / "run", quiet=True)
    assert made.after["loss"] < made.before["loss"] and made.after["margin"] > 0
    if "method.imitation=1" in sets:
        assert made.after["log_probability_chosen"] > made.before["log_probability_chosen"]


def test_one_prompt_has_a_distance_and_no_interval(tiny_models, files, tmp_path) -> None:
    made = align(asked("dpo", tiny_models["llama"], files, "method.samples=1"), tmp_path / "run", quiet=True)
    assert "kl" in made.after and "kl_low" not in made.after


def test_the_adapter_is_in_use_again_after_the_reference_was_asked(tiny_models, files, tmp_path) -> None:
    settings = asked("dpo", tiny_models["llama"], files, "training.learning_rate=0.05", weights="lora")
    made = align(settings, tmp_path / "run", quiet=True)
    written = load(tmp_path / "run")
    ids = torch.tensor([[5, 6, 7, 8]])
    inputs = Inputs(target=Tokens(ids))
    with torch.no_grad():
        after, saved, before = (
            model(inputs, at="all").logits for model in (made.model, written.model, load(tiny_models["llama"]).model)
        )
    torch.testing.assert_close(after, saved, rtol=1e-4, atol=1e-4)
    assert (after - before).abs().max() > 1e-3


# ---- resuming ----

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


# ---- the page ----


class Parsed(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.links += [value for name, value in attrs if name in ("src", "href") and not value.startswith("#")]


def read_page(folder: Path) -> str:
    text = (folder / "report.html").read_text("utf-8")
    page = Parsed()
    page.feed(text)
    assert not page.links and "script" not in page.tags  # one file that loads nothing and runs nothing
    return text


def test_runs_draw_their_course(tiny_models, files, judge: Aligned, tmp_path) -> None:
    page = read_page(judge.directory)
    for words in ("Loss by update", "Accuracy by update", "Margin by update", "0.7225 to 1", "30 updates"):
        assert words in page, words
    assert "What it writes" not in page  # it writes nothing
    settings = asked("dpo", tiny_models["llama"], files, f"method.judge={judge.directory}", "training.evaluations=3")
    made = align(settings, tmp_path / "run", quiet=True)
    page = read_page(tmp_path / "run")
    for name in ("Distance from the reference", "Length of the replies", "Repetition in the replies", "Win rate",
                 "Reward of the replies", "Log-probability of both replies"):  # fmt: skip
        assert f"{name} by update" in page, name
    evaluations = [line for line in made.history if line["kind"] == "evaluation"]
    assert [line["step"] for line in evaluations] == [0, 2, 4, 6]
    for line in evaluations:  # what is compared is compared at each of them
        assert {"kl_low", "reply_tokens_difference", "win_rate", "reward_difference_high"} <= line.keys()
        assert f"{line['win_rate']:.4g}" in page
    assert evaluations[0]["reward_difference"] == 0  # the model is the reference
    alone = alignment("dpo", {"model": str(tiny_models["llama"]), "train": files[0], "template": "plain"}, QUICK)
    align(alone, tmp_path / "alone", quiet=True)
    page = read_page(tmp_path / "alone")
    assert "There was no dev file" in page and "What to look at" not in page and "rejected, in training" in page


def test_the_page_says_where_a_figure_may_deceive() -> None:
    first = {"kind": "evaluation", "step": 0, "loss": 0.7, "accuracy": 0.0, "accuracy_low": 0.0, "accuracy_high": 0.1,
             "margin": 0.0, "kl": 0.0, "log_probability_chosen": -9.0}  # fmt: skip
    last = {
        **first, "step": 5, "accuracy": 0.6, "accuracy_low": 0.4, "accuracy_high": 0.8, "repetition": 0.9,
        "reference_repetition": 0.1, "reply_tokens_difference_low": 3.0, "log_probability_chosen": -12.0,
    }  # fmt: skip
    page = preference_page("dpo", [first, last], "base")
    for words in ("cannot be told from that of guessing", "became less probable", "are longer", "repeat themselves"):
        assert words in page
    good = {**first, "accuracy": 0.9, "accuracy_low": 0.8, "accuracy_high": 0.95, "reply_tokens_difference_high": -1.0}
    page = preference_page("dpo", [first, good], "base")
    assert "are shorter than the reference" in page and "guessing" not in page
    fine = {**good, "reply_tokens_difference_high": 1.0}
    assert "Nothing here gives reason" in preference_page("reward", [first, fine], "")


# ---- figures ----


def test_a_win_rate_counts_equal_rewards_half() -> None:
    found = win_rate([1.0, 2.0, 3.0, 0.0], [0.0, 2.0, 4.0, -1.0])
    assert found.value == 0.625 and 0 <= found.low < found.value < found.high <= 1


@pytest.mark.parametrize(
    ("tokens", "share"), [([1, 2, 3, 1, 2, 3], 0.25), ([5] * 6, 0.75), ([1, 2, 3, 4], 0.0), ([1], 0.0)]
)
def test_repetition_is_the_share_of_runs_that_came_before(tokens: list[int], share: float) -> None:
    assert repetition(tokens) == share
