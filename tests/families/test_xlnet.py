"""XLNet against transformers' eager one: both streams, every mask, memory, files both ways, texts and tokenizers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

import trivium
from trivium.errors import DataError
from trivium.families import TRIVIUM, XLNET
from trivium.families.bodies import initialise, network
from trivium.families.huggingface import load, save
from trivium.families.weights import weights_out
from trivium.transformer import SEQUENCE, Inputs, Memory, Record, SequenceHead, Tokens, TwoStream

V, T = 61, 13
VARIANTS: dict[str, dict] = {
    "published": {},
    "clamped": {"clamp_len": 5, "ff_activation": "relu"},
    "causal": {"attn_type": "uni"},
    "untied": {"tie_word_embeddings": False, "n_layer": 3},
}
Close = Callable[..., None]


def reference(on_top: type = transformers.XLNetLMHeadModel, **settings: object) -> torch.nn.Module:
    sizes = {"vocab_size": V, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48, "mem_len": None}
    config = transformers.XLNetConfig(**(sizes | settings))
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = on_top(config).eval()
    for name, parameter in model.named_parameters():
        a_norm = "layer_norm" in name
        parameter.data.normal_(1.0 if a_norm and "weight" in name else 0.0, 0.1 if a_norm else 0.2)
    return model


@pytest.fixture(params=list(VARIANTS))
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[torch.nn.Module, TwoStream]:
    """Theirs, and ours of the folder that they saved."""
    theirs = reference(**VARIANTS[request.param])
    theirs.save_pretrained(tmp_path)
    return theirs, load(tmp_path).model.eval()


@pytest.fixture
def both(tmp_path: Path) -> tuple[torch.nn.Module, TwoStream]:
    """The published variant."""
    theirs = reference()
    theirs.save_pretrained(tmp_path)
    return theirs, load(tmp_path).model.eval()


def drawn(*shape: int, seed: int = 7) -> Tensor:
    return torch.randint(2, V, shape, generator=torch.Generator().manual_seed(seed))


SEGMENTS = torch.tensor([[0] * 5 + [1] * 7 + [2], [0] * 9 + [1] * 3 + [2]])


def compare_states(record: Record, expected: object, real: Tensor, close: Close) -> None:
    """The content stream's hidden states and attention."""
    for number, (a, b) in enumerate(zip(record.encoder_hidden, expected.hidden_states, strict=True)):
        close(a[real], b[real], f"hidden states {number}")
    for a, b in zip(record.encoder_attention, expected.attentions, strict=True):
        rows = real[:, None].expand(a.shape[:3])
        close(a[rows], b[rows], "attention weights")


def compare_gradients(ours: TwoStream, theirs: torch.nn.Module, close: Close, without: tuple[str, ...] = ()) -> None:
    grads = {n: torch.zeros_like(p) if p.grad is None else p.grad for n, p in ours.named_parameters()}
    found = weights_out(grads, XLNET, ours.config)
    expected = dict(theirs.named_parameters())
    assert found.keys() == expected.keys()
    for name, parameter in expected.items():
        if name in without:
            assert parameter.grad is None and not found[name].any()
        else:
            close(found[name], parameter.grad, f"gradient of {name}")


@pytest.mark.parametrize("padding", ["none", "left", "right"])
def test_the_content_stream(pair, padding: str, close: Close) -> None:
    theirs, ours = pair
    if padding != "none" and ours.config.causal:
        pytest.skip("their class fails on a mask beside attn_type uni")
    ids, mask = drawn(2, T), torch.ones(2, T)
    if padding != "none":
        mask[1, slice(0, 4) if padding == "left" else slice(-4, None)] = 0
    real = mask.bool()
    record = Record.empty()
    out = ours(Inputs(Tokens(ids, mask.long() - 1, segments=SEGMENTS)), at="all", record=record)
    given = {} if padding == "none" else {"attention_mask": mask}
    expected = theirs(ids, token_type_ids=SEGMENTS, output_hidden_states=True, output_attentions=True, **given)
    close(out.logits[real], expected.logits[real], "logits")
    close(out.hidden[real], expected.hidden_states[-1][real], "final hidden states")
    compare_states(record, expected, real, close)
    targets = drawn(2, T, seed=8)[real]
    loss = F.cross_entropy(ours(Inputs(Tokens(ids, mask.long() - 1, segments=SEGMENTS)),
                                at=real.flatten().nonzero()[:, 0]).logits, targets)  # fmt: skip
    reference_loss = F.cross_entropy(expected.logits[real], targets)
    close(loss[None], reference_loss[None], "loss")
    loss.backward()
    reference_loss.backward()
    compare_gradients(ours, theirs, close, without=("transformer.mask_emb",))


@dataclass(frozen=True)
class Ordered:
    """Partial prediction: the first places of an order are context, the last are predicted."""

    order: Tensor
    queries: Tensor

    @classmethod
    def drawn(cls, context: int, seed: int = 3) -> "Ordered":
        generator = torch.Generator().manual_seed(seed)
        order = torch.stack([torch.randperm(T, generator=generator) for _ in range(2)])
        queries = order.argsort(1)[:, context:].flip(1)
        return cls(torch.where(order < context, -1, order), queries)

    def theirs(self) -> dict[str, Tensor]:
        """``perm_mask``: 1 where i may not see j."""
        later = self.order[:, None, :] >= self.order[:, :, None]
        later &= ~((self.order[:, None, :] == -1) & (self.order[:, :, None] == -1))
        return {"perm_mask": later.float(), "target_mapping": F.one_hot(self.queries, T).float()}


@pytest.mark.parametrize("memory", [False, True], ids=["alone", "with memory"])
@pytest.mark.parametrize("context", [4, 9])
def test_both_streams_of_a_permuted_text(pair, context: int, memory: bool, close: Close) -> None:
    theirs, ours = pair
    if ours.config.causal:
        pytest.skip("their class fails on a mask beside attn_type uni; see the next test")
    ids, some = drawn(2, T), Ordered.drawn(context)
    before, cache, given = drawn(2, 7, seed=1), None, {}
    if memory:
        given["mems"] = [each.detach() for each in theirs(before, use_mems=True).mems]
        cache = Memory()
        ours(Inputs(Tokens(before)), cache=cache)
    record = Record.empty()
    tokens = Tokens(ids, segments=SEGMENTS, order=some.order, queries=some.queries)
    out = ours(Inputs(tokens), at="all", cache=cache, record=record)
    expected = theirs(ids, token_type_ids=SEGMENTS, output_hidden_states=True, output_attentions=True, **given,
                      **some.theirs(), use_mems=memory)  # fmt: skip
    close(out.logits, expected.logits, "logits")
    for number, (a, b) in enumerate(zip(record.encoder_hidden, expected.hidden_states[::2], strict=True)):
        close(a, b, f"content states {number}")
    for number, (a, b) in enumerate(zip(record.decoder_hidden, expected.hidden_states[1::2], strict=True)):
        close(a, b, f"query states {number}")
    rows = some.queries[:, None, :, None]
    for layer, (content, query) in enumerate(expected.attentions):
        close(record.encoder_attention[layer], content, "content attention")
        close(record.decoder_attention[layer], query.take_along_dim(rows, 2), "query attention")
    for layer in range(ours.config.encoder_layers if memory else 0):
        close(cache.of(layer), expected.mems[layer].transpose(0, 1), "new memory")
    targets = drawn(2, some.queries.shape[1], seed=8)
    loss = F.cross_entropy(out.logits.flatten(0, 1), targets.flatten())
    reference_loss = theirs(ids, token_type_ids=SEGMENTS, labels=targets, **given, **some.theirs()).loss
    close(loss[None], reference_loss[None], "loss")
    loss.backward()
    reference_loss.backward()
    compare_gradients(ours, theirs, close)


def test_a_causal_one_in_an_order_row_by_row_since_theirs_takes_no_more(close: Close, tmp_path: Path) -> None:
    theirs = reference(attn_type="uni")
    theirs.save_pretrained(tmp_path)
    ours, ids = load(tmp_path).model.eval(), drawn(2, T)
    order = torch.stack([torch.tensor([0, *(1 + torch.randperm(T - 1)).tolist()]) for _ in range(2)])  # 1st place first
    some = Ordered(order, torch.arange(1, T).expand(2, -1))
    logits = ours(Inputs(Tokens(ids, order=some.order, queries=some.queries)), at="all").logits
    later = order[:, None, :] >= order[:, :, None]
    for row in range(2):
        mapping = some.theirs()["target_mapping"][row : row + 1]
        expected = theirs(ids[row : row + 1], perm_mask=later[row : row + 1].float(), target_mapping=mapping)
        close(logits[row : row + 1], expected.logits, "logits")
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):  # or this page needs another sentence
        theirs(ids, attention_mask=torch.ones(2, T))


def test_memory_is_cut_and_reused_as_theirs(both, close: Close) -> None:
    theirs, ours = both
    theirs.transformer.mem_len, theirs.transformer.reuse_len = 6, 4
    memory, mems = Memory(most=6, reuse=4), None
    for segment in drawn(2, 15).split(5, 1):
        expected = theirs(segment, mems=mems, use_mems=True)
        close(ours(Inputs(Tokens(segment)), at="all", cache=memory).logits, expected.logits, "logits")
        mems = expected.mems
        for layer, states in enumerate(mems):
            close(memory.of(layer), states.transpose(0, 1), "memory")


def test_left_to_right_is_theirs_with_the_mask_of_that_order(both, close: Close) -> None:
    """Facts: the identity order is a causal language model."""
    theirs, ours = both
    ids = drawn(2, T)
    logits = ours(Inputs(target=Tokens(ids)), at="all").logits[:, :-1]
    some = Ordered(torch.arange(T).expand(2, -1), torch.arange(1, T).expand(2, -1))
    close(logits, theirs(ids, **some.theirs()).logits, "logits")


# ---- files ----


def test_transformers_opens_our_folder_with_equal_weights(pair, tmp_path: Path) -> None:
    theirs, ours = pair
    assert save(ours, XLNET, None, tmp_path / "ours") is XLNET
    opened, report = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path / "ours", attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"] and not report["mismatched_keys"]
    for (name, a), (other, b) in zip(opened.named_parameters(), theirs.named_parameters(), strict=True):
        assert name == other and torch.equal(a, b), name
    assert torch.equal(opened.eval()(drawn(2, T)).logits, theirs(drawn(2, T)).logits)
    again = load(tmp_path / "ours")
    assert again.config == ours.config and again.family is XLNET


def test_a_model_of_ours_goes_out_and_comes_back_the_same(tmp_path: Path, close: Close) -> None:
    model = initialise(network(XLNET.size("tiny", V)), 3).eval()
    assert save(model, XLNET, None, tmp_path) is XLNET
    again = load(tmp_path)
    assert again.config == model.config and isinstance(again.model, TwoStream)
    for (name, a), (other, b) in zip(model.state_dict().items(), again.model.state_dict().items(), strict=True):
        assert name == other and torch.equal(a, b)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    close(model(Inputs(Tokens(drawn(2, T))), at="all").logits, theirs(drawn(2, T)).logits, "logits")


def test_bodies_without_a_head_and_their_bare_names(tmp_path: Path, close: Close) -> None:
    theirs = reference(transformers.XLNetModel)
    theirs.save_pretrained(tmp_path)
    assert "mask_emb" in load_file(tmp_path / "model.safetensors")
    loaded = load(tmp_path)
    assert loaded.config.vocabulary_head == "none"
    close(loaded.model.eval()(Inputs(Tokens(drawn(2, T)))).hidden, theirs(drawn(2, T)).last_hidden_state, "states")
    assert save(loaded.model, XLNET, None, tmp_path / "ours") is XLNET
    again = transformers.AutoModel.from_pretrained(tmp_path / "ours", attn_implementation="eager").eval()
    assert torch.equal(again(drawn(2, T)).last_hidden_state, theirs(drawn(2, T)).last_hidden_state)


def test_the_published_configuration_is_read() -> None:
    """As it lies on the hub."""
    written = {
        "architectures": ["XLNetLMHeadModel"], "attn_type": "bi", "bi_data": False, "bos_token_id": 1, "clamp_len": -1,
        "d_head": 64, "d_inner": 3072, "d_model": 768, "dropout": 0.1, "end_n_top": 5, "eos_token_id": 2,
        "ff_activation": "gelu", "initializer_range": 0.02, "layer_norm_eps": 1e-12, "mem_len": None,
        "model_type": "xlnet", "n_head": 12, "n_layer": 12, "pad_token_id": 5, "reuse_len": None, "same_length": False,
        "start_n_top": 5, "summary_activation": "tanh", "summary_last_dropout": 0.1, "summary_type": "last",
        "summary_use_proj": True, "untie_r": True, "vocab_size": 32000,
    }  # fmt: skip
    assert XLNET.config_in(written, ["lm_loss.bias"]) == XLNET.size("base")
    assert trivium.plan("xlnet-base").parameters == trivium.plan("xlnet").parameters == 116_750_336
    assert trivium.plan("xlnet-large").body == 360_268_800


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"same_length": True}, "same_length = True, but family xlnet knows only False"),
        ({"bi_data": True}, "bi_data = True"),
        ({"untie_r": False}, "untie_r = False"),
        ({"attn_type": "left"}, "attn_type = 'left', but family xlnet knows only 'bi', 'uni'"),
        ({"clamp_len": "far"}, "clamp_len = 'far', which must be a whole number"),
        ({"n_head": 5}, "d_model = 32 must be even and a multiple of n_head = 5"),
        ({"n_head": 8}, r"wrong in shape: transformer\.layer\.0\.rel_attn\.q"),
    ],
)
def test_a_configuration_that_cannot_be_read(changes: dict, said: str, tmp_path: Path) -> None:
    save(initialise(network(XLNET.size("tiny", V)), 0), XLNET, None, tmp_path)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(DataError, match=said):
        load(tmp_path)


def test_missing_and_misshapen_tensors_are_named(tmp_path: Path) -> None:
    save(initialise(network(XLNET.size("tiny", V)), 0), XLNET, None, tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["transformer.mask_emb"]
    tensors["transformer.layer.1.rel_attn.o"] = torch.zeros(32, 32)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(DataError) as caught:
        load(tmp_path)
    assert "missing: transformer.mask_emb" in str(caught.value)
    assert "transformer.layer.1.rel_attn.o (32, 32) instead of (32, 2, 16)" in str(caught.value)


def test_a_head_that_their_class_has_not_makes_the_folder_trivium(tmp_path: Path) -> None:
    config = XLNET.size("tiny", V)
    model = initialise(network(config, {SEQUENCE: SequenceHead(config, 2, "mean")}), 0).eval()
    assert save(model, XLNET, None, tmp_path) is TRIVIUM
    again = load(tmp_path).model.eval()
    a, b = (each(Inputs(Tokens(drawn(2, T))), heads=[SEQUENCE]).heads[SEQUENCE] for each in (model, again))
    assert torch.equal(a, b)


HEADS = {
    "sequence": transformers.XLNetForSequenceClassification,
    "token": transformers.XLNetForTokenClassification,
    "span": transformers.XLNetForQuestionAnsweringSimple,
    "choice": transformers.XLNetForMultipleChoice,
}


@pytest.mark.parametrize("name", HEADS)
def test_heads_both_ways(name: str, close: Close, tmp_path: Path) -> None:
    """Padded on the left, as their summary of the last place needs it."""
    theirs = reference(HEADS[name], **({"num_labels": 3} if name in ("sequence", "token") else {}))
    theirs.save_pretrained(tmp_path / "theirs")
    ours = load(tmp_path / "theirs").model.eval()
    ids, mask = drawn(2, T), torch.ones(2, T)
    mask[1, :4] = 0
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": SEGMENTS}
    scores = ours(Inputs(Tokens(ids, mask.long() - 1, segments=SEGMENTS)), heads=[name]).heads[name]

    def of(model: torch.nn.Module) -> Tensor:
        if name == "choice":  # one question with two answers, where ours are rows
            return model(**{key: value[None] for key, value in given.items()}).logits[0][:, None]
        out = model(**given)
        return torch.stack([out.start_logits, out.end_logits], -1) if name == "span" else out.logits

    real = mask.bool() if name in ("token", "span") else slice(None)
    expected = of(theirs)
    close(scores[real], expected[real], "scores")
    losses = [found[real].square().mean() for found in (scores, expected)]  # of whatever a head scores
    close(losses[0][None], losses[1][None], "loss")
    for loss in losses:
        loss.backward()
    compare_gradients(ours, theirs, close, without=("transformer.mask_emb",))
    assert save(ours, XLNET, None, tmp_path / "ours") is XLNET
    opened, report = HEADS[name].from_pretrained(
        tmp_path / "ours", attn_implementation="eager", output_loading_info=True
    )
    assert not report["missing_keys"] and not report["unexpected_keys"]
    assert torch.equal(of(opened.eval()), of(theirs))


@pytest.mark.slow
def test_at_full_size(tmp_path: Path, close: Close) -> None:
    """xlnet-base with random weights, on 300 tokens: the content stream, then both streams of a permuted text."""
    model = initialise(network(XLNET.size("base")), 0).eval()
    assert save(model, XLNET, None, tmp_path) is XLNET
    theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    generator = torch.Generator().manual_seed(5)
    ids = torch.randint(9, 32000, (2, 300), generator=generator)
    order = torch.stack([torch.randperm(300, generator=generator) for _ in range(2)])
    queries = order.argsort(1)[:, 250:]
    later = (order[:, None, :] >= order[:, :, None]).float()
    record = Record.empty()
    with torch.no_grad():
        ours = model(Inputs(Tokens(ids)), at="all", record=record)
        expected = theirs(ids, output_hidden_states=True)
        close(ours.logits, expected.logits, "logits", tolerance=5e-5)
        for number, (a, b) in enumerate(zip(record.encoder_hidden, expected.hidden_states, strict=True)):
            close(a, b, f"hidden states {number}", tolerance=5e-5)
        logits = model(Inputs(Tokens(ids, order=order, queries=queries)), at="all").logits
        expected = theirs(ids, perm_mask=later, target_mapping=F.one_hot(queries, 300).float())
        close(logits, expected.logits, "predictions", tolerance=5e-5)
