"""RoBERTa (Liu et al. 2019): BERT's body with one kind of segment; positions are numbered from after the padding's id.

Row 0 of the table of positions is never used and row ``pad_token`` belongs to padding, so that a context of 512 has
514 rows. The head's activation is GELU whatever the body's, so a body with another one is not read.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from trivium.families.bert import BERT, CLASSIFIER
from trivium.families.family import Family, Fields, Head, Key, Value, Weight
from trivium.tokenizers import specials
from trivium.transformer.config import Learned
from trivium.transformer.head_config import EachToken, Pooled

PUBLISHED = {"vocab_size": 50265, "dropout": 0.1, "attention_dropout": 0.1}


def features(names: Collection[str], written: Mapping[str, Value]) -> Fields:
    """The pooler and the vocabulary head are there when their tensors are."""
    return {
        "pooler": "roberta.pooler.dense.weight" in names,
        "vocabulary_head": "transform" if "lm_head.bias" in names else "none",
    }


def derived(settings: Mapping[str, Value]) -> Fields:
    return {"position": positions(settings["pad_token"])}


def positions(pad_token: Value, written: Mapping[str, Value] = {}) -> Learned:  # noqa: B006 (read only)
    return Learned(offset=pad_token + 1)  # type: ignore[operator]


def context(rows: Value, written: Mapping[str, Value]) -> int:
    """Rows of the table of positions, less those that no token has."""
    pad = written.get("pad_token_id")
    return rows - (1 if pad is None else pad) - 1  # type: ignore[operator]


ROBERTA = Family(
    name="roberta",
    paper="Liu et al. 2019, RoBERTa: A Robustly Optimized BERT Pretraining Approach",
    hf_type="roberta",
    base={
        "norm_place": "post",
        "norm_eps": 1e-5,
        "embedding_norm": True,
        "activation": "gelu",
        "segments": 1,
        "vocabulary_head": "transform",
        "pad_token": 1,
    },
    sizes={
        "tiny": {"encoder_layers": 2, "width": 32, "heads": 2, "ffn_width": 64, "context": 64},
        "mini": {"encoder_layers": 2, "width": 256, "heads": 4, "ffn_width": 1024, "context": 512},
        "base": {"encoder_layers": 12, "width": 768, "heads": 12, "ffn_width": 3072, "context": 512, **PUBLISHED},
        "large": {"encoder_layers": 24, "width": 1024, "heads": 16, "ffn_width": 4096, "context": 512, **PUBLISHED},
    },
    derived=derived,
    keys=(
        Key("vocab_size", "vocab_size"),
        Key("width", "hidden_size"),
        Key("encoder_layers", "num_hidden_layers"),
        Key("heads", "num_attention_heads"),
        Key("ffn_width", "intermediate_size"),
        Key(
            "context", "max_position_embeddings", default=512, write=lambda c: c.context + c.pad_token + 1, read=context
        ),
        Key("segments", "type_vocab_size", default=2, least=1),
        Key("activation", "hidden_act", default="gelu", values={"gelu": "gelu"}),
        Key("norm_eps", "layer_norm_eps", default=1e-12),
        Key("dropout", "hidden_dropout_prob", default=0.1),
        Key("attention_dropout", "attention_probs_dropout_prob", default=0.1),
        Key("init_std", "initializer_range", default=0.02),
        Key("pad_token", "pad_token_id", default=1),
        Key("position", "pad_token_id", default=1, write=lambda config: config.pad_token, read=positions),
    ),
    weights=(
        *(
            replace(row, theirs=row.theirs.replace("bert.", "roberta.", 1))
            for row in BERT.weights
            if row.theirs.startswith("bert.")
        ),
        Weight("vocabulary.dense.*", "lm_head.dense.*"),
        Weight("vocabulary.norm.*", "lm_head.layer_norm.*"),
        Weight("vocabulary.bias", "lm_head.bias"),
    ),
    architectures={"vocabulary": "RobertaForMaskedLM", "body": "RobertaModel"},
    heads={
        "sequence": Head(
            Pooled(0, "first", dense="tanh", dense_dropout=True),
            {"dense.*": "classifier.dense.*", "classifier.*": "classifier.out_proj.*"},
            "RobertaForSequenceClassification",
            dropout="classifier_dropout",
        ),
        "token": Head(EachToken(0), CLASSIFIER, "RobertaForTokenClassification", dropout="classifier_dropout"),
        "span": Head(EachToken(2, dropout=0.0), {"classifier.*": "qa_outputs.*"}, "RobertaForQuestionAnswering"),
        "choice": Head(Pooled(1, "first"), CLASSIFIER, "RobertaForMultipleChoice"),
    },
    prefix="roberta.",
    aliases={
        "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    },
    left_out=(r".*\.position_ids",),
    old_names=BERT.old_names,
    fixed=BERT.fixed,
    known_as={"roberta": "base"},
    specials=specials.ROBERTA,
    features=features,
)
