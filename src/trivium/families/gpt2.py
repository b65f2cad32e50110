"""GPT-2 (Radford et al. 2019): a causal decoder, pre-norm, with learned positions.

Its files hold matrices as (in, out), and query, key and value in one. The paper's 117M, 345M, 762M and 1542M have in
fact 124, 355, 774 and 1,558 million parameters; both names are known.
"""

from collections.abc import Collection, Mapping

from trivium.families.family import PROMPT, Family, Fields, Head, Key, Value, Weight
from trivium.tokenizers import specials
from trivium.transformer.config import Learned
from trivium.transformer.head_config import EachToken, Pooled

PUBLISHED = {"vocab_size": 50257, "context": 1024, "dropout": 0.1, "attention_dropout": 0.1}
LAST_TOKEN = Pooled(0, "last", bias=False, dropout=0.0)
SUMMARY = {
    "summary_type": "cls_index",
    "summary_use_proj": True,
    "summary_activation": None,
    "summary_proj_to_labels": True,
}
"""The head of their classes with two heads, as published."""


def features(names: Collection[str], written: Mapping[str, Value]) -> Fields:
    """A body or classifier whose projection would be its own has none in the file."""
    untied = written.get("tie_word_embeddings") is False
    return {"vocabulary_head": "none" if untied and "lm_head.weight" not in names else "plain"}


GPT2 = Family(
    name="gpt2",
    paper="Radford et al. 2019, Language Models are Unsupervised Multitask Learners",
    hf_type="gpt2",
    base={"position": Learned(), "activation": "gelu_tanh", "init": "scaled"},
    sizes={
        "tiny": {"decoder_layers": 2, "width": 32, "heads": 2, "ffn_width": 64, "context": 64},
        "mini": {"decoder_layers": 2, "width": 256, "heads": 4, "ffn_width": 1024, "context": 512},
        "small": {"decoder_layers": 12, "width": 768, "heads": 12, "ffn_width": 3072, **PUBLISHED},
        "medium": {"decoder_layers": 24, "width": 1024, "heads": 16, "ffn_width": 4096, **PUBLISHED},
        "large": {"decoder_layers": 36, "width": 1280, "heads": 20, "ffn_width": 5120, **PUBLISHED},
        "xl": {"decoder_layers": 48, "width": 1600, "heads": 25, "ffn_width": 6400, **PUBLISHED},
    },
    size_aliases={
        "117M": "small",
        "124M": "small",
        "345M": "medium",
        "355M": "medium",
        "762M": "large",
        "774M": "large",
        "1542M": "xl",
        "1558M": "xl",
    },
    keys=(
        Key("vocab_size", "vocab_size"),
        Key("width", "n_embd"),
        Key("decoder_layers", "n_layer"),
        Key("heads", "n_head"),
        Key("ffn_width", "n_inner", default=0, read=lambda inner, written: inner or 4 * written["n_embd"]),  # type: ignore[operator]
        Key("context", "n_positions", default=1024),
        Key(
            "activation",
            "activation_function",
            default="gelu_new",
            values={"gelu_tanh": "gelu_new", "gelu": "gelu", "relu": "relu", "silu": "silu"},
        ),
        Key("norm_eps", "layer_norm_epsilon", default=1e-5),
        Key("dropout", ("resid_pdrop", "embd_pdrop"), default=0.1),
        Key("attention_dropout", "attn_pdrop", default=0.1),
        Key("init_std", "initializer_range", default=0.02),
        Key("pad_token", "pad_token_id", default=0),
        Key("tied", "tie_word_embeddings", default=True),
        PROMPT,
    ),
    weights=(
        Weight("tokens.weight", "transformer.wte.weight"),
        Weight("decoder.positions.weight", "transformer.wpe.weight"),
        Weight("decoder.layers.{n}.attention_norm.*", "transformer.h.{n}.ln_1.*"),
        Weight(
            (
                "decoder.layers.{n}.attention.query.*",
                "decoder.layers.{n}.attention.key.*",
                "decoder.layers.{n}.attention.value.*",
            ),
            "transformer.h.{n}.attn.c_attn.*",
            transposed=True,
        ),
        Weight("decoder.layers.{n}.attention.output.*", "transformer.h.{n}.attn.c_proj.*", transposed=True),
        Weight("decoder.layers.{n}.feed_forward_norm.*", "transformer.h.{n}.ln_2.*"),
        Weight("decoder.layers.{n}.feed_forward.up.*", "transformer.h.{n}.mlp.c_fc.*", transposed=True),
        Weight("decoder.layers.{n}.feed_forward.down.*", "transformer.h.{n}.mlp.c_proj.*", transposed=True),
        Weight("decoder.norm.*", "transformer.ln_f.*"),
        Weight("vocabulary.projection.weight", "lm_head.weight"),
    ),
    architectures={"vocabulary": "GPT2LMHeadModel", "body": "GPT2Model"},
    heads={
        "sequence": Head(LAST_TOKEN, {"classifier.weight": "score.weight"}, "GPT2ForSequenceClassification"),
        "token": Head(
            EachToken(0, dropout=0.1),
            {"classifier.*": "classifier.*"},
            "GPT2ForTokenClassification",
            dropout="classifier_dropout",
        ),
        "span": Head(EachToken(2, dropout=0.0), {"classifier.*": "qa_outputs.*"}, "GPT2ForQuestionAnswering"),
        "choice": Head(
            Pooled(1, "last", dropout=0.1),
            {"classifier.*": "multiple_choice_head.summary.*"},
            with_vocabulary="GPT2DoubleHeadsModel",
            dropout="summary_first_dropout",
            fixed=SUMMARY,
        ),
    },
    prefix="transformer.",
    aliases={"lm_head.weight": "transformer.wte.weight"},
    left_out=(r".*\.attn\.bias", r".*\.attn\.masked_bias"),
    fixed={
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "reorder_and_upcast_attn": False,
        "add_cross_attention": False,
    },
    known_as={"gpt2": "small"},
    specials=specials.GPT2,
    features=features,
)
