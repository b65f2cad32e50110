"""Weights for inference alone compute what the float32 model computes, to the precision of their numbers."""

import sys
from copy import deepcopy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from trivium.errors import SettingsError
from trivium.transformer import Inputs, RelativeBias, Rotary, Tokens, inference_weights, initialise, make_head
from trivium.transformer.head_config import Pooled
from trivium.transformer.inference_weights import (
    InferenceLinear,
    for_inference,
    parameter_count,
    quantised,
    row_product,
)

BODIES = {
    "gpt": {"decoder_layers": 2},
    "llama": {"decoder_layers": 2, "position": Rotary(), "kv_heads": 2, "norm": "rms", "gated": True, "bias": False,
              "activation": "silu", "tied": False},
    "bert": {"encoder_layers": 2, "norm_place": "post", "vocabulary_head": "transform", "embedding_norm": True},
    "t5": {"encoder_layers": 2, "decoder_layers": 2, "position": RelativeBias(8, 20), "norm": "rms", "bias": False},
}  # fmt: skip


@pytest.fixture(params=["numba", "torch"])
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the compiled kernels and without them, as where numba is not installed."""
    if request.param == "torch":
        monkeypatch.setattr(inference_weights, "row_product", lambda: None)
    elif row_product() is None:
        pytest.skip("the kernels need numba, and an OpenMP of torch's that has GOMP_parallel")


def rounded(model):
    """The same network with float32 weights that hold what int8 ones stand for."""
    found = deepcopy(model)
    vocabulary = found.vocabulary.projection
    for module in (*found.modules(), found.tokens):
        if isinstance(module, torch.nn.Linear) or module is found.tokens:
            whole, scale = quantised(module.weight.bfloat16())
            module.weight.data = whole.float() * scale[:, None]
    assert vocabulary is found.vocabulary.projection
    return found


@pytest.mark.parametrize("body", list(BODIES))
@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_a_prepared_network_computes_the_same(make, ids, inputs, body, precision, kernels) -> None:
    model = make(**BODIES[body], init_std=0.1)
    wanted = rounded(model) if precision == "int8" else model
    prepared = for_inference(deepcopy(model), precision == "int8")
    assert parameter_count(prepared) == parameter_count(model) == sum(each.numel() for each in model.parameters())
    for some in (ids[:1, :1], ids[:1, :3], ids[:2], ids):  # one row, a few, more, many
        with torch.inference_mode():
            ours = prepared(inputs(prepared, some), at="all").logits.float()
            theirs = wanted(inputs(model, some), at="all").logits
        assert (ours - theirs).norm() < 0.03 * theirs.norm()


@pytest.mark.parametrize("pooling", ["first", "last"])
@pytest.mark.parametrize("precision", ["int8", "bfloat16"])
def test_a_head_that_reads_one_place_hears_all_others(make, ids, precision, pooling, kernels) -> None:
    model = make(**BODIES["bert"], init_std=0.1, pooler=True)
    model.heads["label"] = make_head(model.config, Pooled(5, pooling))
    initialise(model, 1)
    wanted = rounded(model) if precision == "int8" else model
    prepared = for_inference(deepcopy(model), precision == "int8")
    padded = torch.tensor([[0] * 10, [0] * 10, [0] * 4 + [-1] * 6])
    for tokens in (Tokens(ids[:1]), Tokens(ids), Tokens(ids, documents=padded)):
        with torch.inference_mode():
            ours = prepared.scores(Inputs(source=tokens), "label").float()
            theirs = wanted.scores(Inputs(source=tokens), "label")
        assert (ours - theirs).norm() < 0.03 * theirs.norm()


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 16, 17, 40])
@pytest.mark.parametrize("outputs", [1, 3, 8, 77])
def test_products_of_any_number_of_rows(rows, outputs, kernels) -> None:
    draw = torch.Generator().manual_seed(rows * 100 + outputs)
    weight = torch.randn(outputs, 48, generator=draw).bfloat16()
    x, bias = torch.randn(2, rows, 48, generator=draw).bfloat16(), torch.randn(outputs, generator=draw).bfloat16()
    whole, scale = quantised(weight)
    for layer, meant in (
        (InferenceLinear(weight, None, bias), weight.float()),
        (InferenceLinear(whole, scale, bias), whole.float() * scale[:, None]),
    ):
        for given_x in (x, x[:1], x[0, 0]):
            expected = F.linear(given_x.float(), meant, bias.float())
            torch.testing.assert_close(layer(given_x).float(), expected, rtol=2e-2, atol=6e-2)


def test_the_kernel_rounds_once_and_to_even() -> None:
    """1 + 1/256 lies midway between two bfloat16 numbers, 1 and 1 + 1/128: the even one is 1. 3/256 goes up."""
    product = row_product()
    if product is None:
        pytest.skip("the kernels need numba")
    weight = torch.tensor([[1.0, 1 / 256], [1.0, 3 / 256], [float("nan"), 1], [3e38, 3e38]]).bfloat16()
    found = product(torch.ones(1, 2).bfloat16(), weight, None, None)[0]
    assert found[:2].tolist() == [1.0, 1 + 1 / 64] and found[2].isnan() and found[3] == torch.inf


@given(st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), min_size=1, max_size=5))
def test_no_weight_moves_by_more_than_half_a_step(rows) -> None:
    weight = torch.tensor(rows)
    whole, scale = quantised(weight)
    assert bool((scale > 0).all()) and torch.equal(scale, scale.bfloat16().float())
    assert bool(((whole * scale[:, None] - weight).abs() <= scale[:, None] * 0.5001).all())


def test_a_worked_example() -> None:
    """The largest magnitude becomes 127; a row of zeros stays one."""
    whole, scale = quantised(torch.tensor([[127.0, -63.4, 0.4, 0.6], [0, 0, 0, 0]]))
    assert scale.tolist() == [1.0, 1.0] and whole.tolist() == [[127, -63, 0, 1], [0, 0, 0, 0]]


def test_it_is_a_quarter_of_the_memory(make) -> None:
    model = make(decoder_layers=2, width=128, ffn_width=512, vocab_size=1000)
    before = sum(p.numel() * 4 for p in model.parameters())
    prepared = for_inference(model, int8=True)
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in (*prepared.parameters(), *prepared.buffers())}  # noqa: E501
    assert sum(storages.values()) < 0.3 * before


@pytest.mark.parametrize("int8", [True, False])
def test_training_and_saving_are_refused(make, int8) -> None:
    prepared = for_inference(make(decoder_layers=1), int8)
    with pytest.raises(SettingsError, match="cannot be trained: load it with precision float32"):
        prepared.train()
    with pytest.raises(SettingsError, match="cannot be saved: load it with precision float32"):
        prepared.state_dict()


def test_without_numba_torch_takes_its_place(monkeypatch) -> None:
    row_product.cache_clear()
    monkeypatch.setattr(inference_weights, "find_spec", lambda name: None)
    assert row_product() is None
    row_product.cache_clear()
    monkeypatch.undo()
    assert sys.platform != "linux" or row_product() is not None
