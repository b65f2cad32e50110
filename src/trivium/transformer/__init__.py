"""The one Transformer: configuration, inputs and outputs, the model. Nothing here imports torch until it is used."""

from importlib import import_module
from typing import TYPE_CHECKING

from trivium.transformer.config import (
    Band,
    Learned,
    LinearScaling,
    Llama3Scaling,
    NoPosition,
    Position,
    RelativeBias,
    Rotary,
    Sinusoidal,
    TransformerConfig,
)

if TYPE_CHECKING:
    from trivium.transformer.cache import Cache
    from trivium.transformer.heads import SEQUENCE, SequenceHead
    from trivium.transformer.initialisation import initialise
    from trivium.transformer.inputs import Inputs, Outputs, Record, Tokens
    from trivium.transformer.model import Model
    from trivium.transformer.network import Config, Network

_LAZY = {
    "Cache": "cache",
    "SEQUENCE": "heads",
    "SequenceHead": "heads",
    "initialise": "initialisation",
    "Inputs": "inputs",
    "Outputs": "inputs",
    "Record": "inputs",
    "Tokens": "inputs",
    "Model": "model",
    "Config": "network",
    "Network": "network",
}

__all__ = [
    "SEQUENCE",
    "Band",
    "Cache",
    "Config",
    "Inputs",
    "Learned",
    "LinearScaling",
    "Llama3Scaling",
    "Model",
    "Network",
    "NoPosition",
    "Outputs",
    "Position",
    "Record",
    "RelativeBias",
    "Rotary",
    "SequenceHead",
    "Sinusoidal",
    "Tokens",
    "TransformerConfig",
    "initialise",
]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
