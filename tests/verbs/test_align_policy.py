"""``trivium align --method ppo`` and ``grpo`` as whole runs: killed and resumed, with rewards of every kind."""

import json
import math
import os
import shutil
import signal
from dataclasses import replace
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
import torch

import trivium
from trivium.alignment.hacking import distinct, overoptimised, repeated, warnings
from trivium.alignment.rewards import Asked
from trivium.alignment.rollouts import Writing, written
from trivium.errors import DataError, SettingsError
from trivium.randomness import key
from trivium.text.chat_templates import ChatTemplate
from trivium.text.chats import Message
from trivium.tokenizers.chats import ChatRenderer
from trivium.training.checkpoint import Checkpoints
from trivium.verbs.align import align, alignment
from trivium.verbs.align_policy import opened_rewards
from trivium.verbs.reward_models import open_reward_model
from trivium.verbs.source_model import weights_digest

TIMED = ("seconds", "tokens_per_second", "mfu")
MINE = "def share(prompt, responses, example):\n    return [each.count('e') / (1 + len(each)) for each in responses]\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Prompts, text and a user's reward."""
    path = tmp_path_factory.mktemp("policy")
    rows = [{"question": f"item {n}?", "answer": f"so #### {n}"} for n in range(24)]
    (path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (path / "dev.jsonl").write_text("\n".join(map(json.dumps, rows[:4])), encoding="utf-8")
    (path / "old.txt").write_text("A list is a mutable sequence of items.\n\n" * 40, encoding="utf-8")
    (path / "mine.py").write_text(MINE, encoding="utf-8")
    return path


def settings(folder, tiny_models, method, *sets, rewards=None, **flags):
    given = {
        "model": str(tiny_models["gpt2"]), "train": str(folder / "train.jsonl"), "dev": str(folder / "dev.jsonl"),
        "template": "plain", "method": {"rewards": rewards or [f"{folder}/mine.py:share", "0.1*length=3"]}, **flags,
    }  # fmt: skip
    small = ["method.max_tokens=6", "training.batch=4", "training.steps=8", "training.learning_rate=0.003",
             "training.evaluations=2", "training.checkpoint_every=1", "training.log_every=1", "training.keep=20",
             "training.precision=float32"]  # fmt: skip
    return alignment(method, given, [*small, *sets])


PPO = ("method.epochs=2", "method.minibatches=2", "method.kl_target=0.01", "method.kl_horizon=8")
GRPO = ("method.group=3", "method.minibatches=2")


def end_state(path, step=8):
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    hashed = Checkpoints(path / "checkpoints", 20).load(step).state_hash
    return hashed, [{k: v for k, v in line.items() if k not in TIMED} for line in lines]


@pytest.mark.parametrize(("method", "own"), [("ppo", PPO), ("grpo", GRPO)])
def test_killed_within_a_round_and_resumed_is_bit_for_bit_the_same(tmp_path, folder, tiny_models, method, own):
    asked = settings(folder, tiny_models, method, *own)
    whole = align(asked, tmp_path / "whole", quiet=True)

    def kill(step):
        if step.number == 5:  # the last checkpoint is within a round
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        align(asked, tmp_path / "killed", quiet=True, on_step=kill)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    with pytest.raises(SettingsError, match="is a file of Python, which a run's folder never brings in"):
        align(None, tmp_path / "killed", resume=True, quiet=True)
    align(None, tmp_path / "killed", resume=True, rewards=[f"{folder}/mine.py:share"], quiet=True)
    assert end_state(tmp_path / "killed") == end_state(tmp_path / "whole")
    for step in range(5, 9):  # and once more from the end of a round
        shutil.rmtree(tmp_path / "killed" / "checkpoints" / f"step-{step:08d}")
    align(None, tmp_path / "killed", resume=True, rewards=[f"{folder}/mine.py:share"], quiet=True)
    assert end_state(tmp_path / "killed") == end_state(tmp_path / "whole")
    rounds = [line for line in whole.history if line["kind"] == "rollouts"]
    updates = 4 if method == "ppo" else 2
    assert [line["round"] for line in rounds] == list(range(8 // updates))
    assert [line["step"] for line in rounds] == [1 + n * updates for n in range(8 // updates)]
    if method == "ppo":
        assert rounds[1]["price"] != rounds[0]["price"] == 0.2


def test_a_checkpoint_within_a_round_holds_the_round(tmp_path, folder, tiny_models):
    """What is left of it is replayed from any of them: the proof of every resumed run holds."""
    asked = settings(folder, tiny_models, "ppo", *PPO)
    align(asked, tmp_path / "run", quiet=True)
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints", 20)
    held = {step: checkpoints.load(step).optimizer for step in checkpoints.steps()}
    assert not any(name.startswith("fed.") for name in held[0])
    assert torch.equal(held[5]["fed.ids"], held[8]["fed.ids"]) and int(held[8]["fed.round"]) == 1
    assert not torch.equal(held[4]["fed.policy"], held[5]["fed.policy"]) and int(held[4]["fed.round"]) == 0


def test_a_changed_reward_is_refused_and_not_run(tmp_path, folder, tiny_models):
    mine = tmp_path / "mine.py"
    mine.write_text(MINE, encoding="utf-8")
    name = f"{mine}:share"
    asked = settings(folder, tiny_models, "grpo", *GRPO, "training.steps=2", rewards=[name])
    made = align(asked, tmp_path / "run", quiet=True)
    assert made.figures["rewards"] == [name] and len(made.figures["sha256"][0]) == 64
    recorded = (tmp_path / "run" / "trivium.toml").read_text(encoding="utf-8")
    assert made.figures["sha256"][0] in recorded
    mine.write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')\n{MINE}", encoding="utf-8")
    with pytest.raises(SettingsError, match="is not what the run was begun with"):
        align(None, tmp_path / "run", resume=True, rewards=[name], quiet=True)
    trivium.load(tmp_path / "run").generate("item")  # neither loading nor writing reads it
    mine.unlink()
    with pytest.raises(SettingsError, match="cannot be read"):
        align(None, tmp_path / "run", resume=True, rewards=[name], quiet=True)
    trivium.load(tmp_path / "run").generate("item")
    assert not (tmp_path / "was_run").exists()


def test_a_run_s_folder_never_brings_code_in(tmp_path, folder, tiny_models):
    """Whatever stands in its trivium.toml."""
    asked = settings(folder, tiny_models, "grpo", *GRPO, "training.steps=2", rewards=["length=3"])
    align(asked, tmp_path / "run", quiet=True)
    evil = tmp_path / "evil.py"
    evil.write_text(f"open({str(tmp_path / 'was_run')!r}, 'w')\n{MINE}", encoding="utf-8")
    recipe = tmp_path / "run" / "trivium.toml"
    recipe.write_text(recipe.read_text(encoding="utf-8").replace("length=3", f"{evil}:share"), encoding="utf-8")
    with pytest.raises(SettingsError, match="name it again"):
        align(None, tmp_path / "run", resume=True, quiet=True)
    trivium.load(tmp_path / "run")
    assert not (tmp_path / "was_run").exists()


class Parsed(HTMLParser):
    def __init__(self):
        super().__init__()
        self.links, self.text = [], []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href") and not value.startswith("#")]

    def handle_data(self, data):
        self.text.append(data)


def test_a_finished_run_opens_elsewhere_and_shows_its_course(tmp_path, folder, tiny_models):
    made = align(settings(folder, tiny_models, "ppo", *PPO), tmp_path / "run", quiet=True)
    assert made.before["win_rate"] == 0.5 and made.before["kl"] == 0.0 and made.opens_in_transformers
    page = Parsed()
    page.feed((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    said = " ".join(page.text)
    assert not page.links
    for words in ("win rate", "nats a response", "Length of the responses", "repeated", "What to look at"):
        assert words in said or words in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    loaded = trivium.load(tmp_path / "run")
    assert "value" not in loaded.model.heads and loaded.generate("item").text is not None
    transformers = pytest.importorskip("transformers")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    ids = torch.tensor([[5, 6, 7]])
    from trivium.transformer import Inputs, Tokens

    ours = loaded.model(Inputs(target=Tokens(ids)), at="all").logits
    assert torch.allclose(theirs(ids).logits, ours, atol=1e-4)


@pytest.mark.parametrize("method", ["ppo", "grpo"])
def test_lora_learns_beside_the_reference_that_it_shares(tmp_path, folder, tiny_models, method):
    asked = settings(folder, tiny_models, method, weights="lora", rewards=["length=3"])
    made = align(asked, tmp_path / "run", quiet=True)
    assert made.after["kl"] != 0 and made.before["kl"] == 0
    assert trivium.load(tmp_path / "run").generate("item").text is not None


def test_text_that_is_not_to_be_forgotten_is_learnt_beside(tmp_path, folder, tiny_models):
    """PPO-ptx: its loss is named, falls, and counts ``mix`` in the step's loss."""
    sets = (f'method.remember=["{folder}/old.txt"]', "method.mix=2", "method.length=16", "method.rows=2")
    made = align(settings(folder, tiny_models, "grpo", *GRPO, *sets), tmp_path / "run", quiet=True)
    lines = [line for line in made.history if line["kind"] == "train"]
    first, last = lines[0], lines[-1]
    assert set(first["losses"]) == {"clipped", "policy", "pretraining"}
    assert last["losses"]["pretraining"] < first["losses"]["pretraining"] - 0.1
    expected = first["losses"]["policy"] + 2 * first["losses"]["pretraining"]
    assert first["loss"] == pytest.approx(expected, rel=1e-6)


def test_the_first_step_is_the_gradient_of_a_plain_policy(tmp_path, folder, tiny_models):
    """At the first update of a round the ratio is 1, so that PPO's loss is -mean(whitened advantages) = 0."""
    made = align(settings(folder, tiny_models, "ppo", "training.steps=1"), tmp_path / "run", quiet=True)
    (line,) = [line for line in made.history if line["kind"] == "train"]
    assert line["losses"]["policy"] == pytest.approx(0, abs=1e-6) and line["losses"]["value"] > 0
    assert line["losses"]["clipped"] == 0


def test_a_reward_model_judges_responses(tmp_path, folder, tiny_models):
    """Of a folder that ``--method reward`` left; its numbers are those that it gives by itself, less its shift."""
    rows = [{"prompt": f"item {n}?", "chosen": "it is", "rejected": "no"} for n in range(8)]
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    given = {"model": str(tiny_models["gpt2"]), "train": str(pairs), "template": "plain"}
    quick = ["training.steps=2", "training.batch=4", "training.precision=float32"]
    judge = tmp_path / "judge"
    align(alignment("reward", given, quick), judge, quiet=True)
    asked = settings(folder, tiny_models, "ppo", "training.steps=4", rewards=[str(judge)])
    made = align(asked, tmp_path / "run", quiet=True)
    assert made.figures["sha256"] == [weights_digest(judge)]
    model = open_reward_model(judge)
    start = SimpleNamespace(training=SimpleNamespace(device="cpu"), named=())
    (reward,) = opened_rewards(SimpleNamespace(rewards=(f"2*{judge}",), sha256=()), start)
    said = [Asked((Message("user", "item 1?"),), text, {}, "here") for text in ("it is", "", "no no")]
    chats = [(*each.messages, Message("assistant", each.response)) for each in said]
    expected = model.rewards([chats[0], chats[2]], shifted=True)
    scores = reward.judge(said)
    assert reward.weight == 2 and [scores[0], scores[2]] == pytest.approx(expected, rel=1e-5)
    assert all(map(math.isfinite, scores)) and scores[1] != scores[0]
    assert reward.judge(said[:1]) == pytest.approx(scores[:1], rel=1e-5)
    weights = judge / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\x00\x3f")
    with pytest.raises(SettingsError, match="is not what the run was begun with"):
        align(None, tmp_path / "run", resume=True, quiet=True)


def test_a_judge_that_nothing_is_learnt_from_stands_beside_the_reward(tmp_path, folder, tiny_models):
    """Its figures are those that it gives by itself to the same responses; it is written down, and stays the same."""
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"item {n}?", "chosen": "it is", "rejected": "no"} for n in range(8)]
    pairs.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    judge = tmp_path / "judge"
    given = {"model": str(tiny_models["llama"]), "train": str(pairs), "template": "plain"}
    align(alignment("reward", given, ["training.steps=2", "training.batch=4"]), judge, quiet=True)
    asked = settings(folder, tiny_models, "grpo", *GRPO, f"method.judge={judge}", rewards=["length=3"])
    made = align(asked, tmp_path / "run", quiet=True)
    assert made.before["judge_win_rate"] == 0.5 and made.before["judge_reward_difference"] == 0
    assert f'judge_sha256 = "{weights_digest(judge)}"' in (tmp_path / "run" / "trivium.toml").read_text("utf-8")
    base = trivium.load(tiny_models["gpt2"])
    template = (tmp_path / "run" / "chat_template.jinja").read_text("utf-8")
    said = replies((made.model, base.model), folder, base.tokenizer, template)
    expected = [r - s for r, s in zip(*(open_reward_model(judge).rewards(each, True) for each in said), strict=True)]
    assert made.after["judge_reward_difference"] == pytest.approx(sum(expected) / len(expected), abs=1e-4)
    wins = sum((each > 0) + 0.5 * (each == 0) for each in expected) / len(expected)
    assert made.after["judge_win_rate"] == pytest.approx(wins)
    assert made.after["reward_difference"] == pytest.approx(made.after["reward"] - made.before["reward"])
    assert made.after["kl_low"] <= made.after["kl"] <= made.after["kl_high"]
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "by the judge" in page and "judge_reward_difference" in page
    weights = judge / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\x00\x00\x00\x3f")
    with pytest.raises(SettingsError, match="the judge .* is not what the run was begun with"):
        align(None, tmp_path / "run", resume=True, quiet=True)


def replies(models, folder, tokenizer, template):
    """What each model says to the prompts of dev with the run's random numbers, as conversations."""
    asked = [json.loads(row)["question"] for row in (folder / "dev.jsonl").read_text("utf-8").splitlines()]
    renderer = ChatRenderer(tokenizer, ChatTemplate(template))
    prompts = [(Message("user", each),) for each in asked]
    writing = Writing(6, 1.0, tokenizer.end, tokenizer.vocab_size)
    rows = [tuple(renderer.ids(each)) for each in prompts]
    found = []
    for model in models:
        texts = written(model, rows, range(len(rows)), writing, key(0, "judging") >> 1).responses()
        said = [tokenizer.decode(ids) for ids in texts]
        found.append([(*each, Message("assistant", text)) for each, text in zip(prompts, said, strict=True)])
    return found


@pytest.mark.parametrize("method", ["ppo", "sft"])
def test_rows_with_an_empty_turn_are_counted_when_that_is_asked_for(tmp_path, folder, tiny_models, method):
    rows = [{"question": f"item {n}?", "answer": f"so {n}"} for n in range(5)]
    rows[2:2] = [{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": " "}]}]
    train = tmp_path / "train.jsonl"
    train.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    given = {"model": str(tiny_models["gpt2"]), "train": str(train), "template": "plain"}
    given |= {"method": {"rewards": ["length=3"]}} if method == "ppo" else {}
    sets = ["training.steps=1", "training.batch=4", *(["method.max_tokens=4"] if method == "ppo" else [])]
    with pytest.raises(DataError, match=r"train.jsonl:3: messages\[1\]: the text in 'content' is empty"):
        align(alignment(method, given, sets), tmp_path / "a", quiet=True)
    made = align(alignment(method, given, [*sets, "method.empty=drop"]), tmp_path / "run", quiet=True)
    what = {"ppo": "prompts", "sft": "conversations"}[method]
    note = f"1 of 6 {what} of train were left out, with an empty turn; the first is {train}:3"
    assert made.examples == 5 and note in made.notes
    train.write_text(json.dumps(rows[2]), encoding="utf-8")
    with pytest.raises(DataError, match=r"train can be (learnt from|answered): 1 of 1 .*jsonl:1: give others"):
        align(alignment(method, given, [*sets, "method.empty=drop"]), tmp_path / "b", quiet=True)


@pytest.mark.parametrize(
    ("sets", "flags", "error", "said"),
    [
        ((), {"rewards": ["gsm"]}, SettingsError, "there is no reward 'gsm': did you mean gsm8k"),
        (("method.max_tokens=0",), {}, SettingsError, "method.max_tokens is 0"),
        (("method.temperature=0",), {}, SettingsError, "method.temperature is 0"),
        (("method.judge=x",), {"dev": None}, SettingsError, "method.judge compares responses to prompts of dev"),
        (("method.judged=0",), {}, SettingsError, "method.judged is 0"),
        (("method.max_tokens=200",), {}, DataError, "no prompt of train leaves room for 200 tokens in a context of 64"),
        (("method.minibatches=9",), {}, SettingsError, "do not fill 9 minibatches"),
        (('method.remember=["none.txt"]',), {}, DataError, "none.txt"),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(tmp_path, folder, tiny_models, sets, flags, error, said):
    with pytest.raises(error, match=said):
        align(settings(folder, tiny_models, "ppo", *sets, **flags), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_no_reward_at_all_is_refused(tmp_path, folder, tiny_models):
    asked = settings(folder, tiny_models, "ppo")
    with pytest.raises(SettingsError, match="there is no reward: give at least one with --reward"):
        align(replace(asked, method=replace(asked.method, rewards=())), tmp_path / "run", quiet=True)


def test_a_reward_that_fails_leaves_a_run_that_can_be_resumed(tmp_path, folder, tiny_models):
    mine = tmp_path / "mine.py"
    mine.write_text(
        "class share:\n    calls = 0\n    def __call__(self, prompt, responses, example):\n        self.calls += 1\n"
        "        return [float('nan') if self.calls > 30 else 1.0] * len(responses)\n",
        encoding="utf-8",
    )
    asked = settings(folder, tiny_models, "ppo", "method.epochs=1", rewards=[f"{mine}:share"])
    with pytest.raises(DataError, match=r"mine.py:share gave nan for a response to the prompt 'item \d+\?' \("):
        align(asked, tmp_path / "run", quiet=True)
    assert Checkpoints(tmp_path / "run" / "checkpoints", 20).steps()[-1] > 0
    align(None, tmp_path / "run", resume=True, rewards=[f"{mine}:share"], quiet=True)


def test_figures_of_texts():
    assert distinct([[1, 2, 1, 2], [1, 2]], 2) == pytest.approx(2 / 4)
    assert distinct([[1]], 2) == 1.0
    assert repeated([[1, 2, 3, 4, 1, 2, 3, 4]]) == pytest.approx(1 / 5) and repeated([[1, 2]]) == 0.0


@pytest.mark.parametrize(
    ("change", "about", "words"),
    [
        ({"length": 40.0, "reward": 1.0}, "length", "grew from 20 to 40 tokens while the reward rose"),
        ({"length": 5.0}, "length", "shrank from 20 to 5"),
        ({"ended": 0.1}, "ended", "90% of the responses do not end"),
        ({"repeated": 0.5}, "repeated", "50% of the sequences of four tokens"),
        ({"distinct_2": 0.1}, "distinct", "became alike"),
        ({"kl": 30.0}, "kl", "30 nats a response away"),
        ({"equal_groups": 1.0}, "groups", "100% of the groups"),
    ],
)
def test_what_may_be_hacking_is_said_in_words(change, about, words):
    first = {"reward": 0.5, "length": 20.0, "ended": 0.9, "repeated": 0.0, "distinct_2": 0.8, "kl": 0.0}
    assert warnings(first, first) == {}
    found = warnings(first, {**first, **change})
    assert list(found) == [about] and words in found[about]


def test_a_reward_that_a_judge_turns_away_from_is_said_to_be_over_optimised():
    course = [(0, 0.0, 0.5), (10, 0.4, 0.7), (20, 0.9, 0.45)]
    lines = [{"step": s, "reward": r, "judge_win_rate": w} for s, r, w in course]
    assert overoptimised([]) == overoptimised(lines[:2]) == {}
    assert overoptimised([{"step": each["step"], "reward": each["reward"]} for each in lines]) == {}
    found = overoptimised(lines)["judge"]
    assert "45% of the responses" in found and "after update 10 it was 70%" in found and "from 0.4 to 0.9" in found
    assert overoptimised([*lines[:2], {**lines[2], "reward": 0.3}]) == {}  # the reward fell, too
    assert overoptimised([*lines[:2], {**lines[2], "judge_win_rate": 0.65}]) == {}
