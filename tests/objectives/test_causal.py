import numpy as np
import pytest
import torch

from trivium.errors import SettingsError
from trivium.objectives import Causal
from trivium.randomness import Draws
from trivium.text.rows import Rows
from trivium.transformer import Inputs, Model, Tokens, TransformerConfig, initialise

GPT = TransformerConfig(vocab_size=400, width=16, heads=2, ffn_width=32, decoder_layers=2, context=64)


@pytest.fixture(scope="module")
def model():
    model = Model(GPT)
    initialise(model, 0)
    return model.eval()


def test_the_cat_sat_on_the_mat_is_six_conditionals(model, tokenizer):
    """log P(The cat sat on the mat) = the sum of six log P(word | the words before), each from its own pass."""
    sentence = np.array([[tokenizer.begin, 301, 302, 303, 304, 301, 305]])
    rows = Rows(sentence, np.zeros_like(sentence), np.arange(7)[None], np.array([0]))
    objective = Causal()
    batch = objective.batch(rows, Draws(0, rows.draws), tokenizer)
    assert batch.counts == {"causal": 6}
    total = 0.0
    for t in range(1, 7):
        prefix = Tokens(torch.from_numpy(sentence[:, :t]))
        logits = model(Inputs(target=prefix), at="all").logits[0, -1]
        total += logits.log_softmax(-1)[sentence[0, t]].item()
    assert objective.loss(model, batch)["causal"].total.item() == pytest.approx(-total, rel=1e-5)


@pytest.mark.parametrize("length", [8, 2048])
def test_as_many_losses_as_tokens(length, tokenizer, make_rows):
    layout = Causal().layout(tokenizer, length)
    assert (layout.mode, layout.length, layout.overlap) == ("stream", length + 1, 1)
    rows, draws = make_rows([length + 1], length + 1)
    batch = Causal().batch(rows, draws, tokenizer)
    assert batch.counts["causal"] == batch.tokens == length
    assert batch.inputs.target.documents is None and "at" not in batch.targets


def test_padding_has_no_loss_and_changes_nothing(model, tokenizer, make_rows):
    rows, draws = make_rows([9, 5], 9)
    batch = Causal().batch(rows, draws, tokenizer)
    assert batch.counts["causal"] == 12 == len(batch.targets["causal"]) == len(batch.targets["at"])
    together = Causal().loss(model, batch)["causal"].total
    apart = 0
    for row, length in enumerate([9, 5]):
        alone = Rows(
            *(part[[row], :length] for part in (rows.tokens, rows.documents, rows.positions)), rows.draws[[row]]
        )
        apart += Causal().loss(model, Causal().batch(alone, draws, tokenizer))["causal"].total
    torch.testing.assert_close(together, apart)


def test_isolated_documents_equal_documents_alone(model, tokenizer, make_rows):
    objective = Causal(isolate_documents=True)
    layout = objective.layout(tokenizer, 12)
    assert (layout.mode, layout.before, layout.after) == ("packed", (tokenizer.begin,), (tokenizer.end,))
    single, draws = make_rows([6, 5], 6)
    packed = Rows(
        tokens=np.concatenate([single.tokens[0], single.tokens[1, :5], [0]])[None],
        documents=np.array([[0] * 6 + [1] * 5 + [-1]]),
        positions=np.array([[*range(6), *range(5), 0]]),
        draws=np.array([0]),
    )
    batch = objective.batch(packed, draws, tokenizer)
    assert batch.counts["causal"] == 5 + 4
    apart = Causal().batch(single, draws, tokenizer)
    torch.testing.assert_close(
        objective.loss(model, batch)["causal"].total, Causal().loss(model, apart)["causal"].total
    )


def test_an_encoder_is_refused():
    with pytest.raises(SettingsError, match="decoder alone"):
        Causal().heads(TransformerConfig(vocab_size=8, width=8, heads=1, ffn_width=8, encoder_layers=1))
