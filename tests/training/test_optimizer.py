"""Muon and AdamW against torch used directly, which parameters get which, and an exact state."""

import pytest
import torch
from toy_model import Toy, feed, loss, trainer, weights

from trivium.errors import DataError
from trivium.training.muon import orthogonal
from trivium.training.optimizer import MasterOptimizer, build, hidden_matrices
from trivium.training.settings import AdamW, Muon, TrainingSettings
from trivium.training.trainer import Trainer
from trivium.transformer import Model, TransformerConfig


def test_muon_gets_the_matrices_inside_the_stack_and_nothing_else():
    assert hidden_matrices(Toy()) == {"layers.0.weight", "layers.1.weight"}


def test_muon_gets_the_dense_layer_of_a_masked_model_s_vocabulary_head():
    config = TransformerConfig(11, 8, 2, 16, encoder_layers=1, vocabulary_head="transform", pooler=True)
    names = hidden_matrices(Model(config))
    assert "vocabulary.dense.weight" in names
    assert not [name for name in names if "embedding" in name or "pooler" in name]


def test_muon_leaves_tied_embeddings_and_heads_alone():
    model = Toy()
    model.layers.append(torch.nn.Linear(8, 23, bias=False))
    model.layers[2].weight = model.embedding.weight
    model.heads = torch.nn.ModuleDict({"task": torch.nn.Sequential(torch.nn.Linear(8, 8))})
    assert hidden_matrices(model) == {"layers.0.weight", "layers.1.weight"}


def test_a_bias_is_not_decayed_whatever_its_shape():
    """XLNet's are a vector for each head."""
    weights = {"attention.content_bias": torch.ones(2, 3), "attention.segments": torch.ones(2, 2, 3)}
    ((adamw, _),) = build(AdamW(weight_decay=0.5), weights, (), low_precision=False)
    decays = {id(tensor): group["weight_decay"] for group in adamw.param_groups for tensor in group["params"]}
    assert [decays[id(tensor)] for tensor in weights.values()] == [0.0, 0.5]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_muon_and_its_rest_equal_torch_optimizers_used_directly(precision, monkeypatch):
    """A run in float32 orthogonalises in float32, which torch's own does when it is kept from casting."""
    settings = Muon(learning_rate=0.02, rest_learning_rate=0.004)
    ours = MasterOptimizer(Toy(), settings, precision)
    model = Toy()
    named = dict(model.named_parameters())
    matrices = [named["layers.0.weight"], named["layers.1.weight"]]
    rest = [p for name, p in named.items() if p.ndim == 2 and "layers" not in name]
    vectors = [p for p in named.values() if p.ndim == 1]
    references = [
        torch.optim.Muon(matrices, lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=0.004, betas=(0.9, 0.95), weight_decay=0.1),
        torch.optim.AdamW(vectors, lr=0.004, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    for step in range(4):
        for each in (dict(ours.weights), named):
            for name, parameter in each.items():
                generator = torch.Generator().manual_seed(step * 100 + len(name))
                gradient = torch.randn(parameter.shape, generator=generator).bfloat16()
                parameter.grad = gradient.to(parameter.dtype)
        ours.collect(first=True)
        ours.step(1.0)
        with monkeypatch.context() as patched:
            if precision == torch.float32:
                patched.setattr(torch.Tensor, "bfloat16", torch.Tensor.float)
            for reference in references:
                reference.step()
    for name, parameter in named.items():
        torch.testing.assert_close(ours.masters[name], parameter, rtol=1e-5, atol=1e-7)
    assert not torch.allclose(named["layers.0.weight"], Toy().layers[0].weight, atol=1e-3)


@pytest.mark.parametrize("shape", [(5, 5), (4, 9), (9, 4)])
def test_orthogonal_keeps_the_directions_and_evens_the_lengths(shape):
    """U S V^T becomes about U V^T: singular values in the iteration's known range, singular vectors kept."""
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = orthogonal(matrix, (3.4445, -4.7750, 2.0315), 5, 1e-7)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    core = u.T @ found @ v.T
    assert ((core.diagonal() > 0.5) & (core.diagonal() < 1.5)).all()
    assert (core - core.diagonal().diag()).abs().max() < 1e-4


@pytest.mark.parametrize("settings", [AdamW(), Muon()])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_restored_state_goes_on_bit_for_bit(settings, precision):
    whole = trainer(steps=10, optimizer=settings, precision=precision)
    list(whole)
    first = trainer(steps=10, optimizer=settings, precision=precision)
    for _ in range(4):
        first.step()
    saved, moments = first.state_dict()
    second = trainer(steps=10, optimizer=settings, precision=precision)
    second.load_state_dict(4, {n: t.clone() for n, t in saved.items()}, {n: t.clone() for n, t in moments.items()})
    list(second)
    assert all(torch.equal(weights(whole)[name], tensor) for name, tensor in weights(second).items())
    assert whole.state_dict()[1].keys() == second.state_dict()[1].keys()
    assert all(torch.equal(whole.state_dict()[1][n], t) for n, t in second.state_dict()[1].items())


def test_a_state_of_another_model_is_refused():
    one = trainer()
    one.step()
    saved, moments = one.state_dict()
    with pytest.raises(DataError, match="no second.output.weight"):
        trainer().load_state_dict(1, saved, {n: t for n, t in moments.items() if n != "second.output.weight"})
    with pytest.raises(DataError, match=r"first\.other"):
        trainer().load_state_dict(1, saved, {**moments, "first.other": torch.zeros(1)})
    with pytest.raises(DataError, match="1 names, first norm.bias"):
        trainer().load_state_dict(1, {n: t for n, t in saved.items() if n != "norm.bias"}, moments)
    with pytest.raises(DataError, match=r"norm.bias is \(3,\) in the checkpoint, \(8,\) here"):
        trainer().load_state_dict(1, {**saved, "norm.bias": torch.zeros(3)}, moments)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_frozen_has_no_copy_and_is_restored(precision):
    """Its master is the tensor that came with it: no memory beside the low-precision weight."""
    model, reference = Toy(), Toy()
    model.embedding.weight.requires_grad_(False)
    own = model.embedding.weight.data_ptr()
    settings = TrainingSettings(steps=4, precision=precision, device="cpu")
    ours = Trainer(model, loss, feed, settings, steps=4)
    master = ours.optimizer.masters["embedding.weight"]
    assert master.data_ptr() == own and "embedding.weight" not in ours.optimizer.trained
    list(ours)
    saved, moments = ours.state_dict()
    other = Toy()
    other.embedding.weight.requires_grad_(False)
    other.embedding.weight.data += 1
    again = Trainer(other, loss, feed, settings, steps=4)
    again.load_state_dict(4, saved, moments)  # of a frozen weight too
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    for each in (ours, again):
        each.optimizer.restore_float32()
    assert torch.equal(model.embedding.weight, reference.embedding.weight)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


def test_unused_parameters_have_no_effect_in_bfloat16():
    """A parameter without a gradient counts as one with a gradient of 0."""
    model = Toy()
    model.unused = torch.nn.Parameter(torch.ones(3))
    ours = MasterOptimizer(model, AdamW(), torch.bfloat16)
    (batch,) = feed(0)
    loss(model, batch)["next"].total.backward()
    ours.collect(first=True)
    ours.step(1.0)
    assert torch.equal(ours.masters["unused"], torch.ones(3))
