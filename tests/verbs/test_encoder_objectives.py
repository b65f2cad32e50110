"""BERT's and SpanBERT's recipes as whole runs: killed and resumed, opened by transformers; RoBERTa's two epochs."""

import json
import os
import random
import signal

import numpy as np
import pytest
import torch

from trivium.errors import DataError
from trivium.families.huggingface import load
from trivium.objectives import Masked
from trivium.randomness import Draws
from trivium.settings import build, dump, merge
from trivium.settings.layers import Layer
from trivium.text import cut, write_shards
from trivium.text.mixture import Mixture
from trivium.training.checkpoint import Checkpoints
from trivium.transformer import Inputs, Tokens
from trivium.verbs.inspect_batch import inspect_batch
from trivium.verbs.pretrain import pretrain
from trivium.verbs.recipe import Recipe, load_recipe

WORDS = "the cat dog sat ran on under a mat hill and then it saw one red old bird while we were away from home".split()
CLASSES = {"bert-nsp-mini": "BertForPreTraining", "spanbert-mini": "BertForMaskedLM"}


def texts(count=40, seed=0):
    draw = random.Random(seed)
    return [
        " ".join(" ".join(draw.choices(WORDS, k=draw.randrange(4, 9))).capitalize() + "." for _ in range(8))
        for _ in range(count)
    ]


def end(out):
    newest = Checkpoints(out / "checkpoints", 2).newest(print)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    timed = {"seconds", "tokens_per_second", "mfu"}
    return newest.state_hash, [{k: v for k, v in line.items() if k not in timed} for line in lines]


def recipe(name, **changes):
    """The shipped one, at the size of a test."""
    small = {
        "tokenizer": {"vocab_size": 320},
        "model": {"size": "tiny", "context": 32},
        "data": {"heldout": 0.1},
        "training": {
            "steps": 8, "batch_tokens": 256, "micro_batch_tokens": 128, "precision": "float32", "device": "cpu",
            "log_every": 2, "checkpoint_every": 3, "evaluate_every": 4,
        },
    }  # fmt: skip
    shipped = dump(load_recipe(name).recipe)
    for budget in ("minutes", "steps", "tokens"):
        shipped["training"].pop(budget, None)
    merged, _ = merge([Layer("shipped", shipped), Layer("small", small), Layer("changes", changes)])
    return build(Recipe, merged)


@pytest.mark.parametrize("name", CLASSES)
def test_a_killed_run_goes_on_exactly_and_opens_in_transformers(name, tmp_path):
    import transformers

    made = recipe(name)
    whole = pretrain(made, tmp_path / "whole", documents=texts(), quiet=True)

    def kill(step):
        if step.number == 4:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        pretrain(made, tmp_path / "run", documents=texts(), on_step=kill, quiet=True)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    resumed = pretrain(None, tmp_path / "run", resume=True, documents=texts(), quiet=True)
    assert end(resumed.directory) == end(whole.directory)
    for key, value in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[key], value), key

    kind = getattr(transformers, CLASSES[name])
    theirs, info = kind.from_pretrained(whole.directory, output_loading_info=True)
    assert not info["missing_keys"]
    assert all(key.startswith("heads.span_boundary.") for key in info["unexpected_keys"])
    ids = torch.tensor([[4, 50, 60, 70, 5, 80, 90, 5]])
    segments = torch.tensor([[0] * 5 + [1] * 3])
    heads = tuple(set(whole.model.heads) & {"next_sentence"})
    with torch.no_grad():
        found = theirs.eval()(ids, token_type_ids=segments)
        for model in (whole.model, load(whole.directory).model.eval()):
            ours = model(Inputs(source=Tokens(ids, segments=segments)), at="all", heads=heads)
            words = found.prediction_logits if heads else found.logits
            torch.testing.assert_close(ours.logits, words, rtol=1e-5, atol=1e-5)
            if heads:
                torch.testing.assert_close(
                    ours.heads["next_sentence"], found.seq_relationship_logits, rtol=1e-5, atol=1e-5
                )


def test_next_sentences_are_judged_by_loss_and_accuracy(tmp_path):
    result = pretrain(recipe("bert-nsp-mini"), tmp_path / "run", documents=texts(), quiet=True)
    figures = result.evaluation
    assert set(figures) == {
        "loss", "masked_perplexity", "masked_share", "hidden_bits_per_byte", "next_sentence_loss",
        "next_sentence_accuracy",
    }  # fmt: skip
    assert 0.3 < figures["next_sentence_accuracy"] < 0.8 and figures["next_sentence_loss"] < 1.5
    assert figures["loss"] == pytest.approx(np.log(figures["masked_perplexity"]) + figures["next_sentence_loss"])
    losses = next(line["losses"] for line in result.history if line["kind"] == "train")
    assert set(losses) == {"masked", "next_sentence"}


def test_a_run_is_inspected_and_gone_on_from_with_new_tokens(tmp_path):
    result = pretrain(recipe("spanbert-mini"), tmp_path / "run", documents=texts(), quiet=True)
    view = inspect_batch(result.directory, model=result.directory)
    assert set(view.targets) == set(view.losses) == {"masked", "span_boundary"}
    assert all(0 < loss < 8 for loss in view.losses.values())
    shown = {target.loss for row in view.rows for place in row.sides[0].places for target in place.targets}
    assert shown == {"masked", "span_boundary"}
    for name in CLASSES:
        made = recipe(name, **{"from": {"model": str(result.directory), "extend_vocabulary": 8}})
        new = [text.replace("old", "brontosaurus") for text in texts(seed=1)]
        further = pretrain(made, tmp_path / name, documents=new, quiet=True)
        assert further.config.vocab_size == result.config.vocab_size + 8 and further.continued is not None


def test_a_text_of_one_document_has_no_next_sentences_of_others(tmp_path):
    with pytest.raises(DataError, match=r"needs two documents.*set objective\.kind = \"masked\""):
        pretrain(recipe("bert-nsp-mini"), tmp_path / "run", documents=[" ".join(texts())], quiet=True)


@pytest.mark.parametrize(("copies", "same"), [(None, False), (1, True)])
def test_two_epochs_of_a_text_have_different_masks_unless_they_are_static(copies, same, tmp_path):
    """RoBERTa, section 4.1: the same rows come in each epoch, in another order; FULL-SENTENCES run on over documents
    with a separator more between them."""
    from trivium.tokenizers.bpe import train_bpe

    tokenizer = train_bpe(texts(), 320)
    shards = write_shards(texts(), tokenizer.encode_batch, tokenizer.end, tokenizer.vocab_size, tmp_path, "f")
    objective = Masked(isolate_documents=False, copies=copies)
    blocks = cut(shards, objective.layout(tokenizer, 32))
    epochs = []
    for epoch in range(2):
        rows = Mixture.of(blocks, 0).rows(epoch * len(blocks), len(blocks))
        seen = objective.batch(rows, Draws(0, rows.draws), tokenizer).inputs.source.ids.numpy()
        order = np.lexsort(rows.tokens.T)
        epochs.append((rows.tokens[order], seen[order]))
    assert (epochs[0][0] == epochs[1][0]).all()  # the same text
    alike = (epochs[0][1] == epochs[1][1]).all(1)
    assert alike.all() if same else not alike.any()
    stream = Mixture.of(blocks, 0).sources[0].rows(np.arange(len(blocks))).tokens.ravel()
    assert tokenizer.end == tokenizer.separator and (stream == tokenizer.separator).sum() == len(texts())
