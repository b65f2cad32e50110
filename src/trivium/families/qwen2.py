"""Qwen 2 and 2.5 (Yang et al. 2024): Llama's decoder, with biases on queries, keys and values alone.

The models up to 3B share one matrix for tokens in and out. Contexts and epsilons are those of the base models.
Windowed attention, which no published size turns on, is not read.
"""

from trivium.families.family import PROMPT, Family, Fields, Head, Key, Value, Weight
from trivium.families.gpt2 import LAST_TOKEN
from trivium.families.llama import features, rope, rotary, scaling, theta
from trivium.tokenizers import specials
from trivium.transformer.config import Rotary
from trivium.transformer.head_config import EachToken

LONG = 131072


def shape(layers: int, width: int, heads: int, kv_heads: int, ffn_width: int, **more: Value) -> Fields:
    return {
        "decoder_layers": layers, "width": width, "heads": heads, "kv_heads": kv_heads, "ffn_width": ffn_width, **more
    }  # fmt: skip


SMALL = {"vocab_size": 151936, "tied": True, "context": 32768}
LARGE = {"vocab_size": 152064, "context": LONG}
S05, S15, S7 = shape(24, 896, 14, 2, 4864), shape(28, 1536, 12, 2, 8960), shape(28, 3584, 28, 4, 18944)

QWEN2 = Family(
    name="qwen2",
    paper="Yang et al. 2024, Qwen2 Technical Report; Qwen2.5 Technical Report",
    hf_type="qwen2",
    base={
        "position": Rotary(1e6),
        "norm": "rms",
        "norm_eps": 1e-6,
        "activation": "silu",
        "gated": True,
        "bias": False,
        "attention_bias": True,
        "tied": False,
    },
    sizes={
        "tiny": shape(2, 32, 4, 2, 88, context=64),
        "mini": shape(2, 256, 4, 2, 688, context=512),
        "0.5b": S05 | SMALL | {"context": LONG},
        "1.5b": S15 | SMALL | {"context": LONG},
        "7b": S7 | LARGE,
        "2.5-0.5b": S05 | SMALL,
        "2.5-1.5b": S15 | SMALL,
        "2.5-3b": shape(36, 2048, 16, 2, 11008) | SMALL,
        "2.5-7b": S7 | LARGE,
        "2.5-14b": shape(48, 5120, 40, 8, 13824, norm_eps=1e-5) | LARGE,
        "2.5-32b": shape(64, 5120, 40, 8, 27648, norm_eps=1e-5) | LARGE,
        "2.5-72b": shape(80, 8192, 64, 8, 29568, norm_eps=1e-5) | LARGE,
    },
    known_as={f"qwen2.5-{size}": f"2.5-{size}" for size in ("0.5b", "1.5b", "3b", "7b", "14b", "32b", "72b")},
    keys=(
        Key("vocab_size", "vocab_size"),
        Key("width", "hidden_size"),
        Key("decoder_layers", "num_hidden_layers"),
        Key("heads", "num_attention_heads"),
        Key("kv_heads", "num_key_value_heads", default=None, write=lambda config: config.groups),
        Key("ffn_width", "intermediate_size"),
        Key("context", "max_position_embeddings", default=32768),
        Key("position", "rope_parameters", default=None, write=rope, read=rotary),
        Key("position", "rope_theta", default=None, write=theta, read=rotary),
        Key("position", "rope_scaling", default=None, write=scaling, read=rotary),
        Key("activation", "hidden_act", default="silu", values={"silu": "silu", "gelu": "gelu", "relu": "relu"}),
        Key("norm_eps", "rms_norm_eps", default=1e-6),
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
        Weight("decoder.layers.{n}.attention.output.weight", "model.layers.{n}.self_attn.o_proj.weight"),
        Weight("decoder.layers.{n}.feed_forward_norm.weight", "model.layers.{n}.post_attention_layernorm.weight"),
        Weight("decoder.layers.{n}.feed_forward.gate.weight", "model.layers.{n}.mlp.gate_proj.weight"),
        Weight("decoder.layers.{n}.feed_forward.up.weight", "model.layers.{n}.mlp.up_proj.weight"),
        Weight("decoder.layers.{n}.feed_forward.down.weight", "model.layers.{n}.mlp.down_proj.weight"),
        Weight("decoder.norm.weight", "model.norm.weight"),
        Weight("vocabulary.projection.weight", "lm_head.weight"),
    ),
    architectures={"vocabulary": "Qwen2ForCausalLM", "body": "Qwen2Model"},
    heads={
        "sequence": Head(LAST_TOKEN, {"classifier.weight": "score.weight"}, "Qwen2ForSequenceClassification"),
        "token": Head(
            EachToken(0, dropout=0.1),
            {"classifier.*": "score.*"},
            "Qwen2ForTokenClassification",
            dropout="classifier_dropout",
        ),
        "span": Head(
            EachToken(2, dropout=0.0),
            {"classifier.*": "qa_outputs.*"},
            "Qwen2ForQuestionAnswering",
            prefix="transformer.",
        ),
    },
    prefix="model.",
    aliases={"lm_head.weight": "model.embed_tokens.weight"},
    fixed={"use_sliding_window": False},
    specials=specials.QWEN2,
    features=features,
)
