"""Impossible models are refused with the field's name."""

import subprocess
import sys

import pytest

from trivium.errors import SettingsError
from trivium.transformer import Band, Learned, LinearScaling, Llama3Scaling, Rotary, Sinusoidal, TransformerConfig


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"heads": 5}, r"model\.heads = 5 does not divide model\.width = 32"),
        ({"kv_heads": 3}, r"model\.kv_heads = 3 does not divide model\.heads = 4"),
        ({"kv_heads": 0}, r"model\.kv_heads is 0"),
        ({"vocab_size": 0}, r"model\.vocab_size is 0"),
        ({"decoder_layers": 0}, "nor both 0"),
        ({"decoder_layers": -1}, "must not be negative"),
        ({"dropout": 1.0}, r"model\.dropout is 1\.0"),
        ({"position": Rotary(), "head_width": 7}, "even head width, not 7"),
        ({"position": Rotary(theta=0.0)}, r"position\.theta"),
        ({"position": Rotary(scaling=LinearScaling(-1.0))}, "factor"),
        ({"position": Rotary(scaling=Llama3Scaling(low=4.0))}, "low < high"),
        ({"position": Learned(-1)}, r"model\.position\.offset is -1"),
        ({"band": Band(0)}, r"model\.band\.width"),
        ({"position": Sinusoidal(), "width": 33, "heads": 3}, r"even model\.width"),
    ],
)
def test_impossible_models(fields, message):
    with pytest.raises(SettingsError, match=message):
        TransformerConfig(**{"vocab_size": 9, "width": 32, "heads": 4, "ffn_width": 8, "decoder_layers": 1, **fields})


def test_describing_a_model_needs_no_torch():
    code = (
        "import sys; from trivium.families import FAMILIES; FAMILIES['t5'].size('base');"
        "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
