"""DistilBERT (Sanh et al. 2019): BERT with half its layers, without segments and pooler, under names of its own."""

from collections.abc import Collection, Mapping

from trivium.families.bert import ACTIVATIONS, CLASSIFIER
from trivium.families.family import Family, Fields, Head, Key, Value, Weight
from trivium.tokenizers import specials
from trivium.transformer.config import Learned
from trivium.transformer.head_config import EachToken, Pooled


def features(names: Collection[str], written: Mapping[str, Value]) -> Fields:
    """The vocabulary head is there when its tensors are."""
    return {"vocabulary_head": "transform" if "vocab_projector.bias" in names else "none"}


LAYER = "distilbert.transformer.layer.{n}."
DENSE = {"dense.*": "pre_classifier.*", **CLASSIFIER}

DISTILBERT = Family(
    name="distilbert",
    paper="Sanh et al. 2019, DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter",
    hf_type="distilbert",
    base={
        "position": Learned(),
        "norm_place": "post",
        "norm_eps": 1e-12,
        "embedding_norm": True,
        "activation": "gelu",
        "vocabulary_head": "transform",
        "init": "truncated",
    },
    sizes={
        "tiny": {"encoder_layers": 1, "width": 32, "heads": 2, "ffn_width": 64, "context": 64},
        "mini": {"encoder_layers": 1, "width": 256, "heads": 4, "ffn_width": 1024, "context": 512},
        "base": {
            "encoder_layers": 6,
            "width": 768,
            "heads": 12,
            "ffn_width": 3072,
            "context": 512,
            "vocab_size": 30522,
            "dropout": 0.1,
            "attention_dropout": 0.1,
        },
    },
    keys=(
        Key("vocab_size", "vocab_size"),
        Key("width", "dim"),
        Key("encoder_layers", "n_layers"),
        Key("heads", "n_heads"),
        Key("ffn_width", "hidden_dim"),
        Key("context", "max_position_embeddings", default=512),
        Key("activation", "activation", default="gelu", values=ACTIVATIONS),
        Key("dropout", "dropout", default=0.1),
        Key("attention_dropout", "attention_dropout", default=0.1),
        Key("init_std", "initializer_range", default=0.02),
        Key("pad_token", "pad_token_id", default=0),
    ),
    weights=(
        Weight("tokens.weight", "distilbert.embeddings.word_embeddings.weight"),
        Weight("encoder.positions.weight", "distilbert.embeddings.position_embeddings.weight"),
        Weight("encoder.embedding_norm.*", "distilbert.embeddings.LayerNorm.*"),
        Weight("encoder.layers.{n}.attention.query.*", LAYER + "attention.q_lin.*"),
        Weight("encoder.layers.{n}.attention.key.*", LAYER + "attention.k_lin.*"),
        Weight("encoder.layers.{n}.attention.value.*", LAYER + "attention.v_lin.*"),
        Weight("encoder.layers.{n}.attention.output.*", LAYER + "attention.out_lin.*"),
        Weight("encoder.layers.{n}.attention_norm.*", LAYER + "sa_layer_norm.*"),
        Weight("encoder.layers.{n}.feed_forward.up.*", LAYER + "ffn.lin1.*"),
        Weight("encoder.layers.{n}.feed_forward.down.*", LAYER + "ffn.lin2.*"),
        Weight("encoder.layers.{n}.feed_forward_norm.*", LAYER + "output_layer_norm.*"),
        Weight("vocabulary.dense.*", "vocab_transform.*"),
        Weight("vocabulary.norm.*", "vocab_layer_norm.*"),
        Weight("vocabulary.bias", "vocab_projector.bias"),
    ),
    architectures={"vocabulary": "DistilBertForMaskedLM", "body": "DistilBertModel"},
    heads={
        "sequence": Head(
            Pooled(0, "first", dense="relu", dropout=0.2),
            DENSE,
            "DistilBertForSequenceClassification",
            dropout="seq_classif_dropout",
        ),
        "token": Head(EachToken(0), CLASSIFIER, "DistilBertForTokenClassification"),
        "span": Head(
            EachToken(2, dropout=0.1),
            {"classifier.*": "qa_outputs.*"},
            "DistilBertForQuestionAnswering",
            dropout="qa_dropout",
        ),
        "choice": Head(
            Pooled(1, "first", dense="relu", dropout=0.2),
            DENSE,
            "DistilBertForMultipleChoice",
            dropout="seq_classif_dropout",
        ),
    },
    prefix="distilbert.",
    aliases={"vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"},
    left_out=(r".*\.position_ids",),
    fixed={"sinusoidal_pos_embds": False, "tie_word_embeddings": True},
    known_as={"distilbert": "base", "distilbert-base-uncased": "base"},
    specials=specials.BERT,
    features=features,
)
