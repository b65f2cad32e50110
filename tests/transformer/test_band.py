"""Locally banded layers: what they see, with a cache and without, and GPT-Neo's as a reference."""

import pytest
import torch
import transformers

from trivium.settings import build, dump
from trivium.transformer import Band, Inputs, Model, Record, RelativeBias, Tokens, TransformerConfig, initialise


def make(band: Band | None, **more: object) -> Model:
    config = TransformerConfig(29, 16, 2, 24, decoder_layers=4, context=40, band=band, **more)  # type: ignore[arg-type]
    return initialise(Model(config), 0).eval()


@pytest.mark.parametrize(("every", "local"), [(1, {0, 1, 2, 3}), (2, {1, 3}), (3, {2})])
def test_local_layers_see_what_is_near_and_dense_layers_all(every, local):
    record = Record.empty()
    with torch.no_grad():
        make(Band(3, every))(Inputs(target=Tokens(torch.arange(12)[None])), record=record)
    distance = torch.arange(12)[:, None] - torch.arange(12)
    for layer, weights in enumerate(record.decoder_attention):
        seen = (distance >= 0) & (distance < 3 if layer in local else torch.ones(()).bool())
        assert torch.equal(weights[0] > 0, seen.expand(2, 12, 12)), layer


@pytest.mark.parametrize("more", [{}, {"position": RelativeBias(8, 16)}, {"kv_heads": 1}])
@pytest.mark.parametrize("padded", [False, True])
def test_cached_equals_uncached(more, padded):
    model, ids = make(Band(4), **more), torch.randint(29, (2, 17), generator=torch.Generator().manual_seed(0))
    documents = torch.zeros(2, 17, dtype=torch.long)
    documents[1, :3] = -1
    known = documents if padded else None
    cache, pieces = model.new_cache(2, 17, "cpu", torch.float32), []
    with torch.no_grad():
        whole = model(Inputs(target=Tokens(ids, known)), at="all").logits
        for a, b in [(0, 6), (6, 7), (7, 12), *((i, i + 1) for i in range(12, 17))]:
            part = Tokens(ids[:, a:b], None if known is None else known[:, a:b])
            pieces.append(model(Inputs(target=part), at="all", cache=cache).logits)
    torch.testing.assert_close(torch.cat(pieces, 1)[:, 3:], whole[:, 3:], rtol=1e-5, atol=1e-5)


def test_a_band_wider_than_the_text_changes_nothing():
    inputs = Inputs(target=Tokens(torch.arange(20)[None]))
    with torch.no_grad():
        assert torch.equal(make(Band(20))(inputs, at="all").logits, make(None)(inputs, at="all").logits)


def test_gpt_neo_computes_the_same():
    """Its layers alternate as GPT-3's do; its scores are not scaled and its query, key and value have no bias."""
    config = transformers.GPTNeoConfig(
        vocab_size=29, hidden_size=16, num_layers=4, num_heads=2, intermediate_size=24, max_position_embeddings=40,
        window_size=5, attention_types=[[["global", "local"], 2]], bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    theirs = transformers.GPTNeoForCausalLM(config).eval()
    for parameter in theirs.parameters():
        parameter.data.normal_(0.0, 0.3, generator=torch.Generator().manual_seed(parameter.numel()))
    model = make(Band(5), attention_scale=1.0, activation="gelu_tanh")
    state, given = model.state_dict(), theirs.state_dict()
    for name in state:
        state[name] = given[neo(name)] if neo(name) in given else torch.zeros_like(state[name])
    model.load_state_dict(state)
    ids = torch.randint(29, (2, 33), generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        ours, expected = model(Inputs(target=Tokens(ids)), at="all").logits, theirs(ids).logits
    assert (ours - expected).abs().max() <= 1e-5 * expected.abs().max()


def neo(name: str) -> str:
    """GPT-Neo's name of a tensor of ours."""
    for ours, its in (
        ("tokens", "transformer.wte"), ("decoder.positions", "transformer.wpe"), ("decoder.norm", "transformer.ln_f"),
        ("decoder.layers", "transformer.h"), ("attention_norm", "ln_1"), ("feed_forward_norm", "ln_2"),
        ("feed_forward.up", "mlp.c_fc"), ("feed_forward.down", "mlp.c_proj"), ("attention.query", "A.q_proj"),
        ("attention.key", "A.k_proj"), ("attention.value", "A.v_proj"), ("attention.output", "A.out_proj"),
        ("A.", "attn.attention."),
    ):  # fmt: skip
        name = name.replace(ours, its)
    return name


def test_a_band_is_written_and_read_with_the_settings():
    config = make(Band(7, 3)).config
    assert dump(config)["band"] == {"width": 7, "every": 3}
    assert build(TransformerConfig, dump(config)) == config
    assert "band" not in dump(make(None).config)
