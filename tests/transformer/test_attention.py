"""Self-attention by hand, heads, groups, kernels (Vaswani et al. 2017, section 3.2)."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trivium.transformer import TransformerConfig
from trivium.transformer.attention import Attention, attend, attention_weights, choose_kernel, project_jointly
from trivium.transformer.looks import Looks
from trivium.transformer.masks import Mask, additive, causal, same_document

CPU = torch.device("cpu")


def by_hand(x: list[list[float]], query, key, value, scale: float) -> list[list[float]]:
    """The formula word by word, on lists: q_i . k_j, softmax over j, sum of v_j."""

    def times(matrix, vector):
        return [sum(row[j] * vector[j] for j in range(len(vector))) for row in matrix]

    queries, keys, values = ([times(m, row) for row in x] for m in (query, key, value))
    out = []
    for q in queries:
        exponentials = [math.exp(scale * sum(a * b for a, b in zip(q, k, strict=True))) for k in keys]
        weights = [e / sum(exponentials) for e in exponentials]
        out.append([sum(w * v[d] for w, v in zip(weights, values, strict=True)) for d in range(len(values[0]))])
    return out


def test_three_tokens_by_hand_in_matrices_and_by_the_module():
    x = [[1.0, 0.0, 2.0, -1.0], [0.5, -0.5, 0.0, 1.0], [0.0, 1.0, 1.0, 0.5]]
    generator = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(4, 4, generator=generator) for _ in range(3))
    expected = torch.tensor(by_hand(x, query.tolist(), key.tolist(), value.tolist(), 4**-0.5))

    rows = torch.tensor(x)
    scores = (rows @ query.T) @ (rows @ key.T).T / math.sqrt(4)
    torch.testing.assert_close(torch.softmax(scores, -1) @ (rows @ value.T), expected)

    module = Attention(TransformerConfig(9, 4, 1, 8, encoder_layers=1, bias=False), 0)
    for layer, weight in zip((module.query, module.key, module.value), (query, key, value), strict=True):
        layer.weight.data = weight
    module.output.weight.data = torch.eye(4)
    torch.testing.assert_close(module(rows[None], None, Mask())[0], expected)


def test_without_weights_attention_is_softmax_of_products():
    """The first step of the lecture: no projections at all."""
    x = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    rows = torch.tensor(x)[None, None]
    identity = [[1.0, 0.0], [0.0, 1.0]]
    expected = torch.tensor(by_hand(x, identity, identity, identity, 1.0))
    torch.testing.assert_close(attend(rows, rows, rows, Mask(), scale=1.0)[0], expected)
    weights = attention_weights(rows, rows, Mask(), 1.0)[0, 0]
    e = math.e
    torch.testing.assert_close(weights[0], torch.tensor([e, 1, e]) / (2 * e + 1))


def test_heads_equal_single_heads_side_by_side():
    """Concat(head_1 ... head_h) W^O, each head with its own slice of the projections."""
    config = TransformerConfig(9, 12, 3, 8, encoder_layers=1)
    module, x = Attention(config, 0), torch.randn(2, 5, 12)
    heads = []
    for h in range(3):
        rows = slice(4 * h, 4 * h + 4)
        q, k, v = (F.linear(x, m.weight[rows], m.bias[rows]) for m in (module.query, module.key, module.value))
        heads.append(torch.softmax(q @ k.transpose(1, 2) / 2.0, -1) @ v)
    torch.testing.assert_close(module(x, None, Mask()), module.output(torch.cat(heads, -1)))


@pytest.mark.parametrize("kernel", ["batched", "fused"])
@pytest.mark.parametrize("bias", ["none", "by row", "by head"])
@pytest.mark.parametrize("T", [1, 5])
def test_grouped_queries_equal_repeated_keys_and_values(kernel, bias, T):
    q, k, v = torch.randn(2, 6, T, 4), torch.randn(2, 2, 7, 4), torch.randn(2, 2, 7, 4)
    mask = Mask({"none": None, "by row": torch.randn(2, 1, T, 7), "by head": torch.randn(1, 6, T, 7)}[bias])
    repeated = attend(q, k.repeat_interleave(3, 1), v.repeat_interleave(3, 1), mask, scale=0.5, kernel=kernel)
    torch.testing.assert_close(attend(q, k, v, mask, scale=0.5, kernel=kernel), repeated)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("mask", ["none", "causal", "documents", "by head"])
def test_both_kernels_agree_forward_and_backward(groups, mask):
    T = 9
    documents = torch.tensor([[0] * 5 + [1] * 4, [0] * 7 + [-1] * 2])
    chosen = {
        "none": Mask(),
        "causal": Mask(causal=True),
        "documents": Mask(additive(same_document(documents, documents) & causal(T, T, CPU), torch.float32)),
        "by head": Mask(torch.randn(1, 4, T, T)),
    }[mask]
    start = [torch.randn(2, heads, T, 8) for heads in (4, groups, groups)]
    results = []
    for kernel in ("batched", "fused"):
        q, k, v = (t.clone().requires_grad_() for t in start)
        out = attend(q, k, v, chosen, scale=0.3, kernel=kernel)
        out.square().sum().backward()
        results.append((out, q.grad, k.grad, v.grad))
    for batched, fused in zip(*results, strict=True):
        torch.testing.assert_close(batched, fused, rtol=1e-4, atol=1e-5)


def test_recorded_weights_are_what_mixes_the_values_and_their_rows_sum_to_one():
    q, k, v = torch.randn(2, 4, 5, 8), torch.randn(2, 2, 5, 8), torch.randn(2, 2, 5, 8)
    record = Looks()
    out = attend(q, k, v, Mask(causal=True), scale=0.3, kernel="fused", record=record)
    assert record[0].shape == (2, 4, 5, 5)
    torch.testing.assert_close(record[0].sum(-1), torch.ones(2, 4, 5))
    mixed = torch.einsum("bhts,bhsd->bthd", record[0], v.repeat_interleave(2, 1)).reshape(2, 5, 32)
    torch.testing.assert_close(out, mixed)


def test_dropout_falls_on_the_weights_and_keeps_their_mean():
    torch.manual_seed(0)
    q, k = torch.randn(1, 2, 64, 8), torch.randn(1, 2, 64, 8)
    ones = torch.ones(1, 2, 64, 8)
    out = attend(q, k, ones, Mask(), scale=0.3, dropout=0.5)
    assert out.std() > 0.01 and abs(out.mean().item() - 1) < 0.1


def test_the_rule_for_kernels():
    assert choose_kernel(256, 256, CPU, True) == choose_kernel(512, 512, CPU, True) == "batched"
    assert choose_kernel(1024, 1024, CPU, True) == choose_kernel(1, 256, CPU, False) == "fused"
    assert choose_kernel(64, 64, torch.device("cuda"), True) == "fused"


@pytest.mark.parametrize("stacks", [{"encoder_layers": 2}, {"decoder_layers": 2}])
def test_a_model_gives_the_same_with_and_without_gradients(make, ids, inputs, position, stacks):
    """With them the batched kernel runs, without them the fused one."""
    model = make(position=position, kv_heads=2, **stacks)
    documents = torch.tensor([[0] * 4 + [1] * 6, [0] * 7 + [-1] * 3, [0] * 10])
    for fields in ({}, {"documents": documents}):
        expected = model(inputs(model, ids, **fields), at="all").logits
        with torch.inference_mode():
            found = model(inputs(model, ids, **fields), at="all").logits
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)


def test_head_width_may_differ_from_the_models():
    config = TransformerConfig(9, 12, 3, 8, encoder_layers=1, head_width=10, kv_heads=1)
    module = Attention(config, 0)
    assert module.query.weight.shape == (30, 12) and module.key.weight.shape == (10, 12)
    assert module(torch.randn(2, 5, 12), None, Mask()).shape == (2, 5, 12)


@pytest.mark.parametrize("bias", [True, False])
def test_joined_projections_equal_separate_ones(bias):
    """Many rows are projected by one product; values and gradients are those of three."""
    module = Attention(TransformerConfig(9, 12, 3, 8, encoder_layers=1, bias=bias, kv_heads=1), 0)
    x = torch.randn(4, 16, 12, requires_grad=True)
    joined = project_jointly(x, (module.query, module.key, module.value))
    separate = [layer(x) for layer in (module.query, module.key, module.value)]
    results = []
    for outputs in (joined, separate):
        module.zero_grad()
        x.grad = None
        sum(out.square().sum() for out in outputs).backward()
        results.append([*outputs, x.grad, *(p.grad for n, p in module.named_parameters() if "output" not in n)])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_an_adapter_in_the_place_of_a_projection_is_used():
    class Doubled(nn.Module):
        def __init__(self, layer: nn.Linear):
            super().__init__()
            self.layer = layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * self.layer(x)

    module = Attention(TransformerConfig(9, 4, 2, 8, encoder_layers=1, bias=False), 0)
    x = torch.randn(4, 16, 4)
    expected = 2 * module(x, None, Mask())
    module.value = Doubled(module.value)
    torch.testing.assert_close(module(x, None, Mask()), expected)
