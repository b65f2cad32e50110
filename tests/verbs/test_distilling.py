"""A student's run: it begins with its teacher, is resumed exactly, opens in transformers, and is compared with it."""

import json
import os
import shutil
import signal

import pytest
import torch
from safetensors.torch import load_file
from tests.verbs.test_pretrain import end, recipe, texts

from trivium.errors import DataError, SettingsError
from trivium.families.huggingface import load
from trivium.verbs.pretrain import pretrain
from trivium.verbs.recipe import read_recipe


@pytest.fixture(scope="module")
def teachers(tmp_path_factory):
    """A BERT and a GPT-2 of four layers, a few steps old."""
    folder = tmp_path_factory.mktemp("teachers")
    for family, layers in (("bert", "encoder_layers"), ("gpt2", "decoder_layers")):
        made = recipe(family, **{f"model__{layers}": 4}, training__checkpoint_every=0)
        pretrain(made, folder / family, documents=texts(), quiet=True)
    return folder


def student(teacher, family, **changes):
    of = {"kind": "causal" if teacher.name == "gpt2" else "masked"}
    usual = {
        "objective__kind": "distillation", "objective__teacher": str(teacher), "objective__of": of,
        "model__family": family, "tokenizer__path": str(teacher), "tokenizer__vocab_size": None,
    }  # fmt: skip
    shape = {"model__decoder_layers": 2} if family == "gpt2" else {}
    return recipe("bert", **(usual | shape | changes))


def test_a_distilbert_is_taught_resumed_and_opened_by_transformers(teachers, tmp_path):
    import transformers

    teacher = teachers / "bert"
    before = {path.name: path.read_bytes() for path in teacher.iterdir() if path.is_file()}
    made = student(teacher, "distilbert")
    whole = pretrain(made, tmp_path / "whole", documents=texts(), quiet=True)

    def kill(step):
        if step.number == 7:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        pretrain(made, tmp_path / "run", documents=texts(), on_step=kill, quiet=True)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    resumed = pretrain(None, tmp_path / "run", resume=True, quiet=True)
    (state, lines), (expected, wanted) = end(resumed.directory), end(whole.directory)
    assert state == expected
    assert lines[:-1] == wanted[:-1] and lines[-1]["kind"] == wanted[-1]["kind"] == "taught"
    assert pretrain(None, tmp_path / "run", resume=True, prove=True, quiet=True).proof

    theirs = transformers.AutoModelForMaskedLM.from_pretrained(whole.directory).eval()
    assert type(theirs).__name__ == "DistilBertForMaskedLM" and theirs.config.n_layers == 1
    ids = torch.tensor([whole.tokenizer.encode("The cat sat on the hill.").ids])
    from trivium.transformer import Inputs, Tokens

    ours = load(whole.directory).model.eval()
    with torch.no_grad():
        logits = ours(Inputs(source=Tokens(ids)), at="all").logits
        torch.testing.assert_close(logits, theirs(ids).logits, rtol=1e-5, atol=1e-5)
    saved = load_file(whole.directory / "model.safetensors")
    assert sum(t.numel() for t in saved.values()) == whole.parameters and not [n for n in saved if "teacher" in n]
    assert {path.name: path.read_bytes() for path in teacher.iterdir() if path.is_file()} == before

    digest = read_recipe(whole.directory / "trivium.toml").objective.sha256
    manifest = json.loads((teacher / "manifest.json").read_text())
    assert digest == manifest["files"]["model.safetensors"]["sha256"]
    train = [line for line in whole.history if line["kind"] == "train"]
    for line in train:
        parts = line["losses"]
        assert line["loss"] == pytest.approx(5 * parts["soft"] + 2 * parts["masked"] + parts["cosine"], rel=1e-6)
    figures = whole.evaluation
    assert figures["loss"] < train[0]["loss"] and {"masked_perplexity", "hidden_bits_per_byte"} <= set(figures)
    assert {"soft_loss", "cosine_loss"} <= set(figures) and "soft_perplexity" not in figures

    (compared,) = whole.taught
    own, big = compared.parameters
    assert (own, big) == (whole.parameters, sum(t.numel() for t in load_file(teacher / "model.safetensors").values()))
    assert own < big and compared.flops[0] < compared.flops[1] and min(compared.seconds) > 0
    card = (whole.directory / "README.md").read_text()
    assert f"{own:,} parameters, the teacher {big:,}" in card and digest in card and "times as fast" in card


def test_another_teacher_is_refused_when_a_run_goes_on(teachers, tmp_path):
    shutil.copytree(teachers / "bert", tmp_path / "teacher")
    made = student(tmp_path / "teacher", "distilbert", training__steps=2)
    pretrain(made, tmp_path / "run", documents=texts(), quiet=True)
    another = recipe("bert", model__encoder_layers=4, training__seed=1)
    pretrain(another, tmp_path / "other", documents=texts(), quiet=True)
    shutil.copy(tmp_path / "other" / "model.safetensors", tmp_path / "teacher" / "model.safetensors")
    with pytest.raises(SettingsError, match="is not the teacher of the recipe"):
        pretrain(None, tmp_path / "run", resume=True, quiet=True)
    with pytest.raises(SettingsError, match="objective.sha256"):
        pretrain(made, tmp_path / "run", resume=True, documents=texts(), quiet=True)


def test_a_decoder_teaches_a_decoder(teachers, tmp_path):
    import transformers

    run = pretrain(student(teachers / "gpt2", "gpt2"), tmp_path / "run", documents=texts(), quiet=True)
    assert transformers.AutoModelForCausalLM.from_pretrained(run.directory).config.n_layer == 2
    assert {"bits_per_byte", "perplexity", "soft_loss", "cosine_loss"} <= set(run.evaluation)
    assert run.flops > 0


def test_inspect_batch_says_what_a_students_targets_cost_it(teachers, tmp_path):
    from trivium.verbs.inspect_batch import inspect_batch

    run = pretrain(student(teachers / "bert", "distilbert", training__steps=2), tmp_path / "run", documents=texts(),
                   quiet=True)  # fmt: skip
    view = inspect_batch(run.directory, step=1, model=run.directory)
    assert set(view.losses) == {"soft", "masked", "cosine"} and set(view.targets) == set(view.losses)
    costs = [t.cost for row in view.rows for side in row.sides for place in side.places for t in place.targets]
    assert costs and all(cost is not None and cost > 0 for cost in costs)


def test_flops_count_the_teachers_forward_pass(teachers, tmp_path):
    taught = pretrain(student(teachers / "bert", "distilbert", training__steps=3), tmp_path / "a", documents=texts(),
                      quiet=True)  # fmt: skip
    alone = pretrain(recipe("bert", model__family="distilbert", training__steps=3), tmp_path / "b", documents=texts(),
                     tokenizer=taught.tokenizer, quiet=True)  # fmt: skip
    lines = [next(line for line in run.history if line["kind"] == "train") for run in (taught, alone)]
    own, big = taught.taught[0].flops
    assert lines[0]["flops"] / lines[1]["flops"] == pytest.approx(1 + big / (3 * own), rel=0.01)


def test_a_teacher_is_a_part_of_a_mixture(teachers, tmp_path):
    teacher = str(teachers / "bert")
    parts = [{"kind": "distillation", "teacher": teacher}, {"kind": "masked", "rate": 0.4}]
    made = recipe("bert", objective__kind="mixed", objective__parts=parts, model__family="distilbert",
                  tokenizer__path=teacher, tokenizer__vocab_size=None)  # fmt: skip
    run = pretrain(made, tmp_path / "run", documents=texts(), quiet=True)
    assert {"distillation.masked_perplexity", "distillation.soft_loss", "masked.loss"} <= set(run.evaluation)
    assert read_recipe(run.directory / "trivium.toml").objective.parts[0].sha256
    (compared,) = run.taught
    assert compared.parameters[0] == run.parameters


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tokenizer__path": None, "tokenizer__vocab_size": 320}, "set tokenizer.path = .* instead of"),
        ({"model__width": 64}, "model.width = 64, and the states of"),
        ({"model__context": 64}, "reads at most 32 tokens: set model.context = 32"),
        ({"model__vectors": "v.txt"}, "model.vectors and objective.from_teacher both say"),
        ({"model__family": "gpt2"}, "masked objective trains an encoder alone"),
    ],
)
def test_students_that_do_not_fit_are_refused_in_a_sentence(changes, said, teachers, tmp_path):
    with pytest.raises(SettingsError, match=said):
        pretrain(student(teachers / "bert", "distilbert", **changes), tmp_path / "run", documents=texts(), quiet=True)


def test_a_teacher_that_is_not_there_or_reads_otherwise_is_refused(teachers, tmp_path):
    from trivium.tokenizers.bpe import train_bpe

    other = train_bpe(texts(seed=9), 300)
    with pytest.raises(SettingsError, match="the student's tokenizer is not that of its teacher"):
        made = student(teachers / "bert", "distilbert")
        pretrain(made, tmp_path / "a", documents=texts(), tokenizer=other, quiet=True)
    made = student(teachers / "bert", "distilbert", objective__teacher=str(tmp_path / "nothing"))
    with pytest.raises(DataError, match="there is no model folder"):
        pretrain(made, tmp_path / "b", documents=texts(), quiet=True)
