"""Batches of conversations: the loss by hand, packed as alone, and nothing learnt from what a user says."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from trivium.alignment.lessons import LOSS, lesson_batch, lesson_loss, rows_of
from trivium.recurrent import RecurrentConfig, RecurrentModel
from trivium.recurrent import initialise as initialise_recurrent
from trivium.tokenizers.chats import Rendered
from trivium.transformer import Model, Rotary, TransformerConfig, initialise


def talk(ids: list[int], said: list[int]) -> Rendered:
    """Ids and, for each, the message that the assistant says it in, or -1."""
    return Rendered(np.array(ids, np.int64), np.array(said, np.int64))


TALKS = [
    talk([1, 5, 6, 7, 2], [-1, -1, 2, 2, 2]),
    talk([1, 9, 4, 4, 8, 3, 2], [-1, -1, 1, 1, -1, 3, 3]),
    talk([5, 6, 2], [-1, 1, 1]),
    talk([3, 3, 3, 4, 2], [0, 0, 0, 0, 0]),
]


def decoder(**changes):
    config = TransformerConfig(
        vocab_size=12, width=16, heads=2, ffn_width=24, encoder_layers=0, decoder_layers=2, context=32,
        init_std=0.4, **changes,
    )  # fmt: skip
    return initialise(Model(config), 3).eval()


def by_hand(model, each: Rendered) -> torch.Tensor:
    """-log p of each token that the assistant says, one after the other, from all before it."""
    total = torch.zeros(())
    for place in range(1, len(each.ids)):
        if each.replies[place] >= 0:
            from trivium.transformer import Inputs, Tokens

            read = Inputs(target=Tokens(torch.from_numpy(each.ids[None, :place])))
            logits = model(read, at="all").logits
            total = total - F.log_softmax(logits.reshape(-1, logits.shape[-1])[-1].float(), -1)[int(each.ids[place])]
    return total


@pytest.mark.parametrize("position", ["learned", "rotary", "recurrent"])
def test_packed_rows_cost_what_the_conversations_cost_alone(position):
    if position == "recurrent":
        config = RecurrentConfig(vocab_size=12, width=16, state_width=16, encoder_layers=0, decoder_layers=1)
        model = initialise_recurrent(RecurrentModel(config), 3).eval()
    else:
        model = decoder(**({"position": Rotary()} if position == "rotary" else {}))
    expected = sum(by_hand(model, each) for each in TALKS)
    for rows in ([[0, 1, 2, 3]], [[0], [1], [2], [3]], [[1, 2], [3, 0]]):
        batch = lesson_batch([[TALKS[number] for number in row] for row in rows], [0], pad=0)
        (loss,) = lesson_loss(model, batch).values()
        assert loss.count == batch.counts[LOSS] == 3 + 4 + 2 + 4  # the first token of a row is not predicted
        assert batch.tokens == sum(len(each.ids) - 1 for each in TALKS)
        assert loss.total.item() == pytest.approx(expected.item(), rel=1e-5)


def test_gradients_see_no_other_conversation():
    """Another neighbour changes no gradient of one's own tokens."""
    found = []
    for neighbour in (TALKS[1], TALKS[3]):
        model = decoder()
        batch = lesson_batch([[neighbour, TALKS[0]]], [0, 1], pad=0)
        logits = model(batch.inputs, at="all").logits.reshape(-1, 12)
        own = slice(len(neighbour.ids) - 1, len(neighbour.ids) - 1 + len(TALKS[0].ids) - 1)
        F.cross_entropy(logits[own], torch.from_numpy(TALKS[0].ids[1:]), reduction="sum").backward()
        found.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert torch.allclose(*found, atol=1e-6)


def test_what_a_user_says_is_no_target():
    """A user's last word, which nothing after it that is learnt can see, may be any word."""
    model = decoder()
    losses = []
    for word in (4, 9):
        batch = lesson_batch([[talk([1, 5, 6, 2, word], [-1, -1, 1, 1, -1])]], [0], pad=0)
        losses.append(lesson_loss(model, batch)[LOSS].total.item())
    assert losses[0] == losses[1]


def test_each_token_counts_the_same():
    """The mean is over tokens, so that accumulated batches add up: sums and counts of parts are those of the whole."""
    model = decoder()
    whole = lesson_loss(model, lesson_batch([[each] for each in TALKS], [0], 0))[LOSS]
    parts = [lesson_loss(model, lesson_batch([[each]], [0], 0))[LOSS] for each in TALKS]
    assert whole.total.item() == pytest.approx(sum(part.total.item() for part in parts), rel=1e-5)
    assert whole.count == sum(part.count for part in parts)


def test_rows_hold_every_conversation_once():
    lengths = np.array([5, 3, 9, 2, 2, 7, 1])
    rows = rows_of(lengths, 10)
    assert sorted(np.concatenate(rows).tolist()) == list(range(7))
    assert all(lengths[row].sum() <= 10 for row in rows) and len(rows) == 3
