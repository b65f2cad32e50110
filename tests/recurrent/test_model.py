"""The fused networks against steps written out; padding, packing, caches and records change nothing."""

import pytest
import torch
from by_hand import answered, encoded, language_model, steps

from trivium.errors import SettingsError
from trivium.generation.rows import left_padded, right_padded
from trivium.transformer import Inputs, Record, Tokens
from trivium.transformer.dropout import drop

CELLS = ["rnn", "lstm", "gru"]
TEXTS = [[3, 9, 2, 7, 1], [30, 4], [5, 5, 8]]
CPU = torch.device("cpu")


def read(model, ids, **settings):
    return model(Inputs(target=Tokens(torch.tensor([ids]))), at="all", **settings)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("fields", [{"decoder_layers": 1}, {"decoder_layers": 3, "state_width": 7}])
def test_a_language_model_is_its_equations(small, cell, fields):
    model = small(cell=cell, **fields)
    for ids in TEXTS:
        torch.testing.assert_close(read(model, ids).logits[0], language_model(model, ids), rtol=1e-4, atol=1e-5)


def test_its_gradients_are_those_of_the_equations(small):
    model = small(cell="lstm", decoder_layers=2).train()
    grads = []
    for logits in (read(model, TEXTS[0]).logits[0], language_model(model, TEXTS[0])):
        model.zero_grad()
        torch.nn.functional.cross_entropy(logits, torch.tensor([1, 2, 3, 4, 5])).backward()
        grads.append({name: parameter.grad.clone() for name, parameter in model.named_parameters()})
    for name, gradient in grads[0].items():
        torch.testing.assert_close(gradient, grads[1][name], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_bidirectional_encoder_is_its_equations(small, cell):
    model = small(cell=cell, encoder_layers=2)
    for ids in TEXTS:
        hidden = model(Inputs(source=Tokens(torch.tensor([ids])))).hidden[0]
        torch.testing.assert_close(hidden, encoded(model, ids), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("attention", ["general", "additive"])
def test_an_encoder_decoder_is_its_equations(small, cell, attention):
    model = small(cell=cell, encoder_layers=1, decoder_layers=2, attention=attention)
    record = Record.empty()
    inputs = Inputs(Tokens(torch.tensor([TEXTS[0]])), Tokens(torch.tensor([[0, 8, 6]])))
    logits, weights = answered(model, TEXTS[0], [0, 8, 6])
    torch.testing.assert_close(model(inputs, at="all", record=record).logits[0], logits, rtol=1e-4, atol=1e-5)
    assert record.cross_attention[0].shape == (1, 1, 3, 5)
    torch.testing.assert_close(record.cross_attention[0][0, 0], weights, rtol=1e-4, atol=1e-5)
    assert [len(record.encoder_hidden), len(record.decoder_hidden)] == [2, 3]


@pytest.mark.parametrize("cell", CELLS)
def test_packed_documents_are_as_if_alone(small, cell):
    """No state leaks, forwards or backwards, over a document's bounds."""
    packed = [*TEXTS[0], *TEXTS[1], *TEXTS[2], 0, 0]
    numbers = [0] * 5 + [1] * 2 + [2] * 3 + [-1] * 2
    side = Tokens(torch.tensor([packed, [6] * 12]), documents=torch.tensor([numbers, [0] * 12]))
    for fields, name in (({"decoder_layers": 2}, "target"), ({"encoder_layers": 2}, "source")):
        model = small(cell=cell, **fields)
        hidden = model(Inputs(**{name: side})).hidden
        start = 0
        for ids in [*TEXTS, [6] * 12]:
            alone = model(Inputs(**{name: Tokens(torch.tensor([ids]))})).hidden[0]
            row, place = (1, 0) if len(ids) == 12 else (0, start)
            torch.testing.assert_close(hidden[row, place : place + len(ids)], alone, rtol=1e-4, atol=1e-5)
            start += len(ids)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("pad", [left_padded, right_padded])
def test_padding_changes_nothing(small, cell, pad):
    decoder, encoder = small(cell=cell, decoder_layers=2), small(cell=cell, encoder_layers=2)
    side = pad(TEXTS, 0, CPU)
    for model, inputs in ((decoder, Inputs(target=side)), (encoder, Inputs(source=side))):
        hidden = model(inputs).hidden
        for row, ids in enumerate(TEXTS):
            alone = Tokens(torch.tensor([ids]))
            expected = model(Inputs(alone, alone)).hidden[0]
            real = hidden[row][side.documents[row] >= 0]
            torch.testing.assert_close(real, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", ["general", "additive"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_packed_and_padded_sources_and_targets(small, attention, cell):
    """Each target document looks at its own source alone, begins from it, and padding is not there."""
    model = small(cell=cell, encoder_layers=1, decoder_layers=2, attention=attention)
    targets = [[0, 8, 6], [0, 1], [0, 4, 4, 9]]
    expected = [answered(model, s, t)[0] for s, t in zip(TEXTS, targets, strict=True)]
    for pad in (left_padded, right_padded):
        inputs = Inputs(right_padded(TEXTS, 0, CPU), pad(targets, 0, CPU))
        logits = model(inputs, at="all").logits
        for row, want in enumerate(expected):
            torch.testing.assert_close(logits[row][inputs.target.documents[row] >= 0], want, rtol=1e-4, atol=1e-5)

    def joined(rows):
        numbers = [n for n, row in enumerate(rows) for _ in row]
        return Tokens(torch.tensor([sum(rows, [])]), documents=torch.tensor([numbers]))

    logits = model(Inputs(joined(TEXTS), joined(targets)), at="all").logits[0]
    torch.testing.assert_close(logits, torch.cat(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fields", [{"cell": cell, "decoder_layers": 2} for cell in CELLS], ids=CELLS)
def test_in_pieces_with_a_cache_as_at_once(small, fields):
    model = small(**fields)
    ids = TEXTS[0] * 6
    whole = read(model, ids).logits[0]
    cache = model.new_cache(1, len(ids), CPU, torch.float32)
    parts = [read(model, part, cache=cache).logits[0] for part in (ids[:7], ids[7:8], ids[8:])]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=1e-4, atol=1e-5)
    assert cache.length == len(ids)
    cache.reset()
    torch.testing.assert_close(read(model, ids, cache=cache).logits[0], whole, rtol=1e-4, atol=1e-5)
    with pytest.raises(SettingsError, match="for 1 sequences, but 2"):
        model(Inputs(target=Tokens(torch.tensor([[1], [2]]))), cache=cache)


def test_a_cache_knows_where_a_document_ends(small):
    """New tokens of another document than the last begin from nothing; of the same one they go on."""
    model = small(cell="lstm", decoder_layers=1)
    cache = model.new_cache(2, 9, CPU, torch.float32)
    first = Tokens(torch.tensor([[3, 4, 5], [3, 4, 5]]), documents=torch.tensor([[0, 0, 1], [0, 0, 0]]))
    model(Inputs(target=first), cache=cache)
    after = model(Inputs(target=Tokens(torch.tensor([[7], [7]]), documents=torch.ones(2, 1, dtype=torch.long))),
                  cache=cache).hidden  # fmt: skip
    torch.testing.assert_close(after[0, 0], read(model, [5, 7]).hidden[0, 1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after[1, 0], read(model, [7]).hidden[0, 0], rtol=1e-4, atol=1e-5)
    again = model(Inputs(target=Tokens(torch.tensor([[2], [2]]))), cache=cache).hidden  # document 0: neither goes on
    torch.testing.assert_close(again, read(model, [2]).hidden.expand(2, -1, -1), rtol=1e-4, atol=1e-5)


def test_scores_only_where_asked_for(small):
    model = small(cell="gru", decoder_layers=1)
    side = Tokens(torch.tensor(TEXTS[:1] * 2))
    whole = model(Inputs(target=side), at="all").logits
    torch.testing.assert_close(
        model(Inputs(target=side), at=torch.tensor([1, 7])).logits, torch.stack([whole[0, 1], whole[1, 2]])
    )


def test_what_is_missing_is_said(small):
    decoder, both = small(decoder_layers=1), small(encoder_layers=1, decoder_layers=1)
    ids = Tokens(torch.tensor([[1, 2]]))
    with pytest.raises(SettingsError, match="inputs.target"):
        decoder(Inputs(source=ids))
    with pytest.raises(SettingsError, match="inputs.source in the first call"):
        both(Inputs(target=ids))
    with pytest.raises(SettingsError, match="nothing to cache"):
        small(encoder_layers=1)(Inputs(source=ids), cache=both.new_cache(1, 4, CPU, torch.float32))
    with pytest.raises(SettingsError, match="without a vocabulary projection"):
        small(decoder_layers=1, vocabulary_head="none")(Inputs(target=ids), at="all")


def test_dropout_falls_on_what_goes_in_up_and_out_never_on_what_goes_on(small):
    """Zaremba et al. 2014, section 3.1: the recurrent steps written out, between the same three masks."""
    model = small(cell="lstm", decoder_layers=2, dropout=0.5, state_width=6).train()
    torch.manual_seed(0)
    hidden = read(model, [4] * 20).hidden
    torch.manual_seed(0)
    x = drop(model.tokens.weight[torch.tensor([[4] * 20])], 0.5)
    for layer in model.decoder.layers:
        x = drop(steps(layer.cell, x)[0], 0.5)
    torch.testing.assert_close(hidden, x, rtol=1e-4, atol=1e-5)
    assert 0.3 < (hidden == 0).float().mean() < 0.7
