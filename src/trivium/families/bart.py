"""BART (Lewis et al. 2020): an encoder-decoder, post-norm, with a norm after the embeddings and learned positions.

Two rows of each table of positions are never used (its context of 1,024 has 1,026 rows); logits get a stored number
per token, which is 0 in the published files and never trained.
"""

from collections.abc import Collection, Mapping

from trivium.families.family import Family, Fields, Head, Key, Value, Weight
from trivium.tokenizers import specials
from trivium.transformer.config import Learned
from trivium.transformer.head_config import EachToken, Pooled

PUBLISHED = {"vocab_size": 50265, "context": 1024, "dropout": 0.1}
# Read from a decoder that is given the text moved right by one (``moved_right``): its state at the last token, </s>.
LAST_STATE = Pooled(0, "last", dense="tanh", dense_dropout=True, dropout=0.0)
CLASSIFICATION_HEAD = {"dense.*": "classification_head.dense.*", "classifier.*": "classification_head.out_proj.*"}


def features(names: Collection[str], written: Mapping[str, Value]) -> Fields:
    """Files without the stored numbers, as the first published ones, mean zeros."""
    return {"vocabulary_head": "offset" if "final_logits_bias" in names else "plain"}


BART = Family(
    name="bart",
    paper="Lewis et al. 2020, BART: Denoising Sequence-to-Sequence Pre-training for Natural Language Generation, "
    "Translation, and Comprehension",
    hf_type="bart",
    base={
        "position": Learned(offset=2),
        "norm_place": "post",
        "embedding_norm": True,
        "activation": "gelu",
        "vocabulary_head": "offset",
        "pad_token": 1,
        "start_token": 2,
    },
    sizes={
        "tiny": {"encoder_layers": 2, "decoder_layers": 2, "width": 32, "heads": 2, "ffn_width": 64, "context": 64},
        "mini": {"encoder_layers": 2, "decoder_layers": 2, "width": 256, "heads": 4, "ffn_width": 1024, "context": 512},
        "base": {"encoder_layers": 6, "decoder_layers": 6, "width": 768, "heads": 12, "ffn_width": 3072, **PUBLISHED},
        "large": {
            "encoder_layers": 12,
            "decoder_layers": 12,
            "width": 1024,
            "heads": 16,
            "ffn_width": 4096,
            **PUBLISHED,
        },
        "large-cnn": {
            "encoder_layers": 12,
            "decoder_layers": 12,
            "width": 1024,
            "heads": 16,
            "ffn_width": 4096,
            **PUBLISHED,
            "vocab_size": 50264,
        },
    },
    keys=(
        Key("vocab_size", "vocab_size"),
        Key("width", "d_model"),
        Key("encoder_layers", "encoder_layers", least=1),
        Key("decoder_layers", "decoder_layers", least=1),
        Key("heads", ("encoder_attention_heads", "decoder_attention_heads")),
        Key("ffn_width", ("encoder_ffn_dim", "decoder_ffn_dim")),
        Key("context", "max_position_embeddings", default=1024),
        Key(
            "activation",
            "activation_function",
            default="gelu",
            values={"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu", "silu": "silu"},
        ),
        Key("dropout", "dropout", default=0.1),
        Key("attention_dropout", "attention_dropout", default=0.0),
        Key("init_std", "init_std", default=0.02),
        Key("pad_token", "pad_token_id", default=1),
        Key("start_token", "decoder_start_token_id", default=2),
    ),
    weights=(
        Weight("tokens.weight", "model.shared.weight"),
        *(
            Weight(f"{stack}.{ours}", f"model.{stack}.{theirs}")
            for stack in ("encoder", "decoder")
            for ours, theirs in (
                ("positions.weight", "embed_positions.weight"),
                ("embedding_norm.*", "layernorm_embedding.*"),
                ("layers.{n}.attention.query.*", "layers.{n}.self_attn.q_proj.*"),
                ("layers.{n}.attention.key.*", "layers.{n}.self_attn.k_proj.*"),
                ("layers.{n}.attention.value.*", "layers.{n}.self_attn.v_proj.*"),
                ("layers.{n}.attention.output.*", "layers.{n}.self_attn.out_proj.*"),
                ("layers.{n}.attention_norm.*", "layers.{n}.self_attn_layer_norm.*"),
                ("layers.{n}.feed_forward.up.*", "layers.{n}.fc1.*"),
                ("layers.{n}.feed_forward.down.*", "layers.{n}.fc2.*"),
                ("layers.{n}.feed_forward_norm.*", "layers.{n}.final_layer_norm.*"),
            )
        ),
        Weight("decoder.layers.{n}.cross.query.*", "model.decoder.layers.{n}.encoder_attn.q_proj.*"),
        Weight("decoder.layers.{n}.cross.key.*", "model.decoder.layers.{n}.encoder_attn.k_proj.*"),
        Weight("decoder.layers.{n}.cross.value.*", "model.decoder.layers.{n}.encoder_attn.v_proj.*"),
        Weight("decoder.layers.{n}.cross.output.*", "model.decoder.layers.{n}.encoder_attn.out_proj.*"),
        Weight("decoder.layers.{n}.cross_norm.*", "model.decoder.layers.{n}.encoder_attn_layer_norm.*"),
        Weight("vocabulary.offset", "final_logits_bias"),
    ),
    architectures={"vocabulary": "BartForConditionalGeneration", "body": "BartModel"},
    heads={
        "sequence": Head(
            LAST_STATE, CLASSIFICATION_HEAD, "BartForSequenceClassification", dropout="classifier_dropout"
        ),
        "span": Head(EachToken(2, dropout=0.0), {"classifier.*": "qa_outputs.*"}, "BartForQuestionAnswering"),
    },
    prefix="model.",
    aliases={
        "model.encoder.embed_tokens.weight": "model.shared.weight",
        "model.decoder.embed_tokens.weight": "model.shared.weight",
        "lm_head.weight": "model.shared.weight",
    },
    fixed={"is_encoder_decoder": True, "scale_embedding": False, "tie_word_embeddings": True},
    known_as={"bart": "base"},
    specials=specials.ROBERTA,
    features=features,
)
