"""A Llama in GGUF and in Hugging Face's layout: the same settings and weights under two sets of names.

llama.cpp rotates neighbouring numbers of a head (Meta's layout), Hugging Face the two halves of it; so the rows of the
query and key matrices stand in another order, which ``interleaved`` and ``halved`` change. Llama 3.1's scaled
frequencies are four numbers in ``config.json`` and a tensor ``rope_freqs.weight`` in GGUF. No torch.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from trivium.errors import DataError
from trivium.families.gguf_header import Header
from trivium.families.gguf_layout import GgufLayout, Settings

ARCHITECTURE = "llama"
ROPE_FREQUENCIES = "rope_freqs.weight"

# GGUF's name and Hugging Face's; {n} is a layer's number, * weight or bias.
NAMES = (
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("blk.{n}.attn_norm.weight", "model.layers.{n}.input_layernorm.weight"),
    ("blk.{n}.attn_q.*", "model.layers.{n}.self_attn.q_proj.*"),
    ("blk.{n}.attn_k.*", "model.layers.{n}.self_attn.k_proj.*"),
    ("blk.{n}.attn_v.*", "model.layers.{n}.self_attn.v_proj.*"),
    ("blk.{n}.attn_output.*", "model.layers.{n}.self_attn.o_proj.*"),
    ("blk.{n}.ffn_norm.weight", "model.layers.{n}.post_attention_layernorm.weight"),
    ("blk.{n}.ffn_gate.*", "model.layers.{n}.mlp.gate_proj.*"),
    ("blk.{n}.ffn_up.*", "model.layers.{n}.mlp.up_proj.*"),
    ("blk.{n}.ffn_down.*", "model.layers.{n}.mlp.down_proj.*"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
)

LLAMA3_ROPE = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


def turned_heads(name: str, config: Mapping[str, Any]) -> int | None:
    """How many heads a tensor has whose rows are turned (by either name); None: it is stored as it is."""
    if re.search(r"\.(attn_q|self_attn\.q_proj)\.", name):
        return int(config["num_attention_heads"])
    if re.search(r"\.(attn_k|self_attn\.k_proj)\.", name):
        return int(config["num_key_value_heads"])
    return None


def interleaved(values: np.ndarray, heads: int) -> np.ndarray:
    """Rows in Hugging Face's order (first halves of the pairs, then second) to llama.cpp's (pair by pair)."""
    return values.reshape(heads, 2, -1, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def halved(values: np.ndarray, heads: int) -> np.ndarray:
    """The inverse of ``interleaved``."""
    return values.reshape(heads, -1, 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


# ---- settings ----


def config_in(header: Header, frequencies: np.ndarray | None = None) -> dict[str, Any]:
    """``config.json`` as Hugging Face writes it, from metadata and the shapes of the tensors; ``frequencies`` are the
    numbers of ``rope_freqs.weight`` where the file has it."""
    file = Settings(header, ARCHITECTURE)
    if header.metadata.get("llama.expert_count", 0):
        file.refuse("llama.expert_count: it is a mixture of experts, which is not known here")
    layers = file.integer("block_count", most=len(header.tensors))
    width = file.integer("embedding_length")
    vocabulary = file.rows("token_embd.weight", width)
    heads = file.integer("attention.head_count", most=width)
    groups = file.integer("attention.head_count_kv", heads, most=heads)
    head_width = file.integer("attention.key_length", width // heads)
    if file.integer("attention.value_length", head_width) != head_width:
        file.refuse("keys and values of one head differ in width")
    if file.integer("rope.dimension_count", head_width) != head_width:
        file.refuse(f"rope.dimension_count is not the {head_width} of a head: only whole heads are rotated here")
    context = file.integer("context_length")
    if file.integer("attention.sliding_window", context) < context:
        file.refuse("attention.sliding_window: every token is attended to here")
    config = {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": file.integer("feed_forward_length"),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": groups,
        "head_dim": head_width,
        "hidden_act": "silu",
        "max_position_embeddings": context,
        "rms_norm_eps": file.real("attention.layer_norm_rms_epsilon"),
        "rope_theta": file.real("rope.freq_base", 10000.0),
        "rope_scaling": None,
        "attention_bias": any(name.endswith("attn_q.bias") for name in header.tensors),
        "mlp_bias": any(name.endswith("ffn_up.bias") for name in header.tensors),
        "tie_word_embeddings": "output.weight" not in header.tensors,
    }
    config["rope_scaling"] = _scaling_in(file, config, frequencies)
    config |= file.control_tokens(vocabulary)
    return config


def metadata_out(config: Mapping[str, Any]) -> dict[str, object]:
    """The settings of a ``config.json`` in GGUF's words."""
    rope = _rope(config)
    if rope.get("rope_type", "default") not in ("default", "linear", "llama3"):
        raise DataError(f"rope scaling {rope['rope_type']!r} cannot be written as GGUF: only 'linear' and 'llama3' can")
    heads = config["num_attention_heads"]
    width = config.get("head_dim") or config["hidden_size"] // heads
    found: dict[str, object] = {
        "general.architecture": ARCHITECTURE,
        "llama.block_count": config["num_hidden_layers"],
        "llama.context_length": config["max_position_embeddings"],
        "llama.embedding_length": config["hidden_size"],
        "llama.feed_forward_length": config["intermediate_size"],
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": config.get("num_key_value_heads") or heads,
        "llama.attention.key_length": width,
        "llama.attention.value_length": width,
        "llama.attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        "llama.rope.dimension_count": width,
        "llama.rope.freq_base": float(rope["rope_theta"]),
        "llama.vocab_size": config["vocab_size"],
    }
    if rope.get("rope_type") == "linear":
        found |= {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": float(rope["factor"])}
    return found


def frequencies_out(config: Mapping[str, Any]) -> np.ndarray | None:
    """The numbers of ``rope_freqs.weight``; None where a model scales nothing in this way."""
    rope = _rope(config)
    if rope.get("rope_type") != "llama3":
        return None
    width = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    return llama3_factors(width, rope)


def llama3_factors(width: int, rope: Mapping[str, Any]) -> np.ndarray:
    """What each frequency of a head is divided by (Llama 3.1): waves that fitted often into the original context stay,
    those that hardly did are stretched, with a ramp between."""
    waves = 2 * math.pi * float(rope["rope_theta"]) ** (np.arange(0, width, 2) / width)
    old = rope["original_max_position_embeddings"]
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    ramp = np.clip((old / waves - low) / (high - low), 0, 1)
    return (1 / ((1 - ramp) / factor + ramp)).astype(np.float32)


def _rope(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of rotation, which stood at two places before transformers 5 and stand at one since."""
    rope = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    rope.setdefault("rope_theta", config.get("rope_theta") or 10000.0)
    rope.setdefault("rope_type", rope.pop("type", "default"))
    return rope


def _scaling_in(file: Settings, config: Mapping[str, Any], frequencies: np.ndarray | None) -> dict[str, Any] | None:
    kind = file.header.metadata.get("llama.rope.scaling.type", "none")
    if frequencies is not None and kind in ("none", "llama3"):
        rope = {"rope_type": "llama3", "factor": float(frequencies.max()), **LLAMA3_ROPE}
        if frequencies.shape == (config["head_dim"] // 2,) and np.isfinite(frequencies).all():
            expected = llama3_factors(config["head_dim"], {**rope, "rope_theta": config["rope_theta"]})
            if np.allclose(frequencies, expected, rtol=1e-4):
                return rope if rope["factor"] != 1 else None
        file.refuse(f"{ROPE_FREQUENCIES} does not hold the scaling of Llama 3.1, and no other is known here")
    if kind == "none":
        return None
    if kind != "linear" or frequencies is not None:
        file.refuse(f"rope.scaling.type is {str(kind)[:40]!r}, known are 'linear' and Llama 3.1's")
    return {"rope_type": "linear", "factor": file.real("rope.scaling.factor")}


LLAMA_LAYOUT = GgufLayout(ARCHITECTURE, "llama", NAMES, config_in, metadata_out, turned_heads)
