"""Small recurrent models with weights large enough that every part matters, and the folder's own oracle importable."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trivium.recurrent import RecurrentConfig, RecurrentModel

sys.path.insert(0, str(Path(__file__).parent))

V = 31
Small = Callable[..., RecurrentModel]


@pytest.fixture
def small() -> Small:
    """A random model in evaluation mode, of the fields given."""

    def make(seed: int = 0, **fields: object) -> RecurrentModel:
        settings: dict = {"vocab_size": V, "width": 6, "state_width": 5, "context": 8, "start_token": 0, **fields}
        model = RecurrentModel(RecurrentConfig(**settings))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0.0, 0.6, generator=generator)
        return model.eval()

    return make
