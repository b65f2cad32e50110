"""Small models of every kind, with weights large enough that each part matters."""

from collections.abc import Callable

import pytest
import torch

from trivium.transformer import (
    Inputs,
    Learned,
    Model,
    NoPosition,
    RelativeBias,
    Rotary,
    Sinusoidal,
    Tokens,
    TransformerConfig,
    initialise,
)

POSITIONS = {
    "learned": Learned(),
    "learned from row 2": Learned(offset=2),
    "sinusoidal": Sinusoidal(),
    "rotary": Rotary(100.0),
    "relative": RelativeBias(8, 20),
    "none": NoPosition(),
}


@pytest.fixture(params=list(POSITIONS))
def position(request: pytest.FixtureRequest) -> object:
    return POSITIONS[request.param]


@pytest.fixture
def make() -> Callable[..., Model]:
    """A model in eval mode: make(encoder_layers=2, ...) by any field of the configuration."""

    def build(seed: int = 0, **fields: object) -> Model:
        settings = {"vocab_size": 29, "width": 32, "heads": 4, "ffn_width": 48, "context": 32, "init_std": 0.3}
        return initialise(Model(TransformerConfig(**{**settings, **fields})), seed).eval()

    return build


@pytest.fixture
def ids() -> torch.Tensor:
    return torch.randint(1, 29, (3, 10), generator=torch.Generator().manual_seed(5))


@pytest.fixture
def inputs() -> Callable[..., Inputs]:
    """Inputs for a model from one sequence for each stack that it has."""

    def build(model: Model, ids: torch.Tensor, **fields: torch.Tensor) -> Inputs:
        side = Tokens(ids, **fields)
        return Inputs(side if model.encoder else None, side if model.decoder else None)

    return build
