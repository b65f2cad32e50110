"""BERT (Devlin et al. 2019): a bidirectional encoder, post-norm, with learned positions and two segments."""

from collections.abc import Collection, Mapping

from trivium.families.family import Family, Fields, Head, Key, Value, Weight
from trivium.tokenizers import specials
from trivium.transformer.config import Learned
from trivium.transformer.head_config import EachToken, Pooled

ACTIVATIONS: Mapping[Value, Value] = {"gelu": "gelu", "gelu_tanh": "gelu_new", "relu": "relu", "silu": "silu"}
PUBLISHED = {"vocab_size": 30522, "dropout": 0.1, "attention_dropout": 0.1}
CASED = {**PUBLISHED, "vocab_size": 28996}
CLASSIFIER = {"classifier.*": "classifier.*"}


def features(names: Collection[str], written: Mapping[str, Value]) -> Fields:
    """The pooler and the vocabulary head are there when their tensors are."""
    return {
        "pooler": "bert.pooler.dense.weight" in names,
        "vocabulary_head": "transform" if "cls.predictions.bias" in names else "none",
    }


BERT = Family(
    name="bert",
    paper="Devlin et al. 2019, BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding",
    hf_type="bert",
    base={
        "position": Learned(),
        "norm_place": "post",
        "norm_eps": 1e-12,
        "embedding_norm": True,
        "activation": "gelu",
        "segments": 2,
        "vocabulary_head": "transform",
        "init": "truncated",
    },
    sizes={
        "tiny": {"encoder_layers": 2, "width": 32, "heads": 2, "ffn_width": 64, "context": 64},
        "mini": {"encoder_layers": 2, "width": 256, "heads": 4, "ffn_width": 1024, "context": 512},
        "base": {"encoder_layers": 12, "width": 768, "heads": 12, "ffn_width": 3072, "context": 512, **PUBLISHED},
        "large": {"encoder_layers": 24, "width": 1024, "heads": 16, "ffn_width": 4096, "context": 512, **PUBLISHED},
        "base-cased": {"encoder_layers": 12, "width": 768, "heads": 12, "ffn_width": 3072, "context": 512, **CASED},
        "large-cased": {"encoder_layers": 24, "width": 1024, "heads": 16, "ffn_width": 4096, "context": 512, **CASED},
    },
    size_aliases={"base-uncased": "base", "large-uncased": "large"},
    keys=(
        Key("vocab_size", "vocab_size"),
        Key("width", "hidden_size"),
        Key("encoder_layers", "num_hidden_layers"),
        Key("heads", "num_attention_heads"),
        Key("ffn_width", "intermediate_size"),
        Key("context", "max_position_embeddings", default=512),
        Key("segments", "type_vocab_size", default=2, least=1),
        Key("activation", "hidden_act", default="gelu", values=ACTIVATIONS),
        Key("norm_eps", "layer_norm_eps", default=1e-12),
        Key("dropout", "hidden_dropout_prob", default=0.1),
        Key("attention_dropout", "attention_probs_dropout_prob", default=0.1),
        Key("init_std", "initializer_range", default=0.02),
        Key("pad_token", "pad_token_id", default=0),
    ),
    weights=(
        Weight("tokens.weight", "bert.embeddings.word_embeddings.weight"),
        Weight("encoder.positions.weight", "bert.embeddings.position_embeddings.weight"),
        Weight("encoder.segments.weight", "bert.embeddings.token_type_embeddings.weight"),
        Weight("encoder.embedding_norm.*", "bert.embeddings.LayerNorm.*"),
        Weight("encoder.layers.{n}.attention.query.*", "bert.encoder.layer.{n}.attention.self.query.*"),
        Weight("encoder.layers.{n}.attention.key.*", "bert.encoder.layer.{n}.attention.self.key.*"),
        Weight("encoder.layers.{n}.attention.value.*", "bert.encoder.layer.{n}.attention.self.value.*"),
        Weight("encoder.layers.{n}.attention.output.*", "bert.encoder.layer.{n}.attention.output.dense.*"),
        Weight("encoder.layers.{n}.attention_norm.*", "bert.encoder.layer.{n}.attention.output.LayerNorm.*"),
        Weight("encoder.layers.{n}.feed_forward.up.*", "bert.encoder.layer.{n}.intermediate.dense.*"),
        Weight("encoder.layers.{n}.feed_forward.down.*", "bert.encoder.layer.{n}.output.dense.*"),
        Weight("encoder.layers.{n}.feed_forward_norm.*", "bert.encoder.layer.{n}.output.LayerNorm.*"),
        Weight("pooler.dense.*", "bert.pooler.dense.*"),
        Weight("vocabulary.dense.*", "cls.predictions.transform.dense.*"),
        Weight("vocabulary.norm.*", "cls.predictions.transform.LayerNorm.*"),
        Weight("vocabulary.bias", "cls.predictions.bias"),
    ),
    architectures={"vocabulary": "BertForMaskedLM", "body": "BertModel"},
    heads={
        "sequence": Head(Pooled(0, "first"), CLASSIFIER, "BertForSequenceClassification", dropout="classifier_dropout"),
        "token": Head(EachToken(0), CLASSIFIER, "BertForTokenClassification", dropout="classifier_dropout"),
        "span": Head(EachToken(2, dropout=0.0), {"classifier.*": "qa_outputs.*"}, "BertForQuestionAnswering"),
        "choice": Head(Pooled(1, "first"), CLASSIFIER, "BertForMultipleChoice", dropout="classifier_dropout"),
        "next_sentence": Head(
            Pooled(2, "first", dropout=0.0),
            {"classifier.*": "cls.seq_relationship.*"},
            "BertForNextSentencePrediction",
            with_vocabulary="BertForPreTraining",
        ),
    },
    prefix="bert.",
    aliases={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    left_out=(r"cls\.seq_relationship\..*", r".*\.position_ids"),
    old_names={".gamma": ".weight", ".beta": ".bias"},
    fixed={
        "is_decoder": False,
        "add_cross_attention": False,
        "position_embedding_type": "absolute",
        "tie_word_embeddings": True,
    },
    known_as={"bert": "base"},
    specials=specials.BERT,
    features=features,
)
