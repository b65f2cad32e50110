"""A Llama's names, rows and settings in GGUF, held against the ``gguf`` package and transformers' reading."""

from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from trivium.errors import DataError, SettingsError
from trivium.families.gguf import GgufFile, outgoing, write_gguf
from trivium.families.gguf_tensors import GgufTensors, write_model
from trivium.families.llama_gguf import LLAMA_LAYOUT, NAMES, frequencies_out, halved, interleaved, llama3_factors

SIZES = {
    "vocab_size": 61, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "bos_token_id": 1,
    "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
SCALED = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192, "rope_theta": 500000.0}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tied": {"tie_word_embeddings": True},
    "theta": {"rope_parameters": {"rope_type": "default", "rope_theta": 100000.0}},
    "linear": {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 2.0}},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "one-head-width": {"head_dim": 24},
    "full-heads": {"num_key_value_heads": 4},
}


def reference(**settings: Any) -> transformers.LlamaForCausalLM:
    torch.manual_seed(1)
    config = transformers.LlamaConfig(**{**SIZES, "tie_word_embeddings": False, **settings})
    config._attn_implementation = "eager"
    model = transformers.LlamaForCausalLM(config).eval()
    for parameter in model.parameters():
        parameter.data.normal_(0.0, 0.2)
    return model


def written(model: transformers.LlamaForCausalLM, path: Path, precision: Any = "F32", **metadata: object) -> Path:
    write_model(path, model.config.to_dict(), model.state_dict(), {"general.name": "tiny", **metadata}, precision)
    return path


def read(path: Path, dtype: torch.dtype = torch.float32) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    with GgufTensors(path) as tensors:
        return tensors.config, {name: tensors.read(name, "cpu", dtype) for name in tensors.names}


def test_names_are_those_of_the_converter() -> None:
    name_in, name_out = LLAMA_LAYOUT.name_in, LLAMA_LAYOUT.name_out
    table = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 30)
    for own, theirs in NAMES:
        for number, ending in ((0, "weight"), (29, "bias")):
            name = theirs.replace("{n}", str(number)).replace("*", ending)
            expected = table.get_name(name, try_suffixes=(".weight", ".bias"))
            assert name_out(name) == expected == own.replace("{n}", str(number)).replace("*", ending)
            assert name_in(expected) == name
    assert name_in("blk.01.attn_q.weight") is None and name_in("rope_freqs.weight") is None
    assert name_out("model.layers.0.self_attn.rotary_emb.inv_freq") is None


def test_rows_of_a_head_are_turned_and_turned_back() -> None:
    """Two heads of four numbers: pairs (0, 2), (1, 3) of a half-split head become neighbours."""
    rows = np.arange(8)
    assert interleaved(rows, 2).tolist() == [0, 2, 1, 3, 4, 6, 5, 7]
    matrix = np.random.default_rng(0).standard_normal((24, 5))
    assert np.array_equal(halved(interleaved(matrix, 3), 3), matrix)


def test_turned_rows_rotate_alike() -> None:
    """A head rotated by halves equals the turned head rotated by neighbours, as the facts' worked example has it."""
    x = np.array([1.0, 0, 0, 1])
    angles = np.array([1.0, 0.01])
    cos, sin = np.cos(angles), np.sin(angles)
    halves = np.concatenate([x[:2] * cos - x[2:] * sin, x[2:] * cos + x[:2] * sin])
    turned = interleaved(x, 1)
    pairs = np.stack([turned[0::2] * cos - turned[1::2] * sin, turned[1::2] * cos + turned[0::2] * sin], 1).reshape(-1)
    assert np.allclose(pairs, interleaved(halves, 1))
    assert np.allclose(halves, [0.540302, -0.01, 0.841471, 0.99995], atol=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_model_comes_back_whole(tmp_path: Path, variant: str) -> None:
    model = reference(**VARIANTS[variant])
    config, tensors = read(written(model, tmp_path / "a.gguf"))
    state = model.state_dict()
    if variant == "tied":
        del state["lm_head.weight"]
    assert set(tensors) == set(state)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in state.items())
    again = transformers.LlamaConfig(**config)
    assert again.rope_parameters == model.config.rope_parameters
    for key in (*SIZES, "head_dim", "attention_bias", "mlp_bias", "tie_word_embeddings", "hidden_act"):
        if not key.endswith("token_id"):
            assert getattr(again, key) == getattr(model.config, key), key


@pytest.mark.parametrize("variant", ["plain", "tied", "theta", "full-heads"])
def test_transformers_opens_our_file_and_computes_the_same(tmp_path: Path, variant: str) -> None:
    """And so it reads the same permutation, names and settings."""
    model = reference(**VARIANTS[variant])
    written(model, tmp_path / "a.gguf")
    theirs = transformers.AutoModelForCausalLM.from_pretrained(
        tmp_path, gguf_file="a.gguf", attn_implementation="eager", dtype=torch.float32
    ).eval()
    ids = torch.arange(1, 41)[None]
    with torch.no_grad():
        ours, found = model(ids).logits, theirs(ids).logits
    assert (ours - found).abs().max() <= 1e-5 * ours.abs().max()


def test_quantised_weights_are_read_as_transformers_reads_them(tmp_path: Path) -> None:
    model = reference(**VARIANTS["theta"])
    for precision in ("Q8_0", "F16"):
        path = written(model, tmp_path / f"{precision}.gguf", precision)
        theirs = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, gguf_file=path.name, dtype=torch.float32)
        _, tensors = read(path)
        for name, tensor in theirs.state_dict().items():
            assert torch.equal(tensor, tensors[name]), name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_lower_precision_is_filled_in_pieces_and_equals_a_cast(tmp_path: Path, dtype: torch.dtype) -> None:
    path = written(reference(), tmp_path / "a.gguf", "Q8_0")
    _, plain = read(path)
    _, cast = read(path, dtype)
    assert all(torch.equal(cast[name], tensor.to(dtype)) for name, tensor in plain.items())


def test_scaled_frequencies_are_llama_3_1s() -> None:
    config = transformers.LlamaConfig(**{**SIZES, "head_dim": 64, "rope_parameters": SCALED})
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](config, "cpu")
    plain = 1 / 500000.0 ** (torch.arange(0, 64, 2) / 64)
    assert np.allclose(llama3_factors(64, SCALED), (plain / scaled).numpy(), rtol=1e-5)
    assert llama3_factors(64, SCALED)[0] == 1 and llama3_factors(64, SCALED)[-1] == 8
    assert frequencies_out(config.to_dict()) is not None and frequencies_out(reference().config.to_dict()) is None


def test_scaled_frequencies_come_back_as_numbers(tmp_path: Path) -> None:
    model = reference(head_dim=64, rope_parameters=SCALED)
    config, tensors = read(written(model, tmp_path / "a.gguf"))
    assert transformers.LlamaConfig(**config).rope_parameters == SCALED
    assert set(tensors) == set(model.state_dict())


def test_other_frequencies_are_refused(tmp_path: Path) -> None:
    config = reference().config.to_dict()
    from trivium.families.llama_gguf import metadata_out

    odd = np.linspace(1, 9, 8).astype(np.float32)
    rows = [
        outgoing("rope_freqs.weight", odd.shape, "F32", lambda: odd),
        outgoing("token_embd.weight", (61, 64), "F32", lambda: np.zeros((61, 64), np.float32)),
        *(outgoing(f"blk.{n}.attn_norm.weight", (64,), "F32", lambda: np.ones(64, np.float32)) for n in range(3)),
    ]
    write_gguf(tmp_path / "a.gguf", metadata_out(config), rows)
    with GgufTensors(tmp_path / "a.gguf") as tensors, pytest.raises(DataError, match="scaling of Llama 3.1"):
        _ = tensors.config


CHANGES = {
    "general.architecture": ("mamba", "architecture 'mamba'"),
    "llama.expert_count": (8, "mixture of experts"),
    "llama.block_count": (2**31, "from 1 to"),
    "llama.embedding_length": (65, "embedding_length is 65"),
    "llama.attention.head_count": ([4, 4, 2], "not a whole number"),
    "llama.attention.head_count_kv": (5, "from 1 to 4"),
    "llama.rope.dimension_count": (8, "only whole heads"),
    "llama.attention.value_length": (8, "differ in width"),
    "llama.attention.sliding_window": (16, "every token"),
    "llama.rope.freq_base": (float("nan"), "not a number above 0"),
    "llama.rope.scaling.type": ("yarn", "'yarn', known are"),
    "llama.attention.layer_norm_rms_epsilon": (1, "not a number above 0"),
    "llama.context_length": (0, "from 1 to"),
}


@pytest.mark.parametrize("key", CHANGES)
def test_settings_that_are_not_known_are_said_before_any_weight_is_read(tmp_path: Path, key: str) -> None:
    value, words = CHANGES[key]
    path = written(reference(), tmp_path / "a.gguf", **{key: value})
    with pytest.raises(DataError, match=words) as error, GgufTensors(path) as tensors:
        _ = tensors.config
    assert str(path) in str(error.value)


def test_every_missing_setting_is_named(tmp_path: Path) -> None:
    path = written(reference(), tmp_path / "a.gguf")
    with GgufFile(path) as file:
        metadata = dict(file.header.metadata)
        rows = [
            outgoing(name, stored.shape, "F32", lambda name=name: file.read(name))
            for name, stored in file.header.tensors.items()
        ]
        for key in ("block_count", "context_length", "embedding_length", "feed_forward_length", "attention.head_count"):
            less = {name: value for name, value in metadata.items() if name != f"llama.{key}"}
            write_gguf(tmp_path / "less.gguf", less, rows)
            with (
                GgufTensors(tmp_path / "less.gguf") as tensors,
                pytest.raises(DataError, match=f"llama.{key} is missing"),
            ):
                _ = tensors.config


def test_what_gguf_has_no_name_for_is_said(tmp_path: Path) -> None:
    model = reference()
    with pytest.raises(DataError, match="'score.weight' has no name"):
        write_model(tmp_path / "a.gguf", model.config.to_dict(), {"score.weight": torch.zeros(2, 2)}, {}, "F32")
    with pytest.raises(SettingsError, match="of type 't5' cannot be written as GGUF, only 'llama', 'gpt2' and 'bert'"):
        write_model(tmp_path / "a.gguf", {"model_type": "t5", "num_attention_heads": 2}, {}, {}, "F32")
