"""T5 (Raffel et al. 2020): an encoder-decoder without biases, RMS norm before, one table of relative positions a stack.

Version 1.1 differs in a gated GELU, an output projection of its own and unscaled logits. Hugging Face writes the scale
of the logits into ``tie_word_embeddings``.
"""

from collections.abc import Collection, Mapping

from trivium.errors import DataError
from trivium.families.bart import CLASSIFICATION_HEAD, LAST_STATE
from trivium.families.family import Family, Fields, Head, Key, Value, Weight
from trivium.tokenizers import specials
from trivium.transformer.config import RelativeBias, TransformerConfig
from trivium.transformer.head_config import EachToken

FEED_FORWARD: Mapping[str, tuple[str, bool]] = {
    "relu": ("relu", False),
    "gated-gelu": ("gelu_tanh", True),
    "gated-silu": ("silu", True),
    "gelu": ("gelu", False),
    "gelu_new": ("gelu_tanh", False),
    "silu": ("silu", False),
    "gated-relu": ("relu", True),
}
PUBLISHED = {"vocab_size": 32128, "dropout": 0.1, "attention_dropout": 0.1, "context": 512}


def version_1_1(layers: int, width: int, heads: int, ffn_width: int) -> Fields:
    """A size of version 1.1, which Flan-T5 has too."""
    return {
        "encoder_layers": layers,
        "decoder_layers": layers,
        "width": width,
        "heads": heads,
        "head_width": 64,
        "ffn_width": ffn_width,
        "activation": "gelu_tanh",
        "gated": True,
        "tied": False,
        "logit_scale": 1.0,
        **PUBLISHED,
    }


def feed_forward(config: TransformerConfig) -> str:
    return next((k for k, v in FEED_FORWARD.items() if v == (config.activation, config.gated)), "none of them")


def activation(name: Value, written: Mapping[str, Value]) -> str:
    if name not in FEED_FORWARD:
        raise DataError(f"config.json has feed_forward_proj = {name!r}: choose one of {', '.join(FEED_FORWARD)}")
    return FEED_FORWARD[str(name)][0]


def features(names: Collection[str], written: Mapping[str, Value]) -> Fields:
    """A projection of its own exists only where the file says so and holds it."""
    gated = str(written.get("feed_forward_proj", "relu")).startswith("gated-")
    untied = written.get("tie_word_embeddings") is False and "lm_head.weight" in names
    found: Fields = {"gated": gated, "tied": not untied}
    if names and not any(name.startswith("decoder.") for name in names):
        found |= {"decoder_layers": 0, "vocabulary_head": "none"}
    return found


def decoder_layers(_: Value, written: Mapping[str, Value]) -> Value:
    """As many as the encoder has where no number is given."""
    if not written.get("is_encoder_decoder", True):
        return 0
    return written.get("num_decoder_layers") or written["num_layers"]


def derived(settings: Mapping[str, Value]) -> Fields:
    return {"logit_scale": settings["width"] ** -0.5}  # type: ignore[operator]


T5 = Family(
    name="t5",
    paper="Raffel et al. 2020, Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
    hf_type="t5",
    base={
        "position": RelativeBias(),
        "norm": "rms",
        "norm_eps": 1e-6,
        "activation": "relu",
        "bias": False,
        "attention_scale": 1.0,
        "init": "factored",
        "init_std": 1.0,
        "start_token": 0,
    },
    sizes={
        "tiny": {"encoder_layers": 2, "decoder_layers": 2, "width": 32, "heads": 2, "ffn_width": 64, "context": 64},
        "mini": {"encoder_layers": 2, "decoder_layers": 2, "width": 256, "heads": 4, "ffn_width": 1024, "context": 512},
        "small": {"encoder_layers": 6, "decoder_layers": 6, "width": 512, "heads": 8, "ffn_width": 2048, **PUBLISHED},
        "base": {"encoder_layers": 12, "decoder_layers": 12, "width": 768, "heads": 12, "ffn_width": 3072, **PUBLISHED},
        "large": {
            "encoder_layers": 24,
            "decoder_layers": 24,
            "width": 1024,
            "heads": 16,
            "ffn_width": 4096,
            **PUBLISHED,
        },
        "3b": {
            "encoder_layers": 24,
            "decoder_layers": 24,
            "width": 1024,
            "heads": 32,
            "head_width": 128,
            "ffn_width": 16384,
            **PUBLISHED,
        },
        "11b": {
            "encoder_layers": 24,
            "decoder_layers": 24,
            "width": 1024,
            "heads": 128,
            "head_width": 128,
            "ffn_width": 65536,
            **PUBLISHED,
        },
        "1.1-small": version_1_1(layers=8, width=512, heads=6, ffn_width=1024),
        "1.1-base": version_1_1(layers=12, width=768, heads=12, ffn_width=2048),
        "1.1-large": version_1_1(layers=24, width=1024, heads=16, ffn_width=2816),
        "1.1-xl": version_1_1(layers=24, width=2048, heads=32, ffn_width=5120),
        "1.1-xxl": version_1_1(layers=24, width=4096, heads=64, ffn_width=10240),
    },  # fmt: skip
    size_aliases={f"flan-{size}": f"1.1-{size}" for size in ("small", "base", "large", "xl", "xxl")},
    known_as={
        "t5": "base",
        **{f"flan-t5-{size}": f"1.1-{size}" for size in ("small", "base", "large", "xl", "xxl")},
    },
    derived=derived,
    keys=(
        Key("vocab_size", "vocab_size"),
        Key("width", "d_model"),
        Key("encoder_layers", "num_layers", least=1),
        Key("decoder_layers", "is_encoder_decoder", default=True, write=lambda c: c.decoder_layers > 0,
            read=decoder_layers),
        Key("decoder_layers", "num_decoder_layers", default=0, write=lambda c: c.decoder_layers or c.encoder_layers,
            read=decoder_layers),
        Key("heads", "num_heads"),
        Key("head_width", "d_kv", default=64, write=lambda config: config.per_head),
        Key("ffn_width", "d_ff"),
        Key("activation", "feed_forward_proj", default="relu", write=feed_forward, read=activation),
        Key("position.buckets", "relative_attention_num_buckets", default=32),
        Key("position.distance", "relative_attention_max_distance", default=128),
        Key("norm_eps", "layer_norm_epsilon", default=1e-6),
        Key("dropout", "dropout_rate", default=0.1),
        Key("attention_dropout", "dropout_rate", default=0.1, write=lambda config: config.dropout),
        Key("init_std", "initializer_factor", default=1.0),
        Key("context", "n_positions", default=512),
        Key("pad_token", "pad_token_id", default=0),
        Key("start_token", "decoder_start_token_id", default=0),
        Key(
            "logit_scale",
            "tie_word_embeddings",
            default=True,
            write=lambda config: config.logit_scale != 1.0,
            read=lambda tied, written: written["d_model"] ** -0.5 if tied else 1.0,  # type: ignore[operator]
        ),
    ),
    weights=(
        Weight("tokens.weight", "shared.weight"),
        Weight("encoder.positions.bias.weight", "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
        Weight("encoder.layers.{n}.attention_norm.weight", "encoder.block.{n}.layer.0.layer_norm.weight"),
        Weight("encoder.layers.{n}.attention.query.weight", "encoder.block.{n}.layer.0.SelfAttention.q.weight"),
        Weight("encoder.layers.{n}.attention.key.weight", "encoder.block.{n}.layer.0.SelfAttention.k.weight"),
        Weight("encoder.layers.{n}.attention.value.weight", "encoder.block.{n}.layer.0.SelfAttention.v.weight"),
        Weight("encoder.layers.{n}.attention.output.weight", "encoder.block.{n}.layer.0.SelfAttention.o.weight"),
        Weight("encoder.layers.{n}.feed_forward_norm.weight", "encoder.block.{n}.layer.1.layer_norm.weight"),
        *(
            Weight(f"{stack}.layers.{{n}}.feed_forward.{ours}.weight", f"{block}.{theirs}.weight", gated=gated)
            for stack, block in (
                ("encoder", "encoder.block.{n}.layer.1.DenseReluDense"),
                ("decoder", "decoder.block.{n}.layer.2.DenseReluDense"),
            )
            for ours, theirs, gated in (
                ("up", "wi", False),
                ("gate", "wi_0", True),
                ("up", "wi_1", True),
                ("down", "wo", None),
            )
        ),
        Weight("encoder.norm.weight", "encoder.final_layer_norm.weight"),
        Weight("decoder.positions.bias.weight", "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"),
        Weight("decoder.layers.{n}.attention_norm.weight", "decoder.block.{n}.layer.0.layer_norm.weight"),
        Weight("decoder.layers.{n}.attention.query.weight", "decoder.block.{n}.layer.0.SelfAttention.q.weight"),
        Weight("decoder.layers.{n}.attention.key.weight", "decoder.block.{n}.layer.0.SelfAttention.k.weight"),
        Weight("decoder.layers.{n}.attention.value.weight", "decoder.block.{n}.layer.0.SelfAttention.v.weight"),
        Weight("decoder.layers.{n}.attention.output.weight", "decoder.block.{n}.layer.0.SelfAttention.o.weight"),
        Weight("decoder.layers.{n}.cross_norm.weight", "decoder.block.{n}.layer.1.layer_norm.weight"),
        Weight("decoder.layers.{n}.cross.query.weight", "decoder.block.{n}.layer.1.EncDecAttention.q.weight"),
        Weight("decoder.layers.{n}.cross.key.weight", "decoder.block.{n}.layer.1.EncDecAttention.k.weight"),
        Weight("decoder.layers.{n}.cross.value.weight", "decoder.block.{n}.layer.1.EncDecAttention.v.weight"),
        Weight("decoder.layers.{n}.cross.output.weight", "decoder.block.{n}.layer.1.EncDecAttention.o.weight"),
        Weight("decoder.layers.{n}.feed_forward_norm.weight", "decoder.block.{n}.layer.2.layer_norm.weight"),
        Weight("decoder.norm.weight", "decoder.final_layer_norm.weight"),
        Weight("vocabulary.projection.weight", "lm_head.weight"),
    ),  # fmt: skip
    architectures={"vocabulary": "T5ForConditionalGeneration", "body": "T5Model", "encoder": "T5EncoderModel"},
    heads={
        "sequence": Head(
            LAST_STATE,
            CLASSIFICATION_HEAD,
            "T5ForSequenceClassification",
            prefix="transformer.",
            dropout="classifier_dropout",
        ),
        "token": Head(
            EachToken(0, dropout=0.0),
            {"classifier.*": "classifier.*"},
            "T5ForTokenClassification",
            prefix="transformer.",
            encoder_alone=True,
            dropout="classifier_dropout",
        ),
        "span": Head(EachToken(2, dropout=0.0), {"classifier.*": "qa_outputs.*"}, "T5ForQuestionAnswering"),
    },
    aliases={
        "encoder.embed_tokens.weight": "shared.weight",
        "decoder.embed_tokens.weight": "shared.weight",
        "lm_head.weight": "shared.weight",
    },
    left_out=(r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",),
    specials=specials.T5,
    features=features,
)
