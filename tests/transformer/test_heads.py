"""Heads by hand: which states they read, and what stands between those and the scores."""

import pytest
import torch
from torch import nn

from trivium.errors import SettingsError
from trivium.transformer import (
    EachToken,
    Learned,
    Pooled,
    SequenceHead,
    TokenHead,
    Tokens,
    TransformerConfig,
    make_head,
)
from trivium.transformer.inputs import moved_right
from trivium.transformer.network import needs_pooler

CONFIG = TransformerConfig(20, 8, 2, 16, encoder_layers=1, position=Learned(), dropout=0.1)
HIDDEN = torch.arange(2 * 4 * 8, dtype=torch.float32).view(2, 4, 8) / 10
SIDE = Tokens(torch.ones(2, 4, dtype=torch.int64), torch.tensor([[0, 0, 0, 0], [0, 0, -1, -1]]))


@pytest.mark.parametrize(("pooling", "states"), [("first", (0, 0)), ("last", (3, 1))])
@pytest.mark.parametrize(("dense", "activation"), [("tanh", torch.tanh), ("relu", torch.relu)])
def test_a_dense_layer_of_its_own_reads_the_state_itself(pooling, states, dense, activation):
    head = SequenceHead(CONFIG, 3, pooling, dense=dense).eval()
    vectors = torch.stack([HIDDEN[row, place] for row, place in enumerate(states)])
    expected = head.classifier(activation(head.dense(vectors)))
    assert torch.equal(head(HIDDEN, SIDE, torch.full((2, 8), torch.nan)), expected)  # whatever a pooler gave
    assert not needs_pooler(CONFIG, {"a": head}) and head.classifier.bias is not None


def test_dropout_stands_where_it_is_said():
    torch.manual_seed(0)
    ones = torch.ones(4000, 1, 8)
    side = Tokens(torch.ones(4000, 1, dtype=torch.int64))
    for before in (False, True):
        head = SequenceHead(CONFIG, 1, "first", dense="relu", dense_dropout=before, dropout=0.5).train()
        nn.init.eye_(head.dense.weight)
        nn.init.zeros_(head.dense.bias)
        nn.init.ones_(head.classifier.weight)
        nn.init.zeros_(head.classifier.bias)
        with torch.no_grad():
            share = (head(ones, side) / (4 if before else 2)).mean().item() / 8  # what passed, of all
        assert abs(share - (0.25 if before else 0.5)) < 0.01


def test_scores_of_tokens():
    head = TokenHead(CONFIG, 2).eval()
    assert torch.equal(head(HIDDEN, SIDE), HIDDEN @ head.classifier.weight.t() + head.classifier.bias)
    assert head.dropout == 0.1


@pytest.mark.parametrize(
    "made",
    [
        Pooled(3, "mean", dropout=0.1),
        Pooled(2, "last", bias=False, dropout=0.0),
        Pooled(1, "last", bias=True, dropout=0.3),
        Pooled(4, "first", dense="tanh", dense_dropout=True, dropout=0.0),
        Pooled(4, "mix", dropout=0.1, mix_norm=True),
        EachToken(5, dropout=0.1),
        EachToken(2, bias=False, dropout=0.2),
    ],
)
def test_a_module_says_what_it_was_made_of(made):
    assert make_head(CONFIG, made).config == made


@pytest.mark.parametrize("kind", [Pooled, EachToken])
@pytest.mark.parametrize("changes", [{"labels": -1}, {"labels": 2, "dropout": 1.0}])
def test_impossible_heads(kind, changes):
    with pytest.raises(SettingsError, match="a head"):
        kind(**changes)


def test_a_text_moved_right_for_a_decoder():
    side = Tokens(torch.tensor([[5, 6, 7, 2], [8, 2, 1, 1]]), torch.tensor([[0, 0, 0, 0], [0, 0, -1, -1]]))
    moved = moved_right(side, 9)
    assert moved.ids.tolist() == [[9, 5, 6, 7], [9, 8, 2, 1]]
    assert moved.documents is side.documents and side.ids[0].tolist() == [5, 6, 7, 2]
