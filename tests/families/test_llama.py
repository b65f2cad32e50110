"""Llama's settings of rotation, as files of each age have them."""

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from trivium.errors import DataError
from trivium.families import LLAMA
from trivium.transformer import LinearScaling, Llama3Scaling, Rotary, TransformerConfig
from trivium.transformer.positions import rotations

SIZES = {"vocab_size": 61, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4,
         "intermediate_size": 48, "max_position_embeddings": 99}  # fmt: skip
LLAMA3 = {"factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}


@pytest.mark.parametrize(
    ("written", "position"),
    [
        ({}, Rotary()),
        ({"rope_theta": 5e5}, Rotary(5e5)),
        ({"rope_theta": 1e5, "rope_scaling": None}, Rotary(1e5)),
        ({"rope_scaling": {"type": "linear", "factor": 4}}, Rotary(scaling=LinearScaling(4.0))),
        ({"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **LLAMA3}}, Rotary(5e5, Llama3Scaling(32.0))),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 7.0, **LLAMA3}}, Rotary(7.0, Llama3Scaling(32.0))),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 3}}, Rotary(3.0)),
    ],
)
def test_files_of_every_age(written, position):
    config = LLAMA.config_in({**SIZES, **written})
    assert config.position == position
    out = LLAMA.config_out(config)
    assert LLAMA.config_in(out) == config
    older = {key: value for key, value in out.items() if key != "rope_parameters"}  # as programs of that age read it
    assert LLAMA.config_in(older) == config
    assert LlamaConfig.from_dict(older).rope_parameters == LlamaConfig.from_dict(out).rope_parameters


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "rope_type = 'dynamic': choose one of default"),
        ({"rope_scaling": {"type": "yarn"}}, "rope_type = 'yarn'"),
        ({"rope_scaling": {"type": "linear"}}, "factor = None, which must be a number"),
        ({"rope_scaling": {"type": "linear", "factor": "2"}}, "factor = '2'"),
        ({"rope_scaling": {"type": "linear", "factor": 0}}, "does not describe a llama model"),
        ({"rope_scaling": {"type": "llama3", **LLAMA3, "low_freq_factor": 4.0}}, "low < high"),
        ({"rope_parameters": [1]}, "not a table"),
        ({"rope_parameters": {"rope_theta": [1]}}, "does not describe a llama model"),
        ({"rope_parameters": {"partial_rotary_factor": 0.5}}, "only whole heads"),
        ({"partial_rotary_factor": 0.25}, "only whole heads"),
        ({"attention_bias": True, "mlp_bias": False}, "only equal ones"),
    ],
)
def test_other_rotations_are_refused(written, message):
    with pytest.raises(DataError, match=message):
        LLAMA.config_in({**SIZES, **written})


@pytest.mark.parametrize("size", ["1-7b", "3-8b", "3.1-8b", "3.2-1b", "smollm2-135m"])
def test_angles_are_theirs_to_the_last_bit_far_into_the_context(size):
    """A rate that differs by one bit shifts the angle at position 100,000 by a hundredth."""
    config = LLAMA.size(size)
    assert isinstance(config, TransformerConfig) and isinstance(config.position, Rotary)
    theirs = LlamaRotaryEmbedding(LlamaConfig.from_dict(LLAMA.config_out(config)))
    at = torch.tensor([0, 1, 2, 1000, config.context - 1])
    cosine, sine = theirs(torch.zeros(1), at[None])
    ours = rotations(config.context, config.per_head, config.position.theta, torch.device("cpu"), torch.float32,
                     config.position.scaling)  # fmt: skip
    signs = torch.ones(config.per_head).index_fill(0, torch.arange(config.per_head // 2), -1)  # as rotate takes them
    assert torch.equal(ours[0][at], cosine[0]) and torch.equal(ours[1][at] * signs, sine[0])
