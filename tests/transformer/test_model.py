"""The model as a whole: who can see what, packing, padding, records, logits where asked, and a task it must learn."""

import pytest
import torch
from torch.nn import functional as F

from trivium.errors import SettingsError
from trivium.transformer import (
    SEQUENCE,
    Inputs,
    Learned,
    Model,
    NoPosition,
    Record,
    RelativeBias,
    Rotary,
    SequenceHead,
    Sinusoidal,
    Tokens,
    TransformerConfig,
    initialise,
)

STACKS = {
    "encoder": {"encoder_layers": 2},
    "decoder": {"decoder_layers": 2},
    "both": {"encoder_layers": 2, "decoder_layers": 2},
}


@pytest.mark.parametrize("norm_place", ["pre", "post"])
def test_changing_the_future_leaves_the_past_bitwise_equal(make, ids, position, norm_place):
    model = make(decoder_layers=2, position=position, norm_place=norm_place)
    changed = ids.clone()
    changed[:, 6:] = (ids[:, 6:] + 5) % 28 + 1
    a, b = (model(Inputs(target=Tokens(x)), at="all").logits for x in (ids, changed))
    assert torch.equal(a[:, :6], b[:, :6])
    assert not torch.equal(a[:, 6:], b[:, 6:])


def test_an_encoder_sees_the_future(make, ids, position):
    model = make(encoder_layers=2, position=position)
    changed = ids.clone()
    changed[:, 9] = (ids[:, 9] + 5) % 28 + 1
    a, b = (model(Inputs(Tokens(x))).hidden for x in (ids, changed))
    assert ((a[:, :9] - b[:, :9]).abs().amax((1, 2)) > 1e-4).all()


def test_a_prefix_sees_itself_both_ways_and_nothing_after_it(make, ids):
    model = make(decoder_layers=2)
    prefix = (torch.arange(10) < 4).expand(3, 10)

    def hidden(x: torch.Tensor) -> torch.Tensor:
        return model(Inputs(target=Tokens(x, prefix=prefix))).hidden

    inside, after = ids.clone(), ids.clone()
    inside[:, 3], after[:, 7] = (ids[:, 3] + 5) % 28 + 1, (ids[:, 7] + 5) % 28 + 1
    assert (hidden(ids)[:, 0] - hidden(inside)[:, 0]).abs().max() > 1e-4
    assert torch.equal(hidden(ids)[:, :7], hidden(after)[:, :7])


def test_without_positions_an_encoder_is_equivariant_to_order(make, ids):
    order = torch.randperm(10, generator=torch.Generator().manual_seed(0))
    model = make(encoder_layers=2, position=NoPosition())
    a, b = model(Inputs(Tokens(ids))).hidden, model(Inputs(Tokens(ids[:, order]))).hidden
    torch.testing.assert_close(a[:, order], b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("position", [Learned(), Sinusoidal(), Rotary(100.0), RelativeBias(8, 20)])
def test_with_positions_order_matters(make, ids, position):
    order = torch.arange(9, -1, -1)
    model = make(encoder_layers=2, position=position)
    a, b = model(Inputs(Tokens(ids))).hidden, model(Inputs(Tokens(ids[:, order]))).hidden
    assert (a[:, order] - b).abs().max() > 1e-2


@pytest.mark.parametrize("stacks", STACKS.values(), ids=STACKS)
def test_packed_documents_equal_separate_ones(make, ids, position, stacks):
    model = make(position=position, **stacks)
    first, second = ids[:1, :6], ids[1:2, :4]
    packed = Tokens(
        torch.cat((first, second, ids[:1, :2]), 1),
        documents=torch.tensor([[0] * 6 + [1] * 4 + [-1] * 2]),
        positions=torch.tensor([[0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 0, 0]]),
    )
    sides = (packed if model.encoder else None, packed if model.decoder else None)
    together = model(Inputs(*sides), at="all").logits
    for piece, where in ((first, slice(0, 6)), (second, slice(6, 10))):
        side = Tokens(piece)
        alone = model(Inputs(side if model.encoder else None, side if model.decoder else None), at="all").logits
        torch.testing.assert_close(together[:, where], alone, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("stacks", STACKS.values(), ids=STACKS)
def test_padding_changes_nothing(make, ids, inputs, position, stacks):
    model = make(position=position, **stacks)
    documents = torch.tensor([[0] * 10, [0] * 7 + [-1] * 3, [0] * 2 + [-1] * 8])
    together = model(inputs(model, ids, documents=documents), at="all").logits
    for row, length in enumerate((10, 7, 2)):
        alone = model(inputs(model, ids[row : row + 1, :length]), at="all").logits
        torch.testing.assert_close(together[row : row + 1, :length], alone, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("stacks", STACKS.values(), ids=STACKS)
def test_logits_only_where_asked(make, ids, inputs, stacks):
    model = make(**stacks, vocabulary_head="transform", logit_scale=0.5)
    everywhere = model(inputs(model, ids), at="all").logits
    at = torch.tensor([3, 0, 29])
    some = model(inputs(model, ids), at=at).logits
    torch.testing.assert_close(some, everywhere.view(30, -1)[at])
    assert model(inputs(model, ids)).logits is None


@pytest.mark.parametrize("stacks", STACKS.values(), ids=STACKS)
def test_a_record_holds_every_layer_and_changes_nothing(make, ids, inputs, position, stacks):
    model = make(position=position, **stacks)
    record = Record.empty()
    out = model(inputs(model, ids), at="all", record=record)
    torch.testing.assert_close(out.logits, model(inputs(model, ids), at="all").logits)
    for name, stack in (("encoder", model.encoder), ("decoder", model.decoder)):
        hidden, attention = getattr(record, f"{name}_hidden"), getattr(record, f"{name}_attention")
        assert (len(hidden), len(attention)) == ((3, 2) if stack else (0, 0))
        for weights in attention:
            torch.testing.assert_close(weights.sum(-1), torch.ones(3, 4, 10))
    both = model.encoder and model.decoder
    assert [w.shape for w in record.cross_attention] == ([(3, 4, 10, 10)] * 2 if both else [])
    last = (record.decoder_hidden or record.encoder_hidden)[-1]
    torch.testing.assert_close((model.decoder or model.encoder).norm(last), out.hidden)


def test_keys_and_values_come_from_the_encoder(make, ids):
    """The decoder's answer depends on the source through cross-attention alone: blocked there, no gradient arrives."""
    model = make(encoder_layers=1, decoder_layers=1)
    at = torch.tensor([0])
    model(Inputs(Tokens(ids), Tokens(ids)), at=at).logits.sum().backward()
    assert model.encoder.layers[0].feed_forward.up.weight.grad.abs().sum() > 0
    assert model.decoder.layers[0].cross.key.weight.grad.abs().sum() > 0

    memory = torch.randn(3, 7, 32, requires_grad=True)
    x = torch.randn(3, 4, 32, requires_grad=True)
    from trivium.transformer.looks import Looks
    from trivium.transformer.masks import Mask

    cross = model.decoder.layers[0].cross
    record = Looks()
    cross(x, memory, Mask(), record=record)
    q, k = cross.query(x).view(3, 4, 4, 8), cross.key(memory).view(3, 7, 4, 8)
    expected = torch.softmax(torch.einsum("bthd,bshd->bhts", q, k) / 8**0.5, -1)
    torch.testing.assert_close(record[0], expected.detach())
    cross.value.weight.data.zero_()
    cross.value.bias.data.zero_()
    out = cross(x, memory, Mask())
    assert torch.equal(out, cross.output.bias.expand_as(out)), "values carry all that is read"


def test_source_padding_is_invisible_to_the_decoder(make, ids):
    model = make(encoder_layers=2, decoder_layers=2)
    documents = torch.tensor([[0] * 6 + [-1] * 4] * 3)
    changed = ids.clone()
    changed[:, 6:] = (ids[:, 6:] + 5) % 28 + 1
    a, b = (model(Inputs(Tokens(x, documents), Tokens(ids))).hidden for x in (ids, changed))
    assert torch.equal(a, b)


def test_teacher_forcing_lets_a_toy_model_learn_to_reverse():
    """Sequences of 5 from 10 symbols, source read backwards; held-out ones are decoded greedily, token by token."""
    torch.manual_seed(0)
    config = TransformerConfig(12, 32, 2, 64, encoder_layers=1, decoder_layers=1, context=8)
    model = initialise(Model(config), 0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    start = torch.full((64, 1), 1)
    for _ in range(250):
        source = torch.randint(2, 12, (64, 5))
        target = source.flip(1)
        forced = torch.cat((start, target[:, :-1]), 1)
        logits = model(Inputs(Tokens(source), Tokens(forced)), at="all").logits
        optimizer.zero_grad()
        F.cross_entropy(logits.flatten(0, 1), target.flatten()).backward()
        optimizer.step()
    model.eval()
    source = torch.randint(2, 12, (200, 5))
    written = torch.full((200, 1), 1)
    with torch.no_grad():
        for _ in range(5):
            logits = model(Inputs(Tokens(source), Tokens(written)), at="all").logits
            written = torch.cat((written, logits[:, -1:].argmax(-1)), 1)
    assert (written[:, 1:] == source.flip(1)).all(1).float().mean() > 0.95


def test_sinusoids_join_scaled_embeddings(make, ids):
    """Vaswani et al. 2017, section 3.4: embeddings times the square root of the width."""
    model = make(encoder_layers=1, position=Sinusoidal())
    record = Record.empty()
    model(Inputs(Tokens(ids[:, :1])), record=record)
    at_zero = torch.tensor([0.0, 1.0]).repeat(16)
    torch.testing.assert_close(record.encoder_hidden[0][:, 0], model.tokens(ids[:, 0]) * 32**0.5 + at_zero)


@pytest.mark.parametrize("pooling", ["first", "last", "mean"])
def test_sequence_heads(make, ids, pooling):
    config = make(encoder_layers=1).config
    model = initialise(Model(config, {SEQUENCE: SequenceHead(config, 3, pooling)}), 0).eval()
    documents = torch.tensor([[0] * 10, [0] * 7 + [-1] * 3, [0] * 2 + [-1] * 8])
    side = Tokens(ids, documents)
    out = model(Inputs(side), heads=[SEQUENCE])
    head = model.heads[SEQUENCE]
    for row, length in enumerate((10, 7, 2)):
        hidden = out.hidden[row, :length]
        vector = {
            "first": lambda h: torch.tanh(model.pooler.dense(h[0])),
            "last": lambda h: h[-1],
            "mean": lambda h: h.mean(0),
        }[pooling](hidden)
        torch.testing.assert_close(out.heads[SEQUENCE][row], head.classifier(vector))
    whole = model(Inputs(Tokens(ids)), heads=[SEQUENCE]).heads[SEQUENCE]
    full = model(Inputs(Tokens(ids, torch.zeros_like(ids))), heads=[SEQUENCE]).heads[SEQUENCE]
    torch.testing.assert_close(whole, full)


def test_dropout_only_in_training_and_repeatable(make, ids):
    model = make(encoder_layers=2, decoder_layers=2, dropout=0.2, attention_dropout=0.2)
    inputs = Inputs(Tokens(ids), Tokens(ids))
    assert torch.equal(model(inputs).hidden, model(inputs).hidden)
    model.train()
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(model(inputs).hidden)
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_bfloat16_throughout(make, ids, inputs, position):
    model = make(encoder_layers=1, decoder_layers=1, position=position, norm="rms", init_std=0.1)
    expected = model(inputs(model, ids), at="all").logits
    out = model.bfloat16()(inputs(model, ids), at="all").logits
    assert out.dtype == torch.bfloat16
    assert (out.float() - expected).abs().max() < 0.1 * expected.abs().max()


def test_what_is_missing_is_said(make, ids):
    side = Tokens(ids)
    with pytest.raises(SettingsError, match=r"inputs\.target"):
        make(decoder_layers=1)(Inputs(source=side))
    with pytest.raises(SettingsError, match=r"inputs\.source"):
        make(encoder_layers=1)(Inputs(target=side))
    with pytest.raises(SettingsError, match=r"inputs\.source in the first call"):
        make(encoder_layers=1, decoder_layers=1)(Inputs(target=side))
    with pytest.raises(SettingsError, match="33 tokens is longer than model.context = 32"):
        make(decoder_layers=1)(Inputs(target=Tokens(torch.ones(1, 33, dtype=torch.long))))
    with pytest.raises(SettingsError, match="without a vocabulary projection"):
        make(decoder_layers=1, vocabulary_head="none")(Inputs(target=side), at="all")


def test_a_compiled_model_gives_the_same(make, ids):
    model = make(decoder_layers=1, norm="rms")
    compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(
        compiled(Inputs(target=Tokens(ids)), at="all").logits, model(Inputs(target=Tokens(ids)), at="all").logits
    )
