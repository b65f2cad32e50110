"""Llama (Touvron et al. 2023; Grattafiori et al. 2024): a causal decoder with rotary positions, RMS norms and SwiGLU.

No biases; an output projection of its own, except in the small ones. From Llama 2's 34B on, groups of queries share
keys and values. Llama 2's 34B was not published; Code Llama has its shape. SmolLM2 has the same layout.
"""

from collections.abc import Collection, Mapping

from trivium.errors import DataError
from trivium.families.family import MISSING, PROMPT, Family, Fields, Head, Key, Value, Weight
from trivium.families.gpt2 import LAST_TOKEN
from trivium.tokenizers import specials
from trivium.transformer.config import LinearScaling, Llama3Scaling, Rotary, Scaling, TransformerConfig
from trivium.transformer.head_config import EachToken

V1 = {"vocab_size": 32000, "context": 2048, "norm_eps": 1e-6}
V2 = {"vocab_size": 32000, "context": 4096}
V3 = {"vocab_size": 128256, "context": 8192, "position": Rotary(5e5), "kv_heads": 8}
V3_1 = {**V3, "context": 131072, "position": Rotary(5e5, Llama3Scaling())}
V3_2 = {**V3_1, "position": Rotary(5e5, Llama3Scaling(factor=32.0)), "tied": True}


def shape(layers: int, width: int, heads: int, ffn_width: int, **more: Value) -> Fields:
    return {"decoder_layers": layers, "width": width, "heads": heads, "ffn_width": ffn_width, **more}


S7, S13 = shape(32, 4096, 32, 11008), shape(40, 5120, 40, 13824)
S8, S70, S405 = shape(32, 4096, 32, 14336), shape(80, 8192, 64, 28672), shape(126, 16384, 128, 53248)


def features(names: Collection[str], written: Mapping[str, Value]) -> Fields:
    """A body or classifier whose projection would be its own has none in the file."""
    untied = not written.get("tie_word_embeddings", False)
    return {"vocabulary_head": "none" if untied and "lm_head.weight" not in names else "plain"}


def heads(config: TransformerConfig) -> Value:
    """Their class wants heads to divide the width even where a head's width is given."""
    return MISSING if config.width % config.heads else config.heads


def rope(config: TransformerConfig) -> Value:
    """The settings of rotation as one table."""
    if not isinstance(config.position, Rotary):
        return MISSING
    out: Fields = {"rope_theta": config.position.theta, "rope_type": "default"}
    match config.position.scaling:
        case LinearScaling(factor):
            out |= {"rope_type": "linear", "factor": factor}
        case Llama3Scaling(factor, low, high, original):
            out |= {
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low,
                "high_freq_factor": high,
                "original_max_position_embeddings": original,
            }
    return out


def theta(config: TransformerConfig) -> Value:
    return config.position.theta if isinstance(config.position, Rotary) else MISSING


def scaling(config: TransformerConfig) -> Value:
    """What programs from before that table look for."""
    table = rope(config)
    if not isinstance(table, dict) or table["rope_type"] == "default":
        return None
    return {key: value for key, value in table.items() if key != "rope_theta"}


def rotary(_: Value, written: Mapping[str, Value]) -> Rotary:
    """From that table, or from the two keys that older files have instead."""
    table = written.get("rope_scaling") or written.get("rope_parameters") or {}
    if not isinstance(table, dict):
        raise DataError(f"config.json's settings of rotation are {table!r}, not a table")
    base = table.get("rope_theta", written.get("rope_theta") or 10000.0)
    if 1.0 != (table.get("partial_rotary_factor") or written.get("partial_rotary_factor") or 1.0):
        raise DataError("config.json has a partial_rotary_factor: only whole heads are rotated here")
    kind = table.get("rope_type", table.get("type", "default"))
    stretch: Scaling | None
    if kind == "default":
        stretch = None
    elif kind == "linear":
        stretch = LinearScaling(_number(table, "factor"))
    elif kind == "llama3":
        table = {"original_max_position_embeddings": written.get("max_position_embeddings"), **table}
        low, high = _number(table, "low_freq_factor"), _number(table, "high_freq_factor")
        original = int(_number(table, "original_max_position_embeddings"))
        stretch = Llama3Scaling(_number(table, "factor"), low, high, original)
    else:
        raise DataError(f"config.json has rope_type = {kind!r}: choose one of default, linear, llama3")
    return Rotary(float(base), stretch)


def _number(table: Mapping[str, Value], key: str) -> float:
    value = table.get(key)
    if not isinstance(value, int | float):
        raise DataError(f"config.json's settings of rotation have {key} = {value!r}, which must be a number")
    return float(value)


LLAMA = Family(
    name="llama",
    paper="Touvron et al. 2023, LLaMA: Open and Efficient Foundation Language Models; Llama 2: Open Foundation and "
    "Fine-Tuned Chat Models; Grattafiori et al. 2024, The Llama 3 Herd of Models",
    hf_type="llama",
    base={
        "position": Rotary(),
        "norm": "rms",
        "norm_eps": 1e-5,
        "activation": "silu",
        "gated": True,
        "bias": False,
        "tied": False,
    },
    sizes={
        "tiny": shape(2, 32, 4, 88, kv_heads=2, context=64),
        "mini": shape(2, 256, 4, 688, kv_heads=2, context=512),
        "1-7b": S7 | V1,
        "1-13b": S13 | V1,
        "1-33b": shape(60, 6656, 52, 17920) | V1,
        "1-65b": shape(80, 8192, 64, 22016) | V1,
        "2-7b": S7 | V2,
        "2-13b": S13 | V2,
        "2-34b": shape(48, 8192, 64, 22016, kv_heads=8) | V2,
        "2-70b": S70 | V2 | {"kv_heads": 8},
        "3-8b": S8 | V3,
        "3-70b": S70 | V3,
        "3-405b": S405 | V3,
        "3.1-8b": S8 | V3_1,
        "3.1-70b": S70 | V3_1,
        "3.1-405b": S405 | V3_1,
        "3.2-1b": shape(16, 2048, 32, 8192) | V3_2,
        "3.2-3b": shape(28, 3072, 24, 8192) | V3_2,
        "smollm2-135m": shape(
            30, 576, 9, 1536, kv_heads=3, vocab_size=49152, context=8192, position=Rotary(1e5), tied=True
        ),
    },
    size_aliases={"7b": "1-7b", "13b": "1-13b", "33b": "1-33b", "65b": "1-65b", "3.3-70b": "3.1-70b"},
    known_as={"smollm2-135m": "smollm2-135m"},
    keys=(
        Key("vocab_size", "vocab_size"),
        Key("width", "hidden_size"),
        Key("decoder_layers", "num_hidden_layers"),
        Key("heads", "num_attention_heads", write=heads),
        Key("kv_heads", "num_key_value_heads", default=None, write=lambda config: config.groups),
        Key("head_width", "head_dim", default=None, write=lambda config: config.per_head),
        Key("ffn_width", "intermediate_size"),
        Key("context", "max_position_embeddings", default=2048),
        Key("position", "rope_parameters", default=None, write=rope, read=rotary),
        Key("position", "rope_theta", default=None, write=theta, read=rotary),
        Key("position", "rope_scaling", default=None, write=scaling, read=rotary),
        Key("activation", "hidden_act", default="silu", values={"silu": "silu", "gelu": "gelu", "relu": "relu",
            "gelu_tanh": "gelu_pytorch_tanh"}),
        Key("norm_eps", "rms_norm_eps", default=1e-6),
        Key("bias", ("attention_bias", "mlp_bias"), default=False),
        Key("tied", "tie_word_embeddings", default=False),
        Key("attention_dropout", "attention_dropout", default=0.0),
        Key("init_std", "initializer_range", default=0.02),
        Key("pad_token", "pad_token_id", default=0),
        PROMPT,
    ),
    weights=(
        Weight("tokens.weight", "model.embed_tokens.weight"),
        Weight("decoder.layers.{n}.attention_norm.weight", "model.layers.{n}.input_layernorm.weight"),
        Weight("decoder.layers.{n}.attention.query.*", "model.layers.{n}.self_attn.q_proj.*"),
        Weight("decoder.layers.{n}.attention.key.*", "model.layers.{n}.self_attn.k_proj.*"),
        Weight("decoder.layers.{n}.attention.value.*", "model.layers.{n}.self_attn.v_proj.*"),
        Weight("decoder.layers.{n}.attention.output.*", "model.layers.{n}.self_attn.o_proj.*"),
        Weight("decoder.layers.{n}.feed_forward_norm.weight", "model.layers.{n}.post_attention_layernorm.weight"),
        Weight("decoder.layers.{n}.feed_forward.gate.*", "model.layers.{n}.mlp.gate_proj.*"),
        Weight("decoder.layers.{n}.feed_forward.up.*", "model.layers.{n}.mlp.up_proj.*"),
        Weight("decoder.layers.{n}.feed_forward.down.*", "model.layers.{n}.mlp.down_proj.*"),
        Weight("decoder.norm.weight", "model.norm.weight"),
        Weight("vocabulary.projection.weight", "lm_head.weight"),
    ),
    architectures={"vocabulary": "LlamaForCausalLM", "body": "LlamaModel"},
    heads={
        "sequence": Head(LAST_TOKEN, {"classifier.weight": "score.weight"}, "LlamaForSequenceClassification"),
        "token": Head(
            EachToken(0, dropout=0.1),
            {"classifier.*": "score.*"},
            "LlamaForTokenClassification",
            dropout="classifier_dropout",
        ),
        "span": Head(
            EachToken(2, dropout=0.0),
            {"classifier.*": "qa_outputs.*"},
            "LlamaForQuestionAnswering",
            prefix="transformer.",
        ),
    },
    prefix="model.",
    aliases={"lm_head.weight": "model.embed_tokens.weight"},
    left_out=(r".*\.rotary_emb\.inv_freq",),
    specials=specials.LLAMA,
    features=features,
)  # fmt: skip
