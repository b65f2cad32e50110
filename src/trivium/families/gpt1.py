"""GPT (Radford et al. 2018): a causal decoder, post-norm and without a final norm, with learned positions.

The paper's 117 million parameters are 116,534,784. Hugging Face's name of the tanh formula of GELU is "gelu" here.
"""

from trivium.families.family import PROMPT, Family, Head, Key, Weight
from trivium.families.gpt2 import LAST_TOKEN, SUMMARY, features
from trivium.tokenizers import specials
from trivium.transformer.config import Learned
from trivium.transformer.head_config import Pooled

GPT1 = Family(
    name="gpt1",
    paper="Radford et al. 2018, Improving Language Understanding by Generative Pre-Training",
    hf_type="openai-gpt",
    base={"position": Learned(), "norm_place": "post", "activation": "gelu_tanh"},
    sizes={
        "tiny": {"decoder_layers": 2, "width": 32, "heads": 2, "ffn_width": 128, "context": 64},
        "mini": {"decoder_layers": 2, "width": 256, "heads": 4, "ffn_width": 1024, "context": 512},
        "base": {
            "decoder_layers": 12,
            "width": 768,
            "heads": 12,
            "ffn_width": 3072,
            "context": 512,
            "vocab_size": 40478,
            "dropout": 0.1,
            "attention_dropout": 0.1,
        },
    },
    size_aliases={"117M": "base"},
    keys=(
        Key("vocab_size", "vocab_size"),
        Key("width", "n_embd"),
        Key("decoder_layers", "n_layer"),
        Key("heads", "n_head"),
        Key("ffn_width", "n_embd", write=lambda config: config.width, read=lambda width, _: 4 * width),  # type: ignore[operator]
        Key("context", "n_positions", default=512),
        Key("activation", "afn", default="gelu", values={"gelu_tanh": "gelu", "relu": "relu", "silu": "silu"}),
        Key("norm_eps", "layer_norm_epsilon", default=1e-5),
        Key("dropout", ("resid_pdrop", "embd_pdrop"), default=0.1),
        Key("attention_dropout", "attn_pdrop", default=0.1),
        Key("init_std", "initializer_range", default=0.02),
        Key("pad_token", "pad_token_id", default=0),
        Key("tied", "tie_word_embeddings", default=True),
        PROMPT,
    ),
    weights=(
        Weight("tokens.weight", "transformer.tokens_embed.weight"),
        Weight("decoder.positions.weight", "transformer.positions_embed.weight"),
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
        Weight("decoder.layers.{n}.attention_norm.*", "transformer.h.{n}.ln_1.*"),
        Weight("decoder.layers.{n}.feed_forward.up.*", "transformer.h.{n}.mlp.c_fc.*", transposed=True),
        Weight("decoder.layers.{n}.feed_forward.down.*", "transformer.h.{n}.mlp.c_proj.*", transposed=True),
        Weight("decoder.layers.{n}.feed_forward_norm.*", "transformer.h.{n}.ln_2.*"),
        Weight("vocabulary.projection.weight", "lm_head.weight"),
    ),
    architectures={"vocabulary": "OpenAIGPTLMHeadModel", "body": "OpenAIGPTModel"},
    heads={
        "sequence": Head(
            LAST_TOKEN,
            {"classifier.weight": "score.weight"},
            "OpenAIGPTForSequenceClassification",
            extracts=True,
        ),
        "choice": Head(
            Pooled(1, "last", dropout=0.1),
            {"classifier.*": "multiple_choice_head.summary.*"},
            with_vocabulary="OpenAIGPTDoubleHeadsModel",
            dropout="summary_first_dropout",
            fixed=SUMMARY,
            extracts=True,
        ),
    },
    prefix="transformer.",
    aliases={"lm_head.weight": "transformer.tokens_embed.weight"},
    left_out=(r".*\.attn\.bias", r".*position_ids"),
    known_as={"gpt1": "base", "openai-gpt": "base"},
    specials=specials.GPT1,
    features=features,
)
