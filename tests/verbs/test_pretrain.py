"""From text to a directory that opens anywhere; resumed, refused and evaluated as promised."""

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trivium.errors import DataError, RefusedError, SettingsError
from trivium.families.huggingface import load
from trivium.settings import build
from trivium.text.shards import Shards
from trivium.tokenizers.bpe import train_bpe
from trivium.training.checkpoint import Checkpoint, Checkpoints
from trivium.verbs.pretrain import pretrain
from trivium.verbs.recipe import Recipe, read_recipe

KINDS = {"gpt2": "causal", "bert": "masked", "t5": "corruption"}
WORDS = "the cat dog sat ran on under a mat hill and then it saw one red old bird while we were away from home".split()


def texts(count: int = 60, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randrange(20, 60))).capitalize() + "." for _ in range(count)]


def recipe(family: str = "gpt2", **changes: object) -> Recipe:
    """A model of some ten thousand parameters for 12 steps; ``changes`` by dotted name with ``__`` for the dot."""
    tables: dict = {
        "data": {"corpus": "python-docs", "heldout": 0.1},
        "tokenizer": {"vocab_size": 320},
        "model": {"family": family, "size": "tiny", "context": 32, "dropout": 0.1},
        "objective": {"kind": KINDS[family]},
        "training": {
            "steps": 12,
            "batch_tokens": 256,
            "precision": "float32",
            "device": "cpu",
            "log_every": 2,
            "checkpoint_every": 5,
            "evaluate_every": 6,
            "optimizer": {"kind": "adamw", "learning_rate": 0.01},
        },
    }
    for dotted, value in changes.items():
        table, _, name = dotted.partition("__")
        tables[table][name] = value
        if dotted in ("training__minutes", "training__tokens"):
            tables["training"].pop("steps")
        if dotted in ("data__files", "data__sources"):
            tables["data"].pop("corpus")
    return build(Recipe, tables)


def run(out: Path, family: str = "gpt2", **changes: object):
    return pretrain(recipe(family, **changes), out, documents=texts(), quiet=True)


def end(out: Path) -> tuple[str, list[dict]]:
    newest = Checkpoints(out / "checkpoints", 2).newest(print)
    assert newest is not None
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    timed = {"seconds", "tokens_per_second", "mfu"}
    return newest.state_hash, [{k: v for k, v in line.items() if k not in timed} for line in lines]


@pytest.fixture(scope="module")
def decoder(tmp_path_factory):
    return run(tmp_path_factory.mktemp("decoder") / "run", training__sample_every=6)


@pytest.mark.parametrize("family", KINDS)
def test_the_directory_opens_in_transformers_and_here_with_the_same_numbers(family, tmp_path):
    import transformers

    result = run(tmp_path / "run", family)
    ids = torch.tensor([result.tokenizer.encode("The cat sat on the hill.").ids])
    classes = {"gpt2": "AutoModelForCausalLM", "bert": "AutoModelForMaskedLM", "t5": "AutoModelForSeq2SeqLM"}
    theirs = getattr(transformers, classes[family]).from_pretrained(result.directory).eval()
    more = {"decoder_input_ids": ids} if family == "t5" else {}
    from trivium.transformer import Inputs, Tokens

    sides = {"gpt2": ("target",), "bert": ("source",), "t5": ("source", "target")}[family]
    inputs = Inputs(**{side: Tokens(ids) for side in sides})
    with torch.no_grad():
        expected = theirs(ids, **more).logits
        for model in (result.model, load(result.directory).model.eval()):
            torch.testing.assert_close(model(inputs, at="all").logits, expected, rtol=1e-5, atol=1e-5)
    tokenizer = transformers.AutoTokenizer.from_pretrained(result.directory)
    assert (
        tokenizer("the old bird", add_special_tokens=False)["input_ids"] == result.tokenizer.encode("the old bird").ids
    )
    first, last = result.losses[0][1], result.losses[-1][1]
    assert last < first - 0.3, "the loss falls"
    assert (result.steps, result.losses[-1][0], result.precision) == (12, 12, "float32")
    assert result.flops > 0 and result.tokens > 12 * 200
    assert result.parameters == sum(p.numel() for p in theirs.parameters())
    names = {"trivium.toml", "metrics.jsonl", "manifest.json", "README.md", "config.json", "generation_config.json"}
    assert names | {"model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= set(os.listdir(result.directory))
    assert not [name for name in os.listdir(result.directory) if name.startswith(".")]


def test_the_figures_of_an_evaluation_are_those_of_the_held_out_text(decoder):
    """Bits per byte by hand: an independent model over the same documents, windows of a context, bytes of the text."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(decoder.directory).eval()
    _, kept = Shards.open(decoder.directory / "data" / "0").split(0.1, seed=0)
    stream = [int(i) for number in range(kept.documents) for i in kept.document(number)]
    nats = 0.0
    for start in range(0, len(stream) - 1, 32):
        window = torch.tensor([stream[start : start + 33]])
        with torch.no_grad():
            logits = model(window[:, :-1]).logits
        nats += torch.nn.functional.cross_entropy(logits[0], window[0, 1:], reduction="sum").item()
    bytes_of_text = sum(len(decoder.tokenizer.decode(kept.document(n)).encode()) for n in range(kept.documents))
    figures = decoder.evaluation
    assert figures["loss"] == pytest.approx(nats / (len(stream) - 1), rel=1e-5)
    assert figures["perplexity"] == pytest.approx(math.exp(figures["loss"]), rel=1e-6)
    assert figures["bits_per_byte"] == pytest.approx(nats / math.log(2) / bytes_of_text, rel=1e-4)
    assert len([line for line in decoder.history if line["kind"] == "sample"]) == 2


def test_a_masked_model_is_judged_on_the_share_it_hid(tmp_path):
    figures = run(tmp_path / "run", "bert", training__steps=1).evaluation
    assert set(figures) == {"loss", "masked_perplexity", "masked_share", "hidden_bits_per_byte"}
    assert figures["masked_share"] == pytest.approx(0.15, abs=0.02)


def test_the_recipe_is_saved_resolved_and_gives_the_same_run_again(decoder, tmp_path):
    saved = read_recipe(decoder.directory / "trivium.toml")
    assert saved == recipe(training__sample_every=6)
    again = pretrain(saved, tmp_path / "again", documents=texts(), quiet=True)
    assert end(again.directory) == end(decoder.directory)
    other = pretrain(
        replace(saved, training=replace(saved.training, seed=1)), tmp_path / "other", documents=texts(), quiet=True
    )
    assert end(other.directory)[0] != end(decoder.directory)[0]


@pytest.mark.parametrize("family", KINDS)
def test_killed_and_resumed_without_its_text_is_the_same(family, tmp_path):
    """Killed after 8 of 12 steps; the text is gone by then, and the resumed process reads what the run had kept."""
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("\n\n".join(texts()))
    made = recipe(family, data__files=[str(folder)])
    whole = pretrain(made, tmp_path / "whole", quiet=True)

    def kill(step):
        if step.number == 7:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        pretrain(made, tmp_path / "run", on_step=kill, quiet=True)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    (folder / "a.txt").unlink()
    result = pretrain(None, tmp_path / "run", resume=True, quiet=True)
    assert end(result.directory) == end(whole.directory)
    assert result.history == [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    proved = pretrain(None, tmp_path / "run", resume=True, prove=True, quiet=True)
    assert proved.proof is not None and proved.proof.startswith("proved: steps 11 to 12")


SCRIPT = """
import sys, time
from pathlib import Path
from trivium.errors import TriviumError
from trivium.verbs.pretrain import pretrain
from trivium.verbs.recipe import read_recipe
try:
    pretrain(read_recipe(Path(sys.argv[1])), Path(sys.argv[2]), on_step=lambda step: time.sleep(0.1))
except TriviumError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
"""


def test_a_signal_to_a_process_saves_says_how_to_go_on_and_loses_nothing(tmp_path):
    (tmp_path / "text.txt").write_text("\n\n".join(texts()))
    made = recipe(data__files=[str(tmp_path / "text.txt")])
    (tmp_path / "recipe.toml").write_text(made.to_toml())
    out = tmp_path / "run"
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "recipe.toml"), str(out)], stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (out / "metrics.jsonl").exists() or not (out / "metrics.jsonl").stat().st_size:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "stopped by SIGTERM after step" in said and f"trivium pretrain --resume {out}" in said
    assert Checkpoints(out / "checkpoints", 2).steps()[-1] >= 2
    pretrain(None, out, resume=True, quiet=True)
    whole = pretrain(made, tmp_path / "whole", quiet=True)
    assert end(out) == end(whole.directory)


def test_a_changed_recipe_is_refused_and_the_field_named(decoder, tmp_path):
    out = run(tmp_path / "run").directory
    text = (out / "trivium.toml").read_text()
    for old, new, said in (
        ("learning_rate = 0.01", "learning_rate = 0.02", "training.optimizer.learning_rate = 0.01, and now it is 0.02"),
        ("dropout = 0.1", "dropout = 0.2", "dropout = 0.1, and now it is 0.2"),
        (
            'kind = "causal"\nisolate_documents = false',
            'kind = "causal"\nisolate_documents = true',
            "isolate_documents",
        ),
    ):
        assert old in text
        (out / "trivium.toml").write_text(text.replace(old, new))
        with pytest.raises(SettingsError, match=said.replace(".", r"\.")):
            pretrain(None, out, resume=True, quiet=True)
    (out / "trivium.toml").write_text(text.replace("keep = 2", "keep = 3"))
    pretrain(None, out, resume=True, quiet=True)
    with pytest.raises(SettingsError, match="seed = 0, and now it is 5"):
        pretrain(recipe(training__seed=5), out, resume=True, quiet=True)


def test_a_run_made_before_there_was_a_setting_goes_on_with_its_default_alone(tmp_path):
    """The newest checkpoint loses settings, as if they had come after it: of the model, its objective and a table in
    a list."""
    parts = [{"kind": "causal"}, {"kind": "prefix"}]
    out = run(tmp_path / "run", objective__kind="mixed", objective__parts=parts).directory
    newest = Checkpoints(out / "checkpoints", 2).newest(print)
    identity = newest.state["identity"]
    assert identity["config"].pop("dropout") == 0.1  # set by the recipe, and 0 where nobody sets it
    with pytest.raises(SettingsError, match=r"config\.dropout = None, and now it is 0\.1"):
        resumed(out, newest)
    identity["config"]["dropout"] = 0.1
    assert identity["config"].pop("attention_scale") is None and identity["config"].pop("logit_scale") == 1.0
    assert identity["recipe"]["objective"]["parts"][0].pop("isolate_documents") is False
    assert identity["recipe"]["training"]["optimizer"].pop("weight_decay") == 0.1
    resumed(out, newest)
    identity["recipe"]["objective"]["parts"].pop()
    with pytest.raises(SettingsError, match=r"objective\.parts\.length = 1, and now it is 2"):
        resumed(out, newest)


def resumed(out: Path, checkpoint: Checkpoint) -> None:
    """With a checkpoint in the place of the newest one."""
    steps = Checkpoints(out / "checkpoints", 2)
    steps.save(checkpoint.step, checkpoint.weights, checkpoint.optimizer, checkpoint.state)
    pretrain(None, out, resume=True, quiet=True)


def test_a_changed_tokenizer_is_refused(tmp_path):
    out = run(tmp_path / "run").directory
    other = train_bpe(texts(seed=9), 320)
    with pytest.raises(SettingsError, match="another tokenizer"):
        pretrain(None, out, resume=True, tokenizer=other, quiet=True)
    other.save(out)
    with pytest.raises(SettingsError, match="another tokenizer"):
        pretrain(None, out, resume=True, quiet=True)


def test_a_changed_text_is_refused_and_a_missing_one_is_not_needed(tmp_path):
    source = tmp_path / "text.txt"
    source.write_text("\n\n".join(texts()), encoding="utf-8")
    made = recipe(data__files=[str(source)])
    out = pretrain(made, tmp_path / "run", tokenizer=train_bpe(texts(), 320), quiet=True).directory
    with source.open("a", encoding="utf-8") as file:
        file.write(" more")
    with pytest.raises(SettingsError, match="the text has changed since .* start a new run"):
        pretrain(None, out, resume=True, quiet=True)
    source.unlink()
    pretrain(None, out, resume=True, quiet=True)


def test_a_damaged_shard_is_named(tmp_path):
    out = run(tmp_path / "run").directory
    with open(out / "data" / "0" / "tokens.bin", "r+b") as file:
        file.write(b"\xff\xff")
    with pytest.raises(DataError, match="tokens.bin is damaged"):
        pretrain(None, out, resume=True, quiet=True)


def test_a_text_that_is_too_small_is_refused_with_its_size_and_advice(tmp_path):
    tokenizer = train_bpe(texts(), 320)
    with pytest.raises(RefusedError, match=r"the text has \d+ tokens, which fill \d rows of 32, and one batch takes 8"):
        pretrain(recipe(), tmp_path / "run", documents=texts(2), tokenizer=tokenizer, quiet=True)


def test_a_text_seen_many_times_is_warned_of(tmp_path, capsys):
    tokenizer = train_bpe(texts(), 320)
    made = recipe(training__steps=100, data__heldout=0.0)
    result = pretrain(made, tmp_path / "run", documents=texts(10), tokenizer=tokenizer, quiet=True)
    said = capsys.readouterr().err
    assert "is learnt by heart: give more text, or train for about" in said
    assert result.evaluation == {}


def test_quiet_is_quiet_and_otherwise_stderr_alone_is_used(tmp_path, capsys):
    run(tmp_path / "quiet")
    assert capsys.readouterr() == ("", "")
    pretrain(recipe(), tmp_path / "loud", documents=texts())
    out, err = capsys.readouterr()
    assert out == ""
    assert "tokens in" in err and "step 12/12" in err and "bits_per_byte" in err


def test_minutes_become_steps_in_the_saved_recipe(tmp_path):
    result = run(tmp_path / "run", training__minutes=0.006)
    saved = read_recipe(result.directory / "trivium.toml").training
    assert (saved.steps, saved.minutes) == (result.steps, None)
    assert result.steps > 3
    resumed = pretrain(recipe(training__minutes=0.006), result.directory, resume=True, quiet=True)
    assert resumed.steps == result.steps
    by_steps = run(tmp_path / "by steps", training__steps=result.steps)
    assert end(by_steps.directory) == end(result.directory), "nothing depended on the clock"


def test_tokens_become_steps(tmp_path):
    result = run(tmp_path / "run", training__tokens=1000)
    assert result.steps == 4
    assert 1000 <= result.tokens <= 1000 + 256


def test_sources_with_weights_and_a_given_held_out_set(tmp_path):
    for name, seed in (("a", 0), ("b", 1)):
        (tmp_path / f"{name}.txt").write_text("\n\n".join(texts(seed=seed)))
    sources = [{"files": [str(tmp_path / f"{name}.txt")], "weight": w} for name, w in (("a", 3.0), ("b", 1.0))]
    result = pretrain(recipe(data__sources=sources), tmp_path / "run", heldout=texts(5, seed=7), quiet=True)
    assert sorted(p.name for p in (result.directory / "data").iterdir()) == ["0", "1", "heldout"]
    assert result.evaluation["bits_per_byte"] > 0


def test_the_embedded_corpus_is_a_text(tmp_path):
    result = pretrain(recipe(training__steps=1), tmp_path / "run", quiet=True)
    assert "python-docs" in (result.directory / "README.md").read_text()


def test_what_cannot_be_is_refused_before_any_work(tmp_path, monkeypatch):
    missing = recipe("gpt2", data__files=["no such file.txt"])
    with pytest.raises(SettingsError, match="the causal objective trains a decoder alone"):
        pretrain(replace(missing, model=replace(missing.model, family="bert")), tmp_path / "a", quiet=True)
    assert not (tmp_path / "a").exists()
    with pytest.raises(SettingsError, match="there is no family 'gpt5'"):
        pretrain(replace(missing, model=replace(missing.model, family="gpt5")), tmp_path / "a", quiet=True)
    with pytest.raises(SettingsError, match="give --resume DIR --prove"):
        pretrain(missing, tmp_path / "a", prove=True)
    with pytest.raises(SettingsError, match="holds no run to resume"):
        pretrain(None, tmp_path / "a", resume=True)
    with pytest.raises(SettingsError, match="pretrain needs a recipe"):
        pretrain(None, tmp_path / "a")
    with pytest.raises(DataError, match=r"no such file.txt"):
        pretrain(missing, tmp_path / "a", quiet=True)
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(SettingsError, match="torchrun started 4 processes .* comes in a later version"):
        pretrain(missing, tmp_path / "b", quiet=True)


def test_a_run_in_use_and_a_used_folder_are_refused(tmp_path):
    out = run(tmp_path / "run").directory
    with pytest.raises(SettingsError, match="already holds a run: go on with it by --resume"):
        run(out)
