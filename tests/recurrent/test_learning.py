"""What recurrent models learn: better than token frequencies, and across a boundary that gradients do not cross."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from trivium.recurrent import RecurrentConfig, RecurrentModel, initialise
from trivium.settings import build
from trivium.text import python_docs
from trivium.tokenizers.characters import train_characters
from trivium.transformer import Inputs, Tokens
from trivium.verbs.pretrain import pretrain
from trivium.verbs.recipe import Recipe


def test_a_language_model_of_characters_beats_their_frequencies(tmp_path):
    """On the embedded corpus: held-out perplexity after a few seconds against that of the training text's unigrams."""
    documents = [document.text for document in python_docs.documents("train")][:400]
    train, heldout = documents[:360], documents[360:]
    tokenizer = train_characters(documents, len(set("".join(documents))) + 20)
    asked = build(Recipe, {
        "data": {"corpus": "python-docs"},
        "tokenizer": {"vocab_size": tokenizer.vocab_size},
        "model": {"family": "lstm", "size": "tiny", "decoder_layers": 1, "state_width": 64, "context": 32},
        "objective": {"kind": "causal", "carry_state": True},
        "training": {"steps": 120, "batch_tokens": 1024, "precision": "float32", "device": "cpu", "evaluate_every": 0,
                     "checkpoint_every": 0,
                     "optimizer": {"kind": "muon", "learning_rate": 0.01, "rest_learning_rate": 0.01}},
    })  # fmt: skip
    result = pretrain(asked, tmp_path / "run", documents=train, heldout=heldout, tokenizer=tokenizer, quiet=True)
    counts = np.ones(tokenizer.vocab_size)
    for ids in tokenizer.encode_batch(train):
        counts += np.bincount([*ids, tokenizer.end], minlength=tokenizer.vocab_size)
    seen = np.concatenate([[*ids, tokenizer.end] for ids in tokenizer.encode_batch(heldout)])
    unigram = np.exp(-np.log(counts / counts.sum())[seen].mean())
    assert 10 < unigram < 40
    assert result.evaluation["perplexity"] < 0.8 * unigram


SYMBOLS = 6


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_memory_across_the_boundary(cell):
    """Each row is a question mark to which the answer is the symbol of the row before: only carried state knows it."""
    config = RecurrentConfig(vocab_size=SYMBOLS + 1, width=16, cell=cell, decoder_layers=1, init_std=0.5, context=2)
    generator = torch.Generator().manual_seed(0)
    answers = torch.randint(0, SYMBOLS, (16, 1), generator=generator)
    rows = []
    for _ in range(300):
        new = torch.randint(0, SYMBOLS, (16, 1), generator=generator)
        rows.append((torch.cat([torch.full_like(answers, SYMBOLS), answers], 1), answers))
        answers = torch.where(torch.rand(16, 1, generator=generator) < 0.05, new, answers)

    def last_loss(lanes: torch.Tensor | None) -> float:
        model = initialise(RecurrentModel(config), 0)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
        losses = []
        for ids, answer in rows:  # (16, 2): the question mark, and what was right
            logits = model(Inputs(target=Tokens(ids, lanes=lanes)), at="all").logits[:, 0]
            loss = cross_entropy(logits, answer[:, 0])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses[-30:]))

    assert last_loss(None) > 1.5  # log 6 = 1.79: chance
    assert last_loss(torch.arange(16)) < 0.9
