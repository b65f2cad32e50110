"""Sizes have the published numbers of parameters; config tables read back what they write."""

import re
from dataclasses import replace

import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st

from trivium.errors import DataError, SettingsError
from trivium.families import (
    BART,
    BERT,
    DISTILBERT,
    FAMILIES,
    GPT1,
    GPT2,
    GPT3,
    LLAMA,
    QWEN2,
    ROBERTA,
    SPANBERT,
    T5,
    XLNET,
)
from trivium.families.bodies import network
from trivium.families.family import canonical
from trivium.transformer import (
    Band,
    Config,
    Learned,
    LinearScaling,
    Llama3Scaling,
    Rotary,
    SequenceHead,
    TransformerConfig,
)

PUBLISHED = {name: family for name, family in FAMILIES.items() if family.architectures}  # transformers has a class


def parameters(config: Config, heads: dict[str, int] | None = None) -> int:
    with torch.device("meta"):
        made = {name: SequenceHead(config, labels, "first") for name, labels in (heads or {}).items()}
        return sum(parameter.numel() for parameter in network(config, made).parameters())


@pytest.mark.parametrize(
    "family, size, count",
    [
        (BERT, "base", 109_514_298),
        (BERT, "large", 335_174_458),
        (BERT, "base-cased", 108_340_804),
        (BERT, "large-cased", 333_610_308),
        (SPANBERT, "base", 108_340_804),
        (SPANBERT, "large", 333_610_308),
        (DISTILBERT, "base", 66_985_530),
        (ROBERTA, "base", 124_697_433),
        (ROBERTA, "large", 355_412_057),
        (GPT2, "small", 124_439_808),
        (GPT2, "medium", 354_823_168),
        (GPT2, "large", 774_030_080),
        (GPT2, "xl", 1_557_611_200),
        (GPT2, "117M", 124_439_808),
        (GPT2, "1542M", 1_557_611_200),
        (GPT1, "base", 116_534_784),
        (GPT1, "117M", 116_534_784),
        (GPT3, "small", 125_226_240),
        (GPT3, "medium", 355_871_744),
        (GPT3, "large", 760_300_032),
        (GPT3, "xl", 1_315_723_264),
        (GPT3, "2.7b", 2_651_553_280),
        (GPT3, "6.7b", 6_658_404_352),
        (GPT3, "13b", 12_853_386_240),
        (GPT3, "175b", 174_604_259_328),
        (T5, "small", 60_506_624),
        (T5, "base", 222_903_552),
        (T5, "large", 737_668_096),
        (T5, "3b", 2_851_598_336),
        (T5, "11b", 11_307_321_344),
        (T5, "1.1-small", 76_961_152),
        (T5, "flan-small", 76_961_152),
        (T5, "1.1-base", 247_577_856),
        (T5, "1.1-large", 783_150_080),
        (T5, "1.1-xl", 2_849_757_184),
        (T5, "1.1-xxl", 11_135_332_352),
        (BART, "base", 139_420_416),
        (BART, "large", 406_291_456),
        (BART, "large-cnn", 406_290_432),
        (LLAMA, "1-7b", 6_738_415_616),
        (LLAMA, "13b", 13_015_864_320),
        (LLAMA, "1-33b", 32_528_943_616),
        (LLAMA, "1-65b", 65_285_660_672),
        (LLAMA, "2-7b", 6_738_415_616),
        (LLAMA, "2-13b", 13_015_864_320),
        (LLAMA, "2-34b", 33_743_970_304),
        (LLAMA, "2-70b", 68_976_648_192),
        (LLAMA, "3-8b", 8_030_261_248),
        (LLAMA, "3-70b", 70_553_706_496),
        (LLAMA, "3-405b", 405_853_388_800),
        (LLAMA, "3.1-8b", 8_030_261_248),
        (LLAMA, "3.1-70b", 70_553_706_496),
        (LLAMA, "3.3-70b", 70_553_706_496),
        (LLAMA, "3.1-405b", 405_853_388_800),
        (LLAMA, "3.2-1b", 1_235_814_400),
        (LLAMA, "3.2-3b", 3_212_749_824),
        (LLAMA, "smollm2-135m", 134_515_008),
        (QWEN2, "0.5b", 494_032_768),
        (QWEN2, "1.5b", 1_543_714_304),
        (QWEN2, "7b", 7_615_616_512),
        (QWEN2, "2.5-0.5b", 494_032_768),
        (QWEN2, "2.5-1.5b", 1_543_714_304),
        (QWEN2, "2.5-3b", 3_085_938_688),
        (QWEN2, "2.5-7b", 7_615_616_512),
        (QWEN2, "2.5-14b", 14_770_033_664),
        (QWEN2, "2.5-32b", 32_763_876_352),
        (QWEN2, "2.5-72b", 72_706_203_648),
        (XLNET, "base", 116_718_336 + 32_000),
        (XLNET, "large", 360_268_800 + 32_000),
    ],
)
def test_published_sizes_have_the_published_number_of_parameters(family, size, count):
    assert parameters(family.size(size)) == count


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_size_has_as_many_parameters_as_their_class_of_it(name, stacks_of):
    family, auto = PUBLISHED[name], getattr(transformers, f"AutoModelFor{stacks_of(name)}")
    for size in family.sizes:
        config = family.size(size, 61 if size in ("tiny", "mini") else None)
        written = dict(family.config_out(config))
        with torch.device("meta"):
            theirs = auto.from_config(transformers.AutoConfig.for_model(written.pop("model_type"), **written))
        count = sum(parameter.numel() for parameter in theirs.parameters())
        if name == "t5" and not config.tied:  # which their class becomes when a file with both matrices is loaded
            count += config.vocab_size * config.width
        assert parameters(config) == count, size


@pytest.mark.parametrize(
    "family, size, count",
    [
        (DISTILBERT, "base", 66_362_880),
        (ROBERTA, "base", 124_645_632),
        (ROBERTA, "large", 355_359_744),
        (SPANBERT, "large", 333_579_264),
    ],
)
def test_encoders_without_their_vocabulary_head(family, size, count):
    pooler = family is not DISTILBERT
    assert parameters(family.size(size, pooler=pooler, vocabulary_head="none")) == count


@pytest.mark.parametrize(
    "size, vocab_size, encoder, pretraining",
    [
        ("base", 30522, 109_482_240, 110_106_428),
        ("large", 30522, 335_141_888, 336_226_108),
        ("base", 28996, 108_310_272, 108_932_934),
        ("large", 28996, 333_579_264, 334_661_958),
    ],
)
def test_bert_as_an_encoder_and_as_pretrained(size, vocab_size, encoder, pretraining):
    assert parameters(BERT.size(size, vocab_size, pooler=True, vocabulary_head="none")) == encoder
    # Its next-sentence head is two labels on the pooler's output.
    assert parameters(BERT.size(size, vocab_size, pooler=True), {"next_sentence": 2}) == pretraining


@pytest.mark.parametrize("family", [GPT2, GPT3], ids=["gpt2", "gpt3"])
def test_gpt_by_its_closed_form(family):
    for size in family.sizes:
        c = family.size(size, 50257)
        assert isinstance(c, TransformerConfig) and c.ffn_width in (2 * c.width, 4 * c.width)
        layers = c.decoder_layers * (4 * c.width**2 + 2 * c.width * c.ffn_width + c.ffn_width + 9 * c.width)
        assert parameters(c) == (c.vocab_size + c.context) * c.width + layers + 2 * c.width


@pytest.mark.parametrize("size", ["base", "large", "base-cased", "large-cased"])
def test_bert_by_its_closed_form(size):
    c = BERT.size(size, pooler=True, vocabulary_head="none")
    assert isinstance(c, TransformerConfig)
    d = c.width
    assert parameters(c) == (c.vocab_size + 512 + 2) * d + 2 * d + c.encoder_layers * (12 * d * d + 13 * d) + d * d + d


@pytest.mark.parametrize("size", ["small", "base", "large", "3b", "11b"])
def test_t5_by_its_closed_form(size):
    c = T5.size(size)
    assert isinstance(c, TransformerConfig)
    d, i, f = c.width, c.heads * c.per_head, c.ffn_width
    stacks = c.encoder_layers * (4 * d * i + 2 * d * f + 2 * d) + c.decoder_layers * (8 * d * i + 2 * d * f + 3 * d)
    assert parameters(c) == c.vocab_size * d + stacks + 2 * 32 * c.heads + 2 * d


@pytest.mark.parametrize("size, count", [("base", 116_718_336), ("large", 360_268_800)])
def test_xlnet_by_its_closed_form(size, count):
    c = XLNET.size(size, vocabulary_head="none")
    d, f = c.width, c.ffn_width
    layer = 5 * d * d + 5 * d + 2 * d * f + f + d + 4 * d  # five matrices, three biases and two segments, two norms
    assert parameters(c) == count == c.vocab_size * d + d + c.encoder_layers * layer


@pytest.mark.parametrize("size", LLAMA.sizes)
def test_llama_by_its_closed_form(size):
    c = LLAMA.size(size, 128256 if size in ("tiny", "mini") else None)
    assert isinstance(c, TransformerConfig)
    layer = 2 * c.width * c.heads * c.per_head + 2 * c.width * c.groups * c.per_head + 3 * c.width * c.ffn_width
    ends = (1 if c.tied else 2) * c.vocab_size * c.width
    assert parameters(c) == ends + c.decoder_layers * (layer + 2 * c.width) + c.width


def test_untied_t5_large():
    assert parameters(T5.size("large", tied=False)) == 770_567_168


@pytest.mark.parametrize("family", PUBLISHED.values(), ids=PUBLISHED)
def test_every_size_is_expressed_by_its_family(family):
    for size in family.sizes:
        config = family.size(size, vocab_size=100)
        assert family.expresses(config), size
        assert config.vocab_size == 100


@pytest.mark.parametrize(
    "family, changes",
    [
        (BERT, {"norm_place": "pre"}),
        (BERT, {"segments": 0}),
        (BERT, {"vocabulary_head": "plain"}),
        (BERT, {"kv_heads": 1}),
        (BERT, {"head_width": 8}),
        (BERT, {"decoder_layers": 1}),
        (BERT, {"norm": "rms"}),
        (BERT, {"tied": False}),
        (ROBERTA, {"position": Learned()}),
        (ROBERTA, {"activation": "relu"}),
        (ROBERTA, {"segments": 0}),
        (DISTILBERT, {"segments": 2}),
        (DISTILBERT, {"pooler": True}),
        (DISTILBERT, {"norm_eps": 1e-5}),
        (GPT2, {"position": Rotary()}),
        (GPT2, {"bias": False}),
        (GPT2, {"logit_scale": 0.5}),
        (GPT2, {"embedding_norm": True}),
        (GPT2, {"attention_scale": 1.0}),
        (GPT2, {"pooler": True}),
        (GPT3, {"band": Band(8)}),
        (GPT1, {"norm_place": "pre"}),
        (GPT1, {"ffn_width": 64}),
        (GPT1, {"activation": "gelu"}),
        (LLAMA, {"position": Learned()}),
        (LLAMA, {"norm": "layer"}),
        (LLAMA, {"gated": False}),
        (LLAMA, {"heads": 3, "kv_heads": 3, "head_width": 8}),
        (LLAMA, {"attention_bias": True}),
        (QWEN2, {"attention_bias": False}),
        (QWEN2, {"bias": True}),
        (BART, {"vocabulary_head": "transform"}),
        (BART, {"position": Learned()}),
        (BART, {"tied": False}),
        (BART, {"norm_eps": 1e-6}),
        (BART, {"encoder_layers": 0}),
        (T5, {"logit_scale": 0.5}),
        (T5, {"bias": True}),
        (T5, {"attention_scale": None}),
        (T5, {"decoder_layers": 0}),
        (XLNET, {"pooler": True}),
    ],
)
def test_what_a_family_cannot_say_is_noticed(family, changes):
    assert not family.expresses(replace(family.size("tiny", vocab_size=50), **changes))


@pytest.mark.parametrize(
    "family, changes",
    [
        (BERT, {"pooler": True}),
        (BERT, {"vocabulary_head": "none"}),
        (BERT, {"activation": "silu", "norm_eps": 1e-5, "segments": 1}),
        (ROBERTA, {"pad_token": 4, "position": Learned(offset=5), "segments": 3, "pooler": True}),
        (DISTILBERT, {"vocabulary_head": "none", "activation": "gelu_tanh"}),
        (GPT2, {"kv_heads": 2, "head_width": 16, "attention_scale": 0.25}),  # said otherwise, but the same
        (GPT2, {"vocabulary_head": "none"}),
        (GPT2, {"dropout": 0.3, "init": "normal", "init_std": 0.1}),
        (BART, {"vocabulary_head": "plain"}),
        (BART, {"vocabulary_head": "none", "pad_token": 0, "start_token": 0, "decoder_layers": 7}),
        (LLAMA, {"position": Rotary(2e4, LinearScaling(2.0)), "bias": True, "tied": True}),
        (LLAMA, {"position": Rotary(2e4, Llama3Scaling(2.0, 1.5, 3.0, 99)), "kv_heads": None, "head_width": 64}),
        (T5, {"activation": "gelu_tanh", "gated": True, "tied": False, "logit_scale": 1.0}),
        (T5, {"attention_dropout": 0.1, "head_width": 40, "encoder_layers": 5}),
        (XLNET, {"causal": True, "clamp": 7, "tied": False, "context": 99, "activation": "gelu_tanh"}),
        (XLNET, {"vocabulary_head": "none", "dropout": 0.3, "init_std": 0.1}),
    ],
)
def test_what_a_family_can_say(family, changes):
    assert family.expresses(replace(family.size("tiny", vocab_size=50), **changes))


@given(
    layers=st.integers(1, 20), heads=st.integers(1, 8), per_head=st.integers(1, 16), ffn=st.integers(1, 99),
    context=st.integers(1, 2048), eps=st.floats(1e-12, 1e-3), vocab=st.integers(1, 10**6), pad=st.integers(0, 9),
)  # fmt: skip
def test_configs_survive_their_tables(layers, heads, per_head, ffn, context, eps, vocab, pad):
    for family, stacks in ((BERT, ["encoder"]), (GPT2, ["decoder"]), (T5, ["encoder", "decoder"])):
        config = family.size(
            "tiny", vocab, width=heads * per_head, heads=heads, ffn_width=ffn, context=context, norm_eps=eps,
            pad_token=pad, **{f"{stack}_layers": layers for stack in stacks},
        )  # fmt: skip
        assert family.config_in(family.config_out(config), family.marks(config)) == canonical(config)
        assert family.expresses(config)


def test_positions_of_roberta_begin_after_the_padding():
    assert ROBERTA.size("tiny", 50).position == Learned(offset=2)
    assert ROBERTA.size("tiny", 50, pad_token=0).position == Learned(offset=1)
    assert ROBERTA.config_out(ROBERTA.size("base"))["max_position_embeddings"] == 514


def test_config_files_may_leave_defaults_out():
    """Files on the hub often hold less than all keys."""
    config = GPT2.config_in({"model_type": "gpt2", "vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12})
    assert config == replace(GPT2.size("small"), pad_token=0)
    written = {"vocab_size": 32128, "d_model": 512, "d_ff": 2048, "num_layers": 6, "num_heads": 8, "d_kv": 64}
    assert T5.config_in(written) == T5.size("small")


@pytest.mark.parametrize("family", PUBLISHED.values(), ids=PUBLISHED)
def test_a_missing_key_is_named(family):
    written = family.config_out(family.size("tiny", vocab_size=50))
    del written["vocab_size"]
    with pytest.raises(DataError, match="vocab_size"):
        family.config_in(written)


ODD = (
    None,
    -1,
    0,
    1,
    2.5,
    True,
    "x",
    "",
    [],
    [1],
    {},
    {"rope_type": "llama3", "factor": 1e999},
    1 << 40,
    float("nan"),
    float("inf"),
)


@pytest.mark.parametrize("family", PUBLISHED.values(), ids=PUBLISHED)
def test_odd_values_end_in_an_error_or_a_reading(family):
    """Every key of a file, with values of every kind in its place."""
    written = family.config_out(family.size("tiny", vocab_size=50))
    for key in [*written, "rope_scaling", "rope_theta"]:
        for value in ODD:
            try:
                config = family.config_in({**written, key: value})
                sizes = (config.vocab_size, config.width, config.heads, config.ffn_width, config.context)
                assert all(type(size) is int and size > 0 for size in sizes), (key, value)
            except DataError as problem:
                assert "config.json" in str(problem), (key, value)


def test_names_are_suggested():
    with pytest.raises(SettingsError, match="did you mean 'small'"):
        GPT2.size("smal")
    with pytest.raises(SettingsError, match="did you mean 'dropout'"):
        GPT2.size("small", dropuot=0.1)
    with pytest.raises(SettingsError, match="vocab_size"):
        GPT2.size("mini")


def test_every_family_is_data_about_a_paper():
    for name, family in FAMILIES.items():
        assert name == family.name and re.search(r"\d{4}", family.paper)
        assert {"tiny", "mini"} <= set(family.sizes)
        assert set(family.size_aliases.values()) <= set(family.sizes)
