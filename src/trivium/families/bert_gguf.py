"""A BERT's body in GGUF and in Hugging Face's layout: the same settings and weights under two sets of names.

llama.cpp computes a BERT's hidden states, for embeddings of texts; it has no place for the pooler nor for the
vocabulary head, which are therefore left out, and said to be. It computes GELU by its tanh formula where BERT has the
exact one (they differ by 0.0005 at most). No torch.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trivium.errors import SettingsError
from trivium.families.gguf_header import Header
from trivium.families.gguf_layout import GgufLayout, Settings

ARCHITECTURE = "bert"

NAMES = (
    ("token_embd.weight", "bert.embeddings.word_embeddings.weight"),
    ("position_embd.weight", "bert.embeddings.position_embeddings.weight"),
    ("token_types.weight", "bert.embeddings.token_type_embeddings.weight"),
    ("token_embd_norm.*", "bert.embeddings.LayerNorm.*"),
    ("blk.{n}.attn_q.*", "bert.encoder.layer.{n}.attention.self.query.*"),
    ("blk.{n}.attn_k.*", "bert.encoder.layer.{n}.attention.self.key.*"),
    ("blk.{n}.attn_v.*", "bert.encoder.layer.{n}.attention.self.value.*"),
    ("blk.{n}.attn_output.*", "bert.encoder.layer.{n}.attention.output.dense.*"),
    ("blk.{n}.attn_output_norm.*", "bert.encoder.layer.{n}.attention.output.LayerNorm.*"),
    ("blk.{n}.ffn_up.*", "bert.encoder.layer.{n}.intermediate.dense.*"),
    ("blk.{n}.ffn_down.*", "bert.encoder.layer.{n}.output.dense.*"),
    ("blk.{n}.layer_output_norm.*", "bert.encoder.layer.{n}.output.LayerNorm.*"),
)


def config_in(header: Header, frequencies: np.ndarray | None = None) -> dict[str, Any]:
    """``config.json`` as Hugging Face writes it, from metadata and the shapes of the tensors."""
    file = Settings(header, ARCHITECTURE)
    layers = file.integer("block_count", most=len(header.tensors))
    width = file.integer("embedding_length")
    vocabulary = file.rows("token_embd.weight", width)
    if file.get("attention.causal", False) is not False:
        file.refuse("attention.causal: a BERT sees both sides")
    return {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "vocab_size": vocabulary,
        "hidden_size": width,
        "num_hidden_layers": layers,
        "num_attention_heads": file.integer("attention.head_count", most=width),
        "intermediate_size": file.integer("feed_forward_length"),
        "max_position_embeddings": file.rows("position_embd.weight", width),
        "type_vocab_size": file.rows("token_types.weight", width),
        "hidden_act": "gelu",
        "layer_norm_eps": file.real("attention.layer_norm_epsilon"),
        **file.control_tokens(vocabulary),
    }


def metadata_out(config: Mapping[str, Any]) -> dict[str, object]:
    """The settings of a ``config.json`` in GGUF's words."""
    if config["hidden_act"] not in ("gelu", "gelu_new", "gelu_pytorch_tanh"):
        raise SettingsError(
            f"a BERT with hidden_act {config['hidden_act']!r} cannot be written as GGUF: llama.cpp computes GELU; "
            "convert it to hf or onnx"
        )
    return {
        "general.architecture": ARCHITECTURE,
        "bert.block_count": config["num_hidden_layers"],
        "bert.context_length": config["max_position_embeddings"],
        "bert.embedding_length": config["hidden_size"],
        "bert.feed_forward_length": config["intermediate_size"],
        "bert.attention.head_count": config["num_attention_heads"],
        "bert.attention.layer_norm_epsilon": float(config["layer_norm_eps"]),
        "bert.attention.causal": False,
        "bert.pooling_type": 1,  # the mean, unless the reader asks for another
        "bert.vocab_size": config["vocab_size"],
        "tokenizer.ggml.token_type_count": config["type_vocab_size"],
    }


BERT_LAYOUT = GgufLayout(
    ARCHITECTURE, "bert", NAMES, config_in, metadata_out, no_place=r"bert\.pooler\..*|cls\..*",
    exactness=1e-2,  # GELU by the tanh formula, from a table of half precision
)
