"""Networks that read step by step: RNN, LSTM and GRU language models, encoders, sequence to sequence with attention.

Nothing here imports torch until it is used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from trivium.recurrent.config import RecurrentConfig

if TYPE_CHECKING:
    from trivium.recurrent.initialisation import initialise
    from trivium.recurrent.model import RecurrentModel
    from trivium.recurrent.state import RecurrentCache

_LAZY = {"RecurrentModel": "model", "RecurrentCache": "state", "initialise": "initialisation"}

__all__ = ["RecurrentCache", "RecurrentConfig", "RecurrentModel", "initialise"]


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
