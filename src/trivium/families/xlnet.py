"""XLNet (Yang et al. 2019): a two-stream network that predicts a text in any order of its positions."""

from collections.abc import Collection, Mapping

from trivium.families.bert import ACTIVATIONS
from trivium.families.family import Family, Fields, Head, Key, Value, Weight
from trivium.tokenizers import specials
from trivium.transformer.head_config import EachToken, Pooled
from trivium.transformer.two_stream_config import TwoStreamConfig

PUBLISHED = {"vocab_size": 32000, "dropout": 0.1, "context": 512, "pad_token": 5}
SUMMARY = {"summary_type": "last", "summary_use_proj": True, "summary_activation": "tanh"}
SUMMED_UP = {"dense.*": "sequence_summary.summary.*", "classifier.*": "logits_proj.*"}
ATTENTION = "transformer.layer.{n}.rel_attn"


def features(names: Collection[str], written: Mapping[str, Value]) -> Fields:
    """The vocabulary's head is there when its bias is."""
    return {"vocabulary_head": "bias" if "lm_loss.bias" in names else "none"}


def clamp(length: Value, written: Mapping[str, Value]) -> Value:
    """Theirs is -1 where no distance is too far."""
    return None if isinstance(length, int) and length <= 0 else length


XLNET = Family(
    name="xlnet",
    paper="Yang et al. 2019, XLNet: Generalized Autoregressive Pretraining for Language Understanding",
    hf_type="xlnet",
    config=TwoStreamConfig,
    base={},
    sizes={
        "tiny": {"encoder_layers": 2, "width": 32, "heads": 2, "ffn_width": 64, "context": 64},
        "mini": {"encoder_layers": 2, "width": 256, "heads": 4, "ffn_width": 1024, "context": 512},
        "base": {"encoder_layers": 12, "width": 768, "heads": 12, "ffn_width": 3072, **PUBLISHED},
        "large": {"encoder_layers": 24, "width": 1024, "heads": 16, "ffn_width": 4096, **PUBLISHED},
    },
    size_aliases={"base-cased": "base", "large-cased": "large"},
    known_as={"xlnet": "base"},
    keys=(
        Key("vocab_size", "vocab_size"),
        Key("width", "d_model"),
        Key("encoder_layers", "n_layer"),
        Key("heads", "n_head"),
        Key("ffn_width", "d_inner"),
        Key("context", "seq_len", default=512),  # the pretraining code's flag: their class knows no longest text
        Key("activation", "ff_activation", default="gelu", values=ACTIVATIONS),
        Key("norm_eps", "layer_norm_eps", default=1e-12),
        Key("causal", "attn_type", default="bi", values={False: "bi", True: "uni"}),
        Key("clamp", "clamp_len", default=-1, write=lambda config: config.clamp or -1, read=clamp),
        Key("tied", "tie_word_embeddings", default=True),
        Key("dropout", ("dropout", "summary_last_dropout"), default=0.1),
        Key("init_std", "initializer_range", default=0.02),
        Key("pad_token", "pad_token_id", default=5),
    ),
    weights=(
        Weight("tokens.weight", "transformer.word_embedding.weight"),
        Weight("encoder.start", "transformer.mask_emb"),
        *(
            Weight(f"encoder.layers.{{n}}.attention.{ours}.weight", f"{ATTENTION}.{theirs}", True, heads_apart=True)
            for ours, theirs in (("query", "q"), ("key", "k"), ("value", "v"), ("position", "r"))
        ),
        Weight("encoder.layers.{n}.attention.output.weight", f"{ATTENTION}.o", heads_apart=True),
        Weight("encoder.layers.{n}.attention.content_bias", f"{ATTENTION}.r_w_bias"),
        Weight("encoder.layers.{n}.attention.position_bias", f"{ATTENTION}.r_r_bias"),
        Weight("encoder.layers.{n}.attention.segment_bias", f"{ATTENTION}.r_s_bias"),
        Weight("encoder.layers.{n}.attention.segments", f"{ATTENTION}.seg_embed"),
        Weight("encoder.layers.{n}.attention_norm.*", f"{ATTENTION}.layer_norm.*"),
        Weight("encoder.layers.{n}.feed_forward.up.*", "transformer.layer.{n}.ff.layer_1.*"),
        Weight("encoder.layers.{n}.feed_forward.down.*", "transformer.layer.{n}.ff.layer_2.*"),
        Weight("encoder.layers.{n}.feed_forward_norm.*", "transformer.layer.{n}.ff.layer_norm.*"),
        Weight("vocabulary.projection.weight", "lm_loss.weight"),
        Weight("vocabulary.bias", "lm_loss.bias"),
    ),
    architectures={"vocabulary": "XLNetLMHeadModel", "body": "XLNetModel"},
    heads={
        "sequence": Head(
            Pooled(0, "last", dense="tanh"), SUMMED_UP, "XLNetForSequenceClassification", fixed=SUMMARY
        ),
        "token": Head(EachToken(0, dropout=0.0), {"classifier.*": "classifier.*"}, "XLNetForTokenClassification"),
        "span": Head(
            EachToken(2, dropout=0.0), {"classifier.*": "qa_outputs.*"}, "XLNetForQuestionAnsweringSimple"
        ),
        "choice": Head(Pooled(1, "last", dense="tanh"), SUMMED_UP, "XLNetForMultipleChoice", fixed=SUMMARY),
    },
    prefix="transformer.",
    aliases={"lm_loss.weight": "transformer.word_embedding.weight"},
    fixed={"same_length": False, "bi_data": False, "untie_r": True},
    written={"mem_len": None, "reuse_len": None, **SUMMARY},
    specials=specials.XLNET,
    features=features,
)
