"""LoRA by hand; nothing changes at first, only A and B learn, merged is unmerged, mixed rows are as alone."""

import pytest
import torch
from torch import nn

from trivium.errors import SettingsError
from trivium.families import FAMILIES
from trivium.families.adapters import fingerprint
from trivium.families.bodies import network
from trivium.transformer import SEQUENCE, Inputs, Model, SequenceHead, Tokens, initialise
from trivium.transformer.adapters import Adapters
from trivium.transformer.lora import Lora, LowRank, added_parameters

EVERYWHERE = Lora(rank=3, alpha=6, targets=("query", "value:2", "feed_forward.*", "attention.output:1", "tokens:4"))
V = 40


def model(family="gpt2", **changes):
    config = FAMILIES[family].size("tiny", V, dropout=0.0, attention_dropout=0.0, **changes)
    return initialise(Model(config), 0).eval()


def inputs(family="gpt2", rows=4):
    ids = torch.randint(0, V, (rows, 9), generator=torch.Generator().manual_seed(3))
    side = Tokens(ids)
    return Inputs(side, side) if family == "t5" else Inputs(side) if family == "bert" else Inputs(target=side)


def filled(adapters, name, seed):
    """An adapter that does something."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for part in adapters.parts(name).values():
            part.A.normal_(0, 0.3, generator=generator)
            part.B.normal_(0, 0.3, generator=generator)


class Matrix(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.query = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
        self.query.weight.data = weight


def test_the_example_by_hand():
    layer = Matrix(torch.eye(2))
    adapters = Adapters(layer)
    part = LowRank(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.5], [-1.0]]), Lora(rank=1, alpha=2.0).scale(1))
    adapters.put("a", {"query": part})
    x = torch.ones(1, 2)
    assert layer.query(x).tolist() == [[1, 1]]  # not in use yet
    adapters.use("a")
    assert layer.query(x).tolist() == [[4, -5]]
    adapters.merge("a")
    assert layer.query.weight.tolist() == [[2, 2], [-2, -3]]
    assert layer.query(x).tolist() == [[4, -5]] and type(layer.query) is nn.Linear
    adapters.unmerge()
    assert layer.query.weight.tolist() == [[1, 0], [0, 1]]


def test_the_scale():
    assert Lora(rank=4, alpha=8).scale(4) == 2
    assert Lora(rank=4, alpha=8, rank_stabilised=True).scale(4) == 4


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_at_first_nothing_changes_and_only_a_and_b_have_gradients(family):
    body = model(family)
    before, hashed = body(inputs(family), at="all").logits, fingerprint(body)
    adapters = Adapters(body)
    adapters.add("a", EVERYWHERE, seed=1)
    adapters.use("a")
    assert torch.equal(body(inputs(family), at="all").logits, before)
    for name, parameter in body.named_parameters():
        parameter.requires_grad_(".adapters." in name)
    body(inputs(family), at="all").logits.square().sum().backward()
    with_gradient = {name for name, p in body.named_parameters() if p.grad is not None}
    assert with_gradient == {name for name, _ in body.named_parameters() if ".adapters.a." in name}
    for path, part in adapters.parts("a").items():
        zero, random = (part.A, part.B) if path == "tokens" else (part.B, part.A)
        assert not zero.any() and random.std() > 0
        assert zero.grad.any() and not random.grad.any()  # the product is zero on one side
    assert fingerprint(body) == hashed


def test_a_is_gaussian_with_the_deviation_of_the_authors_uniform():
    layer = Matrix(torch.zeros(300, 400))
    adapters = Adapters(layer)
    adapters.add("a", Lora(rank=100, targets=("query",)), seed=5)
    a = adapters.parts("a")["query"].A
    uniform = nn.init.kaiming_uniform_(torch.empty(100, 400), a=5**0.5)
    assert a.std().item() == pytest.approx(uniform.std().item(), rel=0.03)
    assert a.abs().max() > 1.5 * uniform.abs().max()  # and no uniform one
    again = Adapters(Matrix(torch.zeros(300, 400)))
    again.add("b", Lora(rank=100, targets=("query",)), seed=5)
    assert torch.equal(again.parts("b")["query"].A, a)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_merged_equals_unmerged_and_the_base_comes_back_bit_for_bit(family):
    body = model(family)
    config, base, hashed = body.config, body(inputs(family)).hidden, fingerprint(body)
    adapters = Adapters(body)
    adapters.add("a", Lora(rank=3, targets=("query", "value:2", "feed_forward.*")))
    filled(adapters, "a", 1)
    adapters.use("a")
    unmerged = body(inputs(family), at="all").logits
    adapters.merge("a")
    merged = body(inputs(family), at="all").logits
    assert (merged - unmerged).abs().max() <= 1e-5 * unmerged.abs().max()
    assert not torch.allclose(body(inputs(family)).hidden, base, atol=1e-2)
    plain = network(config)  # nothing more to compute: the very modules of a model without adapters
    assert [(n, type(m)) for n, m in body.named_modules()] == [(n, type(m)) for n, m in plain.named_modules()]
    with pytest.raises(SettingsError, match="'a' is merged: unmerge it first"):
        adapters.use(None)
    adapters.unmerge()
    assert torch.equal(body(inputs(family), at="all").logits, unmerged)
    assert fingerprint(body) == hashed
    adapters.remove("a")
    assert adapters.names == () and torch.equal(body(inputs(family)).hidden, base)
    assert [type(m) for m in body.modules()] == [type(m) for m in plain.modules()]


def test_embeddings_merge_where_they_are_not_also_the_projection():
    body = model("bert", vocabulary_head="none")
    adapters = Adapters(body)
    adapters.add("a", Lora(rank=4, targets=("tokens",)))
    filled(adapters, "a", 2)
    adapters.use("a")
    unmerged = body(inputs("bert")).hidden
    adapters.merge("a")
    torch.testing.assert_close(body(inputs("bert")).hidden, unmerged, rtol=0, atol=1e-5)
    tied = Adapters(model("bert"))
    tied.add("a", Lora(targets=("tokens",)))
    with pytest.raises(SettingsError, match="use it unmerged"):
        tied.merge("a")


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_three_adapters_switched_and_mixed_in_a_batch(family):
    config = model(family).config
    body = initialise(Model(config, {SEQUENCE: SequenceHead(config, 3, "mean")}), 0).eval()
    adapters = Adapters(body)
    shapes = {"a": EVERYWHERE, "b": Lora(rank=1, targets=("query",)), "c": Lora(rank=5, alpha=1)}
    for seed, (name, lora) in enumerate(shapes.items()):
        adapters.add(name, lora, seed)
        filled(adapters, name, seed)
    alone = {}
    for name in (None, *shapes):
        adapters.use(name)
        alone[name] = body(inputs(family, 5), heads=(SEQUENCE,)).heads[SEQUENCE]
    adapters.use("b")
    order = ["c", "a", None, "b", "c"]
    with adapters.rows(order):
        mixed = body(inputs(family, 5), heads=(SEQUENCE,)).heads[SEQUENCE]
        with pytest.raises(SettingsError, match="chosen for 5 rows, but a layer sees 4"):
            body(inputs(family, 4))
    expected = torch.stack([alone[name][row] for row, name in enumerate(order)])
    torch.testing.assert_close(mixed, expected, rtol=0, atol=1e-5)
    assert not torch.allclose(expected, alone["c"], atol=1e-3)
    assert torch.equal(body(inputs(family, 5), heads=(SEQUENCE,)).heads[SEQUENCE], alone["b"])  # as before
    assert Adapters(body).names == ("a", "b", "c")  # a view finds what is there


def test_mixed_rows_have_the_gradients_of_each_alone():
    body = model()
    adapters = Adapters(body)
    for seed, name in enumerate("ab"):
        adapters.add(name, EVERYWHERE, seed)
        filled(adapters, name, seed)

    def gradients(names, rows):
        for parameter in body.parameters():
            parameter.grad = None
        ids = inputs().target.ids[rows]
        with adapters.rows(names):
            body(Inputs(target=Tokens(ids))).hidden.square().sum().backward()
        return {n: p.grad.clone() for n, p in body.named_parameters() if ".adapters." in n and p.grad is not None}

    both = gradients(["a", "b", "a", "b"], [0, 1, 2, 3])
    apart = gradients(["a", "a"], [0, 2]) | gradients(["b", "b"], [1, 3])
    assert both.keys() == apart.keys()
    for name, gradient in both.items():
        torch.testing.assert_close(gradient, apart[name], rtol=1e-4, atol=1e-4)


def test_dropout_is_on_the_adapter_s_path_alone():
    layer = Matrix(torch.eye(64)).train()
    adapters = Adapters(layer)
    adapters.add("a", Lora(rank=64, alpha=64, dropout=0.5, targets=("query",)))
    adapters.use("a")
    x = torch.ones(1, 64)
    assert torch.equal(layer.query(x), x)  # B is zero: what is dropped would show if the base's path had it
    with torch.no_grad():
        adapters.parts("a")["query"].A.copy_(torch.eye(64))
        adapters.parts("a")["query"].B.copy_(torch.eye(64))
    assert set(layer.query(x).flatten().tolist()) == {1.0, 3.0}  # 1 + (0 or 1 / 0.5)
    assert set(layer.eval().query(x).flatten().tolist()) == {2.0}


@pytest.mark.parametrize(("family", "size", "lora", "expected"), [
    ("gpt3", "175b", Lora(rank=1), 4_718_592),
    ("gpt3", "175b", Lora(rank=4), 18_874_368),  # 36 MiB in float16; the paper says 35 MB
    ("gpt3", "175b", Lora(rank=8), 37_748_736),
    ("roberta", "base", Lora(rank=8), 294_912),
    ("gpt2", "medium", Lora(rank=4), 393_216),
])  # fmt: skip
def test_parameters_of_published_models(family, size, lora, expected):
    with torch.device("meta"):
        body = network(FAMILIES[family].size(size))
    assert added_parameters(body, lora) == expected


def test_what_is_counted_is_what_is_added():
    body = model()
    adapters = Adapters(body)
    adapters.add("a", EVERYWHERE)
    added = sum(p.numel() for name, p in body.named_parameters() if ".adapters." in name)
    assert added == added_parameters(body, EVERYWHERE) == added_parameters(model(), EVERYWHERE)
    ranks = {path.partition("layers.0.")[2] or path: part.rank for path, part in adapters.parts("a").items()}
    assert ranks["attention.value"] == 2 and ranks["attention.query"] == 3 and ranks["tokens"] == 4


@pytest.mark.parametrize(("settings", "message"), [
    ({"rank": 0}, "rank = 0: it must be at least 1"),
    ({"alpha": 0}, "alpha = 0: it must be above 0"),
    ({"dropout": 1.0}, "below 1"),
    ({"targets": ()}, "names no layers"),
    ({"targets": ("query:0",)}, "'query:0'"),
    ({"targets": ("que(ry",)}, "no pattern"),
])  # fmt: skip
def test_settings_that_cannot_be_used(settings, message):
    with pytest.raises(SettingsError, match=message):
        Lora(**settings)


def test_layers_and_names_that_are_not_there():
    body = model()
    adapters = Adapters(body)
    with pytest.raises(SettingsError, match="no such layer: did you mean 'query'"):
        adapters.add("a", Lora(targets=("qery",)))
    for direct in ("positions", "vocabulary.projection"):  # read without a call
        with pytest.raises(SettingsError, match="no such layer"):
            adapters.add("a", Lora(targets=(direct,)))
    assert adapters.names == () and not any(".adapters" in name for name, _ in body.named_modules())
    adapters.add("a", Lora())
    with pytest.raises(SettingsError, match="'a' is taken"):
        adapters.add("a", Lora())
    with pytest.raises(SettingsError, match="letters, digits"):
        adapters.add("a.b", Lora())
    with pytest.raises(SettingsError, match="no adapter 'x': there are a"):
        adapters.use("x")
    with pytest.raises(SettingsError, match="no adapter is merged"):
        adapters.unmerge()
