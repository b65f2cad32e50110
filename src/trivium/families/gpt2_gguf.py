"""A GPT-2 in GGUF and in Hugging Face's layout: the same settings and weights under two sets of names.

Hugging Face keeps matrices as (in, out), GGUF as (out, in); query, key and value are one matrix in both. llama.cpp
computes the tanh formula of GELU whatever a file says, so a model with another activation is not written. No torch.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from trivium.errors import SettingsError
from trivium.families.gguf_header import Header
from trivium.families.gguf_layout import GgufLayout, Settings

ARCHITECTURE = "gpt2"

NAMES = (
    ("token_embd.weight", "transformer.wte.weight"),
    ("position_embd.weight", "transformer.wpe.weight"),
    ("blk.{n}.attn_norm.*", "transformer.h.{n}.ln_1.*"),
    ("blk.{n}.attn_qkv.*", "transformer.h.{n}.attn.c_attn.*"),
    ("blk.{n}.attn_output.*", "transformer.h.{n}.attn.c_proj.*"),
    ("blk.{n}.ffn_norm.*", "transformer.h.{n}.ln_2.*"),
    ("blk.{n}.ffn_up.*", "transformer.h.{n}.mlp.c_fc.*"),
    ("blk.{n}.ffn_down.*", "transformer.h.{n}.mlp.c_proj.*"),
    ("output_norm.*", "transformer.ln_f.*"),
    ("output.weight", "lm_head.weight"),
)


def config_in(header: Header, frequencies: np.ndarray | None = None) -> dict[str, Any]:
    """``config.json`` as Hugging Face writes it, from metadata and the shapes of the tensors."""
    file = Settings(header, ARCHITECTURE)
    layers = file.integer("block_count", most=len(header.tensors))
    width = file.integer("embedding_length")
    vocabulary = file.rows("token_embd.weight", width)
    context = file.integer("context_length")
    if file.rows("position_embd.weight", width) != context:
        file.refuse(f"context_length is {context}, and it has position_embd.weight of another number of rows")
    return {
        "model_type": "gpt2",
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": vocabulary,
        "n_embd": width,
        "n_layer": layers,
        "n_head": file.integer("attention.head_count", most=width),
        "n_inner": file.integer("feed_forward_length"),
        "n_positions": context,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": file.real("attention.layer_norm_epsilon"),
        # The converters of llama.cpp write tied matrices twice, and the second is then read as one of its own.
        "tie_word_embeddings": "output.weight" not in header.tensors,
        **file.control_tokens(vocabulary),
    }


def metadata_out(config: Mapping[str, Any]) -> dict[str, object]:
    """The settings of a ``config.json`` in GGUF's words."""
    if config["activation_function"] not in ("gelu_new", "gelu_pytorch_tanh"):
        raise SettingsError(
            f"a GPT-2 with activation_function {config['activation_function']!r} cannot be written as GGUF: llama.cpp "
            "computes 'gelu_new'; convert it to hf or onnx"
        )
    return {
        "general.architecture": ARCHITECTURE,
        "gpt2.block_count": config["n_layer"],
        "gpt2.context_length": config["n_positions"],
        "gpt2.embedding_length": config["n_embd"],
        "gpt2.feed_forward_length": config.get("n_inner") or 4 * config["n_embd"],
        "gpt2.attention.head_count": config["n_head"],
        "gpt2.attention.layer_norm_epsilon": float(config["layer_norm_epsilon"]),
        "gpt2.vocab_size": config["vocab_size"],
    }


GPT2_LAYOUT = GgufLayout(
    ARCHITECTURE,
    "gpt2",
    NAMES,
    config_in,
    metadata_out,
    exactness=2e-3,  # GELU comes from a table of half precision
    transposed=r"blk\.\d+\.(attn_qkv|attn_output|ffn_up|ffn_down)\.weight",
)
