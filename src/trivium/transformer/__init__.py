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
from trivium.transformer.head_config import (
    CHOICE,
    NEXT_SENTENCE,
    RELATIONS,
    SEQUENCE,
    SPAN,
    SPAN_BOUNDARY,
    SPANS,
    TOKEN,
    VALUE,
    EachSpan,
    EachToken,
    HeadConfig,
    Pooled,
)
from trivium.transformer.two_stream_config import TwoStreamConfig

if TYPE_CHECKING:
    from trivium.transformer.cache import Cache
    from trivium.transformer.heads import SequenceHead, TokenHead, make_head
    from trivium.transformer.initialisation import initialise
    from trivium.transformer.inputs import Inputs, Outputs, Record, SpanPlaces, Tokens, moved_right
    from trivium.transformer.model import Model
    from trivium.transformer.network import Config, Network
    from trivium.transformer.segment_memory import Memory
    from trivium.transformer.span_head import SpanHead
    from trivium.transformer.two_stream import TwoStream

_LAZY = {
    "Cache": "cache",
    "SequenceHead": "heads",
    "TokenHead": "heads",
    "make_head": "heads",
    "SpanHead": "span_head",
    "initialise": "initialisation",
    "Inputs": "inputs",
    "Outputs": "inputs",
    "Record": "inputs",
    "SpanPlaces": "inputs",
    "Tokens": "inputs",
    "moved_right": "inputs",
    "Model": "model",
    "Config": "network",
    "Network": "network",
    "Memory": "segment_memory",
    "TwoStream": "two_stream",
}

__all__ = [
    "CHOICE",
    "NEXT_SENTENCE",
    "RELATIONS",
    "SEQUENCE",
    "SPAN",
    "SPANS",
    "SPAN_BOUNDARY",
    "TOKEN",
    "VALUE",
    "Band",
    "Cache",
    "Config",
    "EachSpan",
    "EachToken",
    "HeadConfig",
    "Inputs",
    "Learned",
    "LinearScaling",
    "Llama3Scaling",
    "Memory",
    "Model",
    "Network",
    "NoPosition",
    "Outputs",
    "Pooled",
    "Position",
    "Record",
    "RelativeBias",
    "Rotary",
    "SequenceHead",
    "Sinusoidal",
    "SpanHead",
    "SpanPlaces",
    "TokenHead",
    "Tokens",
    "TransformerConfig",
    "TwoStream",
    "TwoStreamConfig",
    "initialise",
    "make_head",
    "moved_right",
]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
