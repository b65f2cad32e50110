"""Recurrent models through every verb: pretrained, resumed bit for bit with carried state, written with, filled,
scored, fine-tuned; text of any length."""

import json
import random
from pathlib import Path

import pytest
import torch

from trivium.errors import SettingsError
from trivium.families import TRIVIUM
from trivium.families.huggingface import load as read_folder
from trivium.generation.sampling import Sampling
from trivium.settings import build
from trivium.text.examples import Labelled
from trivium.training.checkpoint import Checkpoints
from trivium.verbs.finetune import finetune
from trivium.verbs.inspect import inspect_model, inspect_text
from trivium.verbs.load import load
from trivium.verbs.predict import predict
from trivium.verbs.pretrain import pretrain
from trivium.verbs.recipe import Recipe
from trivium.verbs.runs import runs
from trivium.verbs.tuning import FineTuning

OBJECTIVES = {
    "rnn": {"kind": "causal", "carry_state": True},
    "lstm": {"kind": "causal", "carry_state": True},
    "gru": {"kind": "causal", "carry_state": True},
    "seq2seq": {"kind": "corruption"},
    "bilstm": {"kind": "masked"},
}
WORDS = "the cat dog sat ran on under a mat hill and then it saw one red old bird while we were away from home".split()
GREEDY = Sampling(max_tokens=90, temperature=0)


def texts(count: int = 60, seed: int = 0) -> list[str]:
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randrange(20, 60))).capitalize() + "." for _ in range(count)]


def recipe(family: str, **changes: object) -> Recipe:
    tables: dict = {
        "data": {"corpus": "python-docs", "heldout": 0.1},
        "tokenizer": {"vocab_size": 320},
        "model": {"family": family, "size": "tiny", "context": 32, "dropout": 0.1},
        "objective": dict(OBJECTIVES[family]),
        "training": {
            "steps": 12,
            "batch_tokens": 256,
            "precision": "float32",
            "device": "cpu",
            "log_every": 2,
            "checkpoint_every": 5,
            "evaluate_every": 4,
            "optimizer": {"kind": "adamw", "learning_rate": 0.01},
        },
    }
    for dotted, value in changes.items():
        table, _, name = dotted.partition("__")
        tables[table][name] = value
    return build(Recipe, tables)


def run(out: Path, family: str = "lstm", **changes: object):
    return pretrain(recipe(family, **changes), out, documents=texts(), quiet=True)


def end(out: Path) -> tuple[str, list[dict]]:
    newest = Checkpoints(out / "checkpoints", 2).newest(print)
    assert newest is not None
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    timed = {"seconds", "tokens_per_second", "mfu"}
    return newest.state_hash, [{k: v for k, v in line.items() if k not in timed} for line in lines]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A short run of each family."""
    folder = tmp_path_factory.mktemp("recurrent")
    return {family: run(folder / family, family) for family in OBJECTIVES}


@pytest.mark.parametrize("family", OBJECTIVES)
def test_a_run_learns_and_is_saved_whole(made, family):
    result = made[family]
    losses = [loss for _, loss in result.losses]
    assert losses[-1] < losses[0]
    loaded = read_folder(result.directory)
    assert loaded.family is TRIVIUM and loaded.config == result.config
    written = json.loads((result.directory / "config.json").read_text())
    assert written["model_type"] == "trivium" and written["trivium"]["kind"] == "recurrent"
    for name, tensor in result.model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[name], tensor)
    card = (result.directory / "README.md").read_text()
    assert result.config.describe() in card and "library_name: trivium" in card
    view = inspect_model(result.directory)
    assert view.parameters == result.parameters and view.config["cell"] == result.config.cell
    if family == "seq2seq":  # its decoder looks at its source
        looks = inspect_text(result.directory, "The cat sat.").attention
        assert looks.stack == "cross" and looks.weights.sum(-1) == pytest.approx(1, abs=1e-5)
        return
    with pytest.raises(SettingsError, match="no attention"):
        inspect_text(result.directory, "The cat sat.")


def test_runs_are_listed(made):
    found = {summary.directory.name: summary for summary in runs(made["lstm"].directory.parent)}
    assert {name: summary.model for name, summary in found.items()} == {name: f"{name} tiny" for name in OBJECTIVES}
    assert all(summary.state == "done" for summary in found.values())


@pytest.mark.parametrize("changes", [{}, {"training__micro_batch_tokens": 96}], ids=["whole", "micro-batches"])
@pytest.mark.parametrize("stop_at", [5, 6])
def test_a_stopped_run_goes_on_with_the_states_of_its_lanes(tmp_path, changes, stop_at):
    """At a checkpoint, and one step after it: same weights, moments, carried states, losses and order."""
    run(tmp_path / "whole", **changes)

    def interrupt(step):
        if step.number + 1 == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrain(recipe("lstm", **changes), tmp_path / "cut", documents=texts(), quiet=True, on_step=interrupt)
    pretrain(None, tmp_path / "cut", resume=True, documents=texts(), quiet=True)
    assert end(tmp_path / "cut") == end(tmp_path / "whole")
    newest = Checkpoints(tmp_path / "cut" / "checkpoints", 2).newest(print)
    assert tuple(newest.optimizer["carried.carried"].shape) == (2, 2, 8, 32)


def test_a_run_is_proved_by_replay(made):
    directory = made["lstm"].directory
    result = pretrain(None, directory, resume=True, prove=True, documents=texts(), quiet=True)
    assert result.proof is not None and "steps 11 to 12" in result.proof


def test_evaluation_leaves_training_alone(tmp_path):
    """As many evaluations as steps, or none but the last: the same weights."""
    often, never = (run(tmp_path / str(n), training__evaluate_every=n) for n in (1, 0))
    for name, tensor in often.model.state_dict().items():
        assert torch.equal(never.model.state_dict()[name], tensor)
    assert often.evaluation == never.evaluation


@pytest.mark.parametrize("family", ["rnn", "lstm", "gru"])
def test_writing_goes_on_beyond_the_context_and_needs_no_company(made, family):
    """Prompts of different lengths side by side, padded on the left, are written as each alone."""
    loaded = load(made[family].directory)
    prompts = ["The cat", "Then it saw one red old bird while we were away from home and the dog", "A"]
    together = loaded.complete(prompts, GREEDY)
    alone = [loaded.complete([prompt], GREEDY)[0] for prompt in prompts]
    assert [c.tokens for c in together] == [c.tokens for c in alone]
    long = " ".join(texts(4))
    ids = loaded.tokenizer.encode(long).ids
    assert len(ids) > 2 * loaded.config.context
    completion = loaded.complete([long], Sampling(max_tokens=3, temperature=0))[0]
    inputs = torch.tensor([ids])
    from trivium.transformer import Inputs, Tokens

    with torch.no_grad():
        scores = loaded.model(Inputs(target=Tokens(inputs)), at="all").logits[0, -1]
    assert completion.tokens[0] == int(scores.argmax()) or completion.finish == "end"


def test_what_a_long_text_costs_is_one_pass_however_it_is_cut(made, monkeypatch):
    import trivium.generation.score as score

    loaded = load(made["lstm"].directory)
    text = " ".join(texts(6))
    whole = loaded.surprise(text)
    assert whole.tokens == len(loaded.tokenizer.encode(text).ids)
    monkeypatch.setattr(score, "_STRETCH", 50)
    assert loaded.surprise(text).nats == pytest.approx(whole.nats, rel=1e-5)
    first, rest = loaded.score("", text), loaded.score(text[:200], text[200:])
    assert first.log_probability == pytest.approx(-whole.nats, rel=1e-5)
    assert rest.log_probability > first.log_probability


@pytest.mark.parametrize("family", ["seq2seq", "bilstm"])
def test_blanks_are_filled(made, family):
    filling = load(made[family].directory).fill("The cat ___ on the ___.", top=3)
    assert [len(blank.candidates) for blank in filling.blanks] == [3, 3] and "___" not in filling.text
    for blank in filling.blanks:
        assert sum(c.probability for c in blank.candidates) + blank.other == pytest.approx(1, abs=1e-4)


def test_an_encoder_decoder_writes_and_scores(made):
    loaded = load(made["seq2seq"].directory)
    sources = ["The cat sat on the mat.", "A"]
    together = loaded.complete(sources, Sampling(max_tokens=8, temperature=0))
    short = Sampling(max_tokens=8, temperature=0)
    assert [c.tokens for c in together] == [loaded.generate(source, short).tokens for source in sources]
    assert loaded.score(sources[0], "on the mat").log_probability < 0


BEGINNINGS = [" ".join(random.Random(i).choices(WORDS[:8], k=6)) for i in range(60)]
TRAIN = [Labelled(f"{text} {last}", last) for text in BEGINNINGS for last in ("hill", "away")]


@pytest.mark.parametrize(("family", "pooling", "method"), [
    ("lstm", "family", "full"), ("gru", "mean", "last:1"), ("rnn", "last", "frozen"), ("bilstm", "family", "last:1"),
    ("bilstm", "first", "full"),
])  # fmt: skip
def test_a_recurrent_body_is_fine_tuned(made, tmp_path, family, pooling, method):
    settings = FineTuning(steps=40, batch=16, learning_rate=0.02, method=method, precision="float32")
    out, asked = tmp_path / "tuned", {"pooling": pooling}
    tuned = finetune("sequence", made[family].directory, TRAIN, TRAIN[:40], out=out, options=asked, settings=settings)
    assert not tuned.opens_in_transformers and tuned.scores is not None
    assert tuned.scores["accuracy"] > (0.9 if family == "lstm" else 0.4)
    predicted = [each.prediction for each in predict(tmp_path / "tuned", [example.text for example in TRAIN[:40]])]
    right = sum(p.label == example.label for p, example in zip(predicted, TRAIN, strict=False)) / 40
    assert right == pytest.approx(tuned.scores["accuracy"])
    stack = "encoder" if family == "bilstm" else "decoder"
    last = f"{stack}.layers.1.cell.weight_hh_l0"
    before, after = made[family].model.state_dict(), read_folder(tmp_path / "tuned").model.state_dict()
    assert torch.equal(before[last], after[last]) == (method == "frozen")
    assert torch.equal(before["tokens.weight"], after["tokens.weight"]) == (method != "full")


@pytest.mark.parametrize(
    ("family", "objective", "said"),
    [
        ("gpt2", {"kind": "causal", "carry_state": True}, "this model has no state to carry"),
        ("lstm", {"kind": "masked"}, 'reads forwards only: set model.family = "bilstm"'),
        (
            "lstm",
            {"kind": "causal", "carry_state": True, "isolate_documents": True},
            "isolate_documents forbids",
        ),
        ("bilstm", {"kind": "causal"}, "trains a decoder alone"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, family, objective, said):
    with pytest.raises(SettingsError, match=said):
        asked = build(Recipe, {
            "data": {"corpus": "python-docs"}, "tokenizer": {"vocab_size": 320}, "objective": objective,
            "model": {"family": family, "size": "tiny"}, "training": {"steps": 1},
        })  # fmt: skip
        pretrain(asked, tmp_path / "run", documents=texts(), quiet=True)


def test_isolated_documents_train_too(tmp_path):
    """Resets at every document's bounds, in packed rows."""
    result = run(tmp_path / "run", "gru", objective__carry_state=False, objective__isolate_documents=True)
    assert [loss for _, loss in result.losses][-1] < 6
