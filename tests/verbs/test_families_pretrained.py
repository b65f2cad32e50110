"""The same training command for every family that transformers knows: what it leaves opens there."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from trivium.families.huggingface import load
from trivium.randomness import Draws
from trivium.settings import build
from trivium.text.rows import Rows
from trivium.transformer import Band, Inputs, Tokens
from trivium.verbs.pretrain import pretrain
from trivium.verbs.recipe import Recipe

OBJECTIVES = {
    "roberta": "masked",
    "distilbert": "masked",
    "spanbert": "masked",
    "gpt1": "causal",
    "gpt3": "causal",
    "llama": "causal",
    "xlnet": "causal",
    "bart": "denoising",
}
AUTO = {"masked": "MaskedLM", "causal": "CausalLM", "denoising": "Seq2SeqLM"}


def recipe(family: str, objective: str | None = None, **model: object) -> Recipe:
    tables = {
        "data": {"corpus": "python-docs", "heldout": 0.1},
        "tokenizer": {"vocab_size": 320},
        "model": {"family": family, "size": "tiny", "context": 32, **model},
        "objective": {"kind": objective or OBJECTIVES[family]},
        "training": {
            "steps": 6,
            "batch_tokens": 256,
            "precision": "float32",
            "device": "cpu",
            "log_every": 2,
            "checkpoint_every": 3,
            "optimizer": {"kind": "adamw", "learning_rate": 0.01},
        },
    }
    return build(Recipe, tables)


def texts() -> list[str]:
    draw = random.Random(0)
    words = "the cat dog sat ran on under a mat hill and then it saw one red old bird while we were away".split()
    return [" ".join(draw.choices(words, k=draw.randrange(20, 60))) + "." for _ in range(60)]


@pytest.mark.parametrize("family", OBJECTIVES)
def test_what_training_leaves_opens_in_transformers_with_the_same_numbers(family: str, tmp_path: Path) -> None:
    result = pretrain(recipe(family), tmp_path / "run", documents=texts(), quiet=True)
    assert result.losses[-1][1] < result.losses[0][1]
    assert result.family.hf_type != "trivium"
    ids = torch.tensor([result.tokenizer.encode("the cat sat on the hill.").ids])
    auto = getattr(transformers, f"AutoModelFor{AUTO[OBJECTIVES[family]]}")
    theirs, report = auto.from_pretrained(result.directory, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    both = OBJECTIVES[family] == "denoising"
    read = OBJECTIVES[family] != "causal" or family == "xlnet"  # whose class without a mask is the content stream
    inputs = Inputs(Tokens(ids) if read else None, Tokens(ids) if OBJECTIVES[family] != "masked" else None)
    with torch.no_grad():
        expected = theirs.eval()(ids, **({"decoder_input_ids": ids} if both else {})).logits
        for model in (result.model, load(result.directory).model.eval()):
            torch.testing.assert_close(model(inputs, at="all").logits, expected, rtol=1e-5, atol=1e-5)


def test_a_banded_model_is_trained_and_saved_under_our_names(tmp_path: Path) -> None:
    result = pretrain(recipe("gpt3", band={"width": 8}), tmp_path / "run", documents=texts(), quiet=True)
    loaded = load(result.directory)
    assert result.family.name == "trivium"
    assert loaded.config == result.config and loaded.config.band == Band(8)  # type: ignore[attr-defined]


def test_a_resumed_run_proves_itself_though_its_model_has_a_buffer(tmp_path: Path) -> None:
    pretrain(recipe("bart"), tmp_path / "run", documents=texts(), quiet=True)
    proved = pretrain(None, tmp_path / "run", resume=True, prove=True, quiet=True)
    assert proved.steps == 6
    assert load(tmp_path / "run").config.vocabulary_head == "offset"


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_a_denoiser_begins_with_the_end_token_there_too(family: str, tmp_path: Path) -> None:
    asked = recipe(family, objective="denoising")
    result = pretrain(asked, tmp_path / "run", documents=texts(), quiet=True)
    tokenizer = result.tokenizer
    theirs = transformers.AutoModelForSeq2SeqLM.from_pretrained(result.directory).eval()
    assert theirs.config.decoder_start_token_id == result.config.start_token == tokenizer.end
    spelt = transformers.AutoTokenizer.from_pretrained(result.directory)("the cat sat.").input_ids
    assert (spelt[0], spelt[-1]) == (tokenizer.begin, tokenizer.end)  # as the rows of the training
    rows = Rows(np.array([[*spelt[1:-1]] * 3]), np.zeros((1, 3 * len(spelt) - 6), int), np.zeros(0), np.zeros(1, int))
    batch = asked.objective.batch(rows, Draws(0, rows.draws), tokenizer)
    with torch.no_grad():
        loss = asked.objective.loss(result.model, batch)["denoising"]
        expected = theirs(batch.inputs.source.ids, labels=batch.targets["denoising"][None]).loss
    torch.testing.assert_close(loss.total / loss.count, expected, rtol=1e-4, atol=1e-5)
    assert not {"bits_per_byte", "perplexity"} & set(result.evaluation)  # no likelihood of the text


@pytest.mark.parametrize(("family", "kind"), [("bert", "cloze"), ("gpt2", "prefix"), ("bart", "corruption")])
def test_other_objectives_train_through_the_same_command(family: str, kind: str, tmp_path: Path) -> None:
    result = pretrain(recipe(family, objective=kind), tmp_path / "run", documents=texts(), quiet=True)
    assert result.losses[-1][1] < result.losses[0][1] and result.steps == 6
    assert result.config.bidirectional_prompt == (kind == "prefix")
    if kind == "corruption":
        assert result.config.start_token == result.tokenizer.pad
